"""From what the network gives to metres: the canonical camera undone, the sky left out."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.model_spec import ModelSpec

BEYOND_RANGE_SHARE = 0.97
"""Canonical depth from this share of `max_depth_m` on counts as beyond range: the network only
approaches the lower end of its inverse depth, so sky comes out a little nearer than that end."""


def metric_depth(
    inverse_depth: NDArray[np.float32], spec: ModelSpec, focal_px: float | None
) -> NDArray[np.float32]:
    """Turn canonical inverse depth into the live camera's depth.

    Args:
        inverse_depth: As the network gives it, any shape [1/m].
        spec: Of the network.
        focal_px: Of the live camera at the network's input size; None takes the canonical one.

    Returns:
        Fresh array of the same shape [m]; NaN beyond range or where the network gave no number.
    """
    scale = 1.0 if focal_px is None else focal_px / spec.canonical_focal_px
    farthest = 1.0 / (BEYOND_RANGE_SHARE * spec.max_depth_m)
    known = (inverse_depth > farthest) & np.isfinite(inverse_depth)
    depth = np.full(inverse_depth.shape, np.nan, np.float32)
    return np.divide(np.float32(scale), inverse_depth, out=depth, where=known)


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Code depth as REP 118's 16-bit form.

    Args:
        depth: (H, W) [m]; NaN or inf where unknown.

    Returns:
        (H, W) [mm]; 0 where unknown, below half a millimetre or above 65.535 m.
    """
    with np.errstate(invalid='ignore'):
        steps = np.rint(depth * np.float32(1000))
        fits = (steps > 0) & (steps <= np.iinfo(np.uint16).max)
    return np.where(fits, steps, 0).astype(np.uint16)
