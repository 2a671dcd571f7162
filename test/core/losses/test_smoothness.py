import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.smoothness import edge_aware_smoothness  # noqa: E402


def picture(rows):
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def test_smoothness_by_hand():
    # Mean 2; slopes of d along x: 1/2 and 1/2, along y: 1 and 1.
    inverse_depth = picture([[0.5, 1.5], [2.5, 3.5]])
    # The one bright pixel of two channels: an edge of 1/2 along x above, one along y at the right.
    image = torch.tensor([[[0, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.float64)[None]
    along_x = (0.5 * math.exp(-0.5) + 0.5) / 2
    along_y = (1 + math.exp(-0.5)) / 2
    smoothness = edge_aware_smoothness(inverse_depth, image)
    assert smoothness.item() == pytest.approx(along_x + along_y)


def test_a_flat_depth_costs_nothing():
    flat = torch.full((2, 1, 6, 8), 0.3)
    assert edge_aware_smoothness(flat, torch.rand(2, 3, 6, 8)).item() == 0


def test_each_picture_is_divided_by_its_own_mean():
    generator = torch.Generator().manual_seed(0)
    inverse_depth = torch.rand(1, 1, 6, 8, generator=generator, dtype=torch.float64) + 0.1
    image = torch.rand(1, 3, 6, 8, generator=generator, dtype=torch.float64)
    once = edge_aware_smoothness(inverse_depth, image)
    scaled = torch.cat([0.01 * inverse_depth, 7 * inverse_depth])
    twice = edge_aware_smoothness(scaled, image.repeat(2, 1, 1, 1))
    assert twice.item() == pytest.approx(once.item())


def test_a_step_costs_least_where_the_picture_has_one():
    step = torch.ones(1, 1, 4, 6)
    step[..., 3:] = 2
    elsewhere = step.roll(1, dims=3)
    elsewhere[..., 0] = 1
    on_edge = edge_aware_smoothness(step, step - 1)
    assert on_edge < edge_aware_smoothness(step, elsewhere - 1)
    assert on_edge.item() == pytest.approx(4 / (1.5 * 20) * math.exp(-1))


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    inverse_depth = torch.rand(2, 1, 4, 5, generator=generator, dtype=torch.float64) + 0.1
    image = torch.rand(2, 3, 4, 5, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: edge_aware_smoothness(x, image), (inverse_depth.requires_grad_(),)
    )


def test_half_precision_is_summed_in_single():
    flat = torch.ones(1, 1, 4, 5, dtype=torch.bfloat16)
    assert edge_aware_smoothness(flat, torch.rand(1, 3, 4, 5)).dtype == torch.float32


def test_another_size_is_refused():
    with pytest.raises(
        ValueError, match=r'inverse_depth must be \(2, 1, 4, 5\) .* got \(2, 1, 2, 5\); resize'
    ):
        edge_aware_smoothness(torch.ones(2, 1, 2, 5), torch.rand(2, 3, 4, 5))
