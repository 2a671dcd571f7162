import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.losses.velocity import velocity_loss  # noqa: E402


def motions(*translations):
    """Give one sample's motions, (1, S, 4, 4), turned about z so that rotations are at hand."""
    T = torch.eye(4, dtype=torch.float64).repeat(1, len(translations), 1, 1)
    T[:, :, 0, 0] = T[:, :, 1, 1] = math.cos(0.3)
    T[:, :, 1, 0], T[:, :, 0, 1] = math.sin(0.3), -math.sin(0.3)
    T[0, :, :3, 3] = torch.tensor(translations, dtype=torch.float64)
    return T


def test_velocity_by_hand():
    T = motions((3, 0, 4), (0, 0, -1))
    distance_m = torch.tensor([[4.0, 1.5]], dtype=torch.float64)
    assert velocity_loss(T, distance_m).item() == pytest.approx((1.0 + 0.5) / 2)


def test_the_right_distance_in_any_direction_costs_nothing():
    T = motions((0, 2, 0), (2, 0, 0), (0, 0, -2))
    assert velocity_loss(T, torch.full((1, 3), 2.0)).item() == 0


def test_the_gradient_lengthens_a_motion_that_is_too_short():
    T = motions((0.6, 0, 0.8)).requires_grad_()
    velocity_loss(T, torch.tensor([[2.0]])).backward()
    expected = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    expected[0, 0, :3, 3] = -torch.tensor((0.6, 0, 0.8), dtype=torch.float64)
    torch.testing.assert_close(T.grad, expected)


def test_standing_still_has_a_finite_gradient():
    T = motions((0, 0, 0)).requires_grad_()
    loss = velocity_loss(T, torch.tensor([[1.0]], dtype=torch.float64))
    loss.backward()
    assert loss.item() == 1.0
    assert (T.grad == 0).all()


def test_gradients_agree_with_finite_differences():
    generator = torch.Generator().manual_seed(0)
    T = torch.randn(2, 3, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    distance_m = torch.rand(2, 3, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: velocity_loss(x, distance_m), (T,))


def test_half_precision_is_summed_in_single():
    T = motions((3, 0, 4)).to(torch.bfloat16)
    assert velocity_loss(T, torch.tensor([[4.0]])).dtype == torch.float32


@pytest.mark.parametrize(
    ('shape', 'distances'), [((2, 4, 4), (2,)), ((1, 2, 4, 4), (1, 3)), ((1, 2, 3, 4), (1, 2))]
)
def test_what_does_not_fit_is_refused(shape, distances):
    with pytest.raises(ValueError, match=r'must be \(B, S, 4, 4\) and distance_m \(B, S\), got '):
        velocity_loss(torch.zeros(shape), torch.zeros(distances))
