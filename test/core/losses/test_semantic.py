import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.semantic import semantic_loss  # noqa: E402


def features(*vectors):
    """One picture of a row of patches."""
    return torch.tensor(vectors, dtype=torch.float64).T[None, :, None]  # (1, C, 1, n)


def test_it_is_one_minus_the_mean_cosine_of_the_patches():
    # 60 degrees apart, the same direction at another length, opposite.
    student = features([1.0, 0.0], [0.0, 5.0], [1.0, 1.0])
    clear = features([0.5, math.sqrt(0.75)], [0.0, 1.0], [-2.0, -2.0])
    assert semantic_loss(student, clear).item() == pytest.approx(1 - (0.5 + 1 - 1) / 3)
    assert semantic_loss(3 * clear, clear).item() == pytest.approx(0.0)


def test_its_gradient_is_right():
    generator = torch.Generator().manual_seed(1)
    student, clear = (
        torch.randn(2, 3, 2, 2, generator=generator, dtype=torch.float64) for _ in range(2)
    )
    assert torch.autograd.gradcheck(lambda x: semantic_loss(x, clear), student.requires_grad_())


def test_half_precision_is_left():
    assert semantic_loss(torch.ones(1, 2, 1, 1).bfloat16(), torch.ones(1, 2, 1, 1)).dtype == (
        torch.float32
    )


def test_maps_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r'one shape \(B, C, h, w\), got \(1, 2, 1, 1\) and'):
        semantic_loss(torch.ones(1, 2, 1, 1), torch.ones(1, 3, 1, 1))
