"""Rotations as files and messages hold them: unit quaternions (w, x, y, z), on plain arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# nuScenes stores about 16 digits; a rotation further from orthonormal than this was mistyped.
_TOLERANCE = 1e-3


def transform_from(
    translation: Sequence[float], quaternion: Sequence[float]
) -> NDArray[np.float64]:
    """Build a rigid transform.

    Args:
        translation: x, y, z [m].
        quaternion: w, x, y, z of unit length.

    Returns:
        (4, 4).

    Raises:
        ValueError: If these are not 3 finite numbers and a quaternion of unit length.
    """
    t, q = np.asarray(translation, np.float64), np.asarray(quaternion, np.float64)
    if t.shape != (3,) or not np.isfinite(t).all():
        raise ValueError(f'translation must be 3 finite numbers, got {translation}')
    if q.shape != (4,) or not abs(np.linalg.norm(q) - 1.0) < _TOLERANCE:
        raise ValueError(f'rotation must be a unit quaternion (w, x, y, z), got {quaternion}')
    w, x, y, z = q / np.linalg.norm(q)
    T = np.eye(4)
    T[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    )
    T[:3, 3] = t
    return T


def quaternion_of(T: NDArray[np.floating]) -> NDArray[np.float64]:
    """Read the rotation of a rigid transform.

    Args:
        T: (3, 3) or (4, 4).

    Returns:
        w, x, y, z of unit length, w >= 0.

    Raises:
        ValueError: If the rotation part is not orthonormal with determinant 1.
    """
    R = np.asarray(T, np.float64)[:3, :3]
    if not (np.abs(R @ R.T - np.eye(3)).max() < _TOLERANCE and np.linalg.det(R) > 0):
        raise ValueError(f'rotation must be orthonormal with determinant 1, got {R.tolist()}')
    # q q^T is linear in R; its largest row is q up to a factor, whichever component is small
    # (the branch-free form of Shepperd's method).
    xx, yy, zz = np.diag(R)
    qq = np.array(
        (
            (1 + xx + yy + zz, R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]),
            (R[2, 1] - R[1, 2], 1 + xx - yy - zz, R[1, 0] + R[0, 1], R[0, 2] + R[2, 0]),
            (R[0, 2] - R[2, 0], R[1, 0] + R[0, 1], 1 - xx + yy - zz, R[2, 1] + R[1, 2]),
            (R[1, 0] - R[0, 1], R[0, 2] + R[2, 0], R[2, 1] + R[1, 2], 1 - xx - yy + zz),
        )
    )
    q = qq[np.argmax(np.diag(qq))]
    return q / np.linalg.norm(q) * (1.0 if q[0] >= 0 else -1.0)
