"""The canonical camera undone: from what a network gives to metres, written once.

Training's figures and the robot's depth follow this one rule, or they would not be comparable.
"""

import numpy as np
from numpy.typing import NDArray

BEYOND_RANGE_SHARE = 0.97
"""Canonical depth from this share of `max_depth_m` on counts as beyond range: the network only
approaches the lower end of its inverse depth, so sky comes out a little nearer than that end."""


def metric_depth_of(
    inverse_depth: NDArray[np.float32],
    *,
    focal_px: float | None,
    canonical_focal_px: float,
    max_depth_m: float,
) -> NDArray[np.float32]:
    """Turn canonical inverse depth into the live camera's depth.

    Args:
        inverse_depth: As the network gives it, any shape [1/m], finite and above 0.
        focal_px: Of the live camera at the network's input size; None takes the canonical one.
        canonical_focal_px: For which the network's depth is metric.
        max_depth_m: Canonical depth at the network's smallest inverse depth.

    Returns:
        Fresh array of the same shape [m]; NaN means beyond range and nothing else.
    """
    scale = 1.0 if focal_px is None else focal_px / canonical_focal_px
    known = inverse_depth > 1.0 / (BEYOND_RANGE_SHARE * max_depth_m)
    depth = np.full(inverse_depth.shape, np.nan, np.float32)
    return np.divide(np.float32(scale), inverse_depth, out=depth, where=known)
