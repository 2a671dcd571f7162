"""The two guesses that a depth network must beat: they look at no picture."""

import numpy as np
from numpy.typing import NDArray
from real_data import RealFrame

CONSTANT_M = 20.0
"""Between the usual near and far of a street; once median-scaled, any constant scores alike."""
WALL_M = 30.0
"""Where the flat road ends."""


def constant(frame: RealFrame) -> NDArray[np.float64]:
    """Guess one depth for everything.

    Args:
        frame: Only its number of points is used.

    Returns:
        (N,) [m].
    """
    return np.full(len(frame.truth), CONSTANT_M)


def walled_road(frame: RealFrame) -> NDArray[np.float64]:
    """Guess a flat road that ends at a wall.

    Args:
        frame: Its points, intrinsics and mounting are used.

    Returns:
        (N,) [m]: where each pixel's ray meets the ground plane, at most `WALL_M`; `WALL_M` for
        rays that do not go down.
    """
    pixels = np.column_stack([frame.uv, np.ones(len(frame.uv))])
    rays = pixels @ np.linalg.inv(frame.K).T  # camera frame, z = 1, so lengths are depths
    descent = rays @ frame.down_camera
    depth = np.full(len(rays), np.inf)
    np.divide(frame.height_m, descent, out=depth, where=descent > 0)
    return np.minimum(depth, WALL_M)
