import math

import numpy as np
import pytest
from ssd_depth_core.geometry import pose

torch = pytest.importorskip('torch')

from ssd_depth_core.geometry.rigid import invert, transform_from_axis_angle  # noqa: E402


def random_motions(seed=0, count=20):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, count, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize('axis', [0, 1, 2])
@pytest.mark.parametrize('angle', [0.0, 1e-9, -0.3, 1.2, math.pi])
def test_a_turn_about_an_axis_is_the_euler_angle_of_that_name(axis, angle):
    values = np.array([1.0, -2.0, 3.0, 0.0, 0.0, 0.0])
    values[3 + axis] = angle
    translation, axis_angle = torch.from_numpy(values).split(3)
    T = transform_from_axis_angle(axis_angle, translation)
    np.testing.assert_allclose(T.numpy(), pose.transform_from_euler(values), atol=1e-15)


def test_any_rotation_is_the_exponential_of_its_generator():
    axis_angle, translation = random_motions()
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    generator = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)
    T = transform_from_axis_angle(axis_angle, translation)
    torch.testing.assert_close(T[:, :3, :3], torch.matrix_exp(generator), rtol=0, atol=1e-13)
    assert torch.equal(T[:, :3, 3], translation)
    assert T[:, 3].tolist() == [[0.0, 0.0, 0.0, 1.0]] * 20


def test_inverses_agree_with_those_on_arrays_and_undo():
    T = transform_from_axis_angle(*random_motions(1)).unflatten(0, (4, 5))
    np.testing.assert_allclose(invert(T).numpy(), pose.invert(T.numpy()), atol=1e-15)
    identity = torch.eye(4, dtype=torch.float64).expand(4, 5, 4, 4)
    torch.testing.assert_close(invert(T) @ T, identity, rtol=0, atol=1e-13)


@pytest.mark.parametrize('scale', [0.0, 1e-6, 1.0])
def test_gradients_are_right_even_at_rest(scale):
    axis_angle, translation = (scale * motion for motion in random_motions(2, 3))
    axis_angle.requires_grad_()
    translation.requires_grad_()
    assert torch.autograd.gradcheck(transform_from_axis_angle, (axis_angle, translation))
    assert torch.autograd.gradcheck(
        lambda a, t: invert(transform_from_axis_angle(a, t)), (axis_angle, translation)
    )


def test_autocast_leaves_single_precision():
    axis_angle, translation = (motion.float() for motion in random_motions(3))
    expected = invert(transform_from_axis_angle(axis_angle, translation))
    with torch.autocast('cpu', torch.bfloat16):
        T = invert(transform_from_axis_angle(axis_angle, translation))
    assert torch.equal(T, expected)
