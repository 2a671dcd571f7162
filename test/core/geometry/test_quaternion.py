import numpy as np
import pytest
from ssd_depth_core.geometry.quaternion import quaternion_of, transform_from

# Rotations of 0, 90 degrees about z, and 180 degrees about each axis (w = 0: the delicate ones).
KNOWN = [
    ((1, 0, 0, 0), np.eye(3)),
    ((np.sqrt(0.5), 0, 0, np.sqrt(0.5)), [[0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    ((0, 1, 0, 0), np.diag([1, -1, -1])),
    ((0, 0, 1, 0), np.diag([-1, 1, -1])),
    ((0, 0, 0, 1), np.diag([-1, -1, 1])),
]


@pytest.mark.parametrize(('quaternion', 'rotation'), KNOWN)
def test_known_rotations_both_ways(quaternion, rotation):
    T = transform_from((1, 2, 3), quaternion)
    np.testing.assert_allclose(T[:3, :3], rotation, atol=1e-15)
    np.testing.assert_array_equal(T[:, 3], (1, 2, 3, 1))
    np.testing.assert_allclose(quaternion_of(T), quaternion, atol=1e-15)


def test_round_trip_of_random_rotations():
    for q in np.random.default_rng(0).normal(size=(200, 4)):
        q *= np.sign(q[0]) / np.linalg.norm(q)
        np.testing.assert_allclose(quaternion_of(transform_from((0, 0, 0), q)), q, atol=1e-12)


@pytest.mark.parametrize('quaternion', [(1, 0, 0), (2, 0, 0, 0), (np.nan, 0, 0, 0)])
def test_what_is_no_unit_quaternion_is_refused(quaternion):
    with pytest.raises(ValueError, match='unit quaternion'):
        transform_from((0, 0, 0), quaternion)


def test_what_is_no_position_is_refused():
    with pytest.raises(ValueError, match='translation'):
        transform_from((0, np.inf, 0), (1, 0, 0, 0))


@pytest.mark.parametrize('matrix', [np.diag([1, 1, -1.0]), 2 * np.eye(3)])
def test_what_is_no_rotation_is_refused(matrix):
    with pytest.raises(ValueError, match='orthonormal'):
        quaternion_of(matrix)
