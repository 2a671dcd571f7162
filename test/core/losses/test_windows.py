import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.windows import window_mean  # noqa: E402
import torch.nn.functional as F  # noqa: E402


@pytest.mark.parametrize('size', [(2, 2), (3, 2), (5, 7)])
def test_windows_are_pooled_with_mirrored_borders(size):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = x.clone()
    pooled = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode='reflect'), 3, stride=1)
    torch.testing.assert_close(window_mean(x), pooled)
    assert (x == before).all()


def test_a_corner_by_hand():
    x = torch.tensor([[9.0, 0, 0], [0, 0, 0], [0, 0, 18]])
    # The corner sees itself once and mirrored neighbours else; the middle sees all nine.
    torch.testing.assert_close(window_mean(x)[0, 0], torch.tensor(1.0))
    torch.testing.assert_close(window_mean(x)[1, 1], torch.tensor(3.0))
    torch.testing.assert_close(window_mean(x)[2, 0], torch.tensor(0.0))


@pytest.mark.parametrize('size', [(2, 2), (2, 3), (4, 5)])
def test_gradients_agree_with_finite_differences(size):
    x = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.autograd.gradcheck(window_mean, (x.requires_grad_(),))
    assert torch.autograd.gradgradcheck(window_mean, (x,))
