import numpy as np
import pytest
from ssd_depth_core.geometry.pose import (
    euler_of,
    interpolate_poses,
    invert,
    transform_from_euler,
)


def turned(yaw, x=0.0):
    return transform_from_euler((x, 0, 0, 0, 0, yaw))


def test_euler_angles_turn_about_x_then_y_then_z():
    T = transform_from_euler((1, 2, 3, np.pi / 2, 0, np.pi / 2))
    # Roll takes y to z, and yaw leaves z alone; roll leaves x alone, and yaw takes it to y.
    np.testing.assert_allclose(T @ (0, 1, 0, 1), (1, 2, 4, 1), atol=1e-12)
    np.testing.assert_allclose(T @ (1, 0, 0, 1), (1, 3, 3, 1), atol=1e-12)


def test_pitch_of_a_right_angle_takes_x_to_minus_z():
    T = transform_from_euler((0, 0, 0, 0, np.pi / 2, 0))
    np.testing.assert_allclose(T[:3, :3] @ (1, 0, 0), (0, 0, -1), atol=1e-12)


@pytest.mark.parametrize(
    'values',
    [
        (1.7589, 0.2268, 1.0411, -0.0437, -1.4572, 0.0356),  # RobotCar's lms_front
        (0, 0, 0, 3.1, 0.2, -3.1),
        (5, -6, 7, 0, -np.pi / 2, 0.3),
        (5, -6, 7, 0.4, np.pi / 2, 0.3),
    ],
)
def test_euler_angles_survive_a_round_trip(values):
    T = transform_from_euler(values)
    np.testing.assert_allclose(transform_from_euler(euler_of(T)), T, atol=1e-9)


def test_euler_angles_away_from_the_pole_come_back_themselves():
    values = (1.7589, 0.2268, 1.0411, -0.0437, -1.4572, 0.0356)
    np.testing.assert_allclose(euler_of(transform_from_euler(values)), values, atol=1e-12)


@pytest.mark.parametrize('values', [(1, 2, 3), (1, 2, 3, 4, 5, np.nan)])
def test_what_is_no_pose_is_refused(values):
    with pytest.raises(ValueError, match='must be 6 finite numbers'):
        transform_from_euler(values)


def test_a_mirror_has_no_euler_angles():
    with pytest.raises(ValueError, match='must be orthonormal with determinant 1'):
        euler_of(np.diag((1, 1, -1, 1)))


def test_inverse_undoes_each_of_a_stack():
    stack = np.stack([turned(0.3, 2.0), transform_from_euler((1, 2, 3, 0.1, 0.2, 0.3))])
    np.testing.assert_allclose(invert(stack) @ stack, np.stack([np.eye(4)] * 2), atol=1e-12)
    np.testing.assert_allclose(invert(stack[0]) @ stack[0], np.eye(4), atol=1e-12)


def test_interpolation_divides_the_chord_and_the_angle():
    poses = np.stack([turned(0.0, 0.0), turned(1.0, 8.0), turned(1.0, 9.0)])
    stamps = np.array((100, 200, 300))
    found = interpolate_poses(stamps, poses, np.array((100, 125, 200, 250, 300)))
    expected = (turned(0), turned(0.25, 2), turned(1, 8), turned(1, 8.5), turned(1, 9))
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-12)


def test_interpolation_turns_the_shorter_way():
    # Quaternions of +3 and -3 rad point apart; the way between leads through pi.
    poses = np.stack([turned(3.0), turned(-3.0)])
    (middle,) = interpolate_poses(np.array((0, 2)), poses, np.array((1,)))
    np.testing.assert_allclose(middle, turned(np.pi), atol=1e-12)


def test_interpolation_of_no_instant_is_empty():
    poses = np.stack([np.eye(4)] * 2)
    assert interpolate_poses(np.array((0, 2)), poses, np.empty(0, int)).shape == (0, 4, 4)


@pytest.mark.parametrize('at', [99, 201])
def test_interpolation_does_not_extrapolate(at):
    poses = np.stack([np.eye(4)] * 2)
    with pytest.raises(ValueError, match='known from 100 to 200'):
        interpolate_poses(np.array((100, 200)), poses, np.array((at,)))
