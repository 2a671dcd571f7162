"""Rigid motions on plain arrays: Euler angles, inverses, and where a car was between two poses."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.geometry.quaternion import quaternion_of, transform_from

# Below this cosine of the pitch, roll and yaw turn about the same axis (gimbal lock).
_LOCKED = 1e-9
# Quaternions closer than this are interpolated linearly: their sine is no divisor.
_ALMOST_PARALLEL = 1.0 - 1e-12


def transform_from_euler(values: Sequence[float]) -> NDArray[np.float64]:
    """Build a rigid transform from translation and Euler angles.

    Args:
        values: x, y, z [m], roll, pitch, yaw [rad]; the rotation is Rz(yaw) Ry(pitch) Rx(roll).

    Returns:
        (4, 4).

    Raises:
        ValueError: If these are not 6 finite numbers.
    """
    numbers = np.asarray(values, np.float64)
    if numbers.shape != (6,) or not np.isfinite(numbers).all():
        raise ValueError(f'x y z roll pitch yaw must be 6 finite numbers, got {values}')
    (sr, sp, sy), (cr, cp, cy) = np.sin(numbers[3:]), np.cos(numbers[3:])
    T = np.eye(4)
    T[:3, :3] = (
        (cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr),
        (sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr),
        (-sp, cp * sr, cp * cr),
    )
    T[:3, 3] = numbers[:3]
    return T


def euler_of(T: NDArray[np.floating]) -> NDArray[np.float64]:
    """Read translation and Euler angles of a rigid transform.

    Args:
        T: (4, 4).

    Returns:
        x, y, z [m], roll, pitch, yaw [rad], pitch in [-pi/2, pi/2]; roll is 0 where pitch is a
        right angle, because only its sum with yaw is known there.

    Raises:
        ValueError: If the rotation part is not orthonormal with determinant 1.
    """
    quaternion_of(T)  # checks the rotation
    R = np.asarray(T, np.float64)[:3, :3]
    cos_pitch = np.hypot(R[0, 0], R[1, 0])
    pitch = np.arctan2(-R[2, 0], cos_pitch)
    if cos_pitch < _LOCKED:
        roll, yaw = 0.0, np.arctan2(-R[0, 1], R[1, 1])
    else:
        roll, yaw = np.arctan2(R[2, 1], R[2, 2]), np.arctan2(R[1, 0], R[0, 0])
    return np.array((*T[:3, 3], roll, pitch, yaw))


def invert(T: NDArray[np.float64]) -> NDArray[np.float64]:
    """Invert rigid transforms.

    Args:
        T: (..., 4, 4).

    Returns:
        Same shape.
    """
    R_inverse = np.swapaxes(T[..., :3, :3], -1, -2)
    inverse = np.zeros_like(T)
    inverse[..., :3, :3] = R_inverse
    inverse[..., :3, 3] = -(R_inverse @ T[..., :3, 3, None])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def interpolate_poses(
    stamps: NDArray[np.int64], poses: NDArray[np.float64], at: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Interpolate between poses: positions along the chord, rotations along the great circle.

    Args:
        stamps: When each pose holds, (N,), strictly increasing, any unit.
        poses: (N, 4, 4).
        at: Instants asked for, (M,), same unit, each from the first to the last of `stamps`.

    Returns:
        (M, 4, 4).

    Raises:
        ValueError: If an instant lies before the first or after the last pose.
    """
    if at.size == 0:
        return np.empty((0, 4, 4))
    if at.min() < stamps[0] or at.max() > stamps[-1]:
        raise ValueError(
            f'poses are known from {stamps[0]} to {stamps[-1]}, '
            f'asked for {at.min()} to {at.max()}; do not extrapolate'
        )
    upper = np.searchsorted(stamps, at)
    lower = np.where(stamps[upper] == at, upper, upper - 1)
    # Only the poses in use: a drive has 30,000, one picture's surroundings 130.
    quaternions = {i: quaternion_of(poses[i]) for i in np.union1d(lower, upper)}
    interpolated = np.empty((len(at), 4, 4))
    for k, (low, high) in enumerate(zip(lower, upper, strict=True)):
        fraction = (at[k] - stamps[low]) / max(stamps[high] - stamps[low], 1)
        t = (1 - fraction) * poses[low, :3, 3] + fraction * poses[high, :3, 3]
        q = _slerp(quaternions[low], quaternions[high], fraction)
        interpolated[k] = transform_from(t.tolist(), q.tolist())
    return interpolated


def _slerp(
    first: NDArray[np.float64], second: NDArray[np.float64], fraction: float
) -> NDArray[np.float64]:
    cosine = float(first @ second)
    if cosine < 0:  # q and -q are the same rotation; take the shorter way
        second, cosine = -second, -cosine
    if cosine > _ALMOST_PARALLEL:
        mixed = (1 - fraction) * first + fraction * second
    else:
        angle = np.arccos(cosine)
        mixed = np.sin((1 - fraction) * angle) * first + np.sin(fraction * angle) * second
    return mixed / np.linalg.norm(mixed)
