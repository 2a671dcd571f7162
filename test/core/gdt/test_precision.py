import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.gdt.precision import dtype_of  # noqa: E402


@pytest.mark.parametrize(
    ('precision', 'device', 'dtype'),
    [
        ('auto', 'cpu', torch.float32),
        ('auto', 'cuda:1', torch.float16),
        ('float32', 'cuda', torch.float32),
        ('bfloat16', 'cpu', torch.bfloat16),
    ],
)
def test_a_gpu_computes_in_half_precision_unless_told(precision, device, dtype):
    assert dtype_of(precision, device) is dtype
