"""How far to trust that a translated picture still shows its source's scene, and where not."""

import math

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.geometry_scores import receded_map
from ssd_depth_core.gdt.structure_scores import structure_maps

Float = NDArray[np.float32]
Picture = NDArray[np.uint8]

TYPICAL = {
    'lost_outlines': (0.15, 0.33),
    'lost_texture': (0.26, 0.38),
    'receded': (0.17, 0.54),
}
"""Median and 95 % quantile of what faithful translations score, what trust counts from and in; by
`python bench/gdt_gate.py --calibrate`."""
SLOPE, HALF = 2.6, 1.95
"""How fast trust falls, and where it is 0.5; fitted there to broken and faithful pictures."""


def loss_maps(
    reference: Float, estimate: Float, source: Picture, picture: Picture
) -> dict[str, Float]:
    """Map where a picture lost what its source shows, in three ways.

    Args:
        reference: Log depth of the source, on the grid of `geometry_scores`.
        estimate: Log depth estimated in the picture, likewise.
        source: (H, W, 3) RGB.
        picture: (H, W, 3) RGB.

    Returns:
        By the names of `TYPICAL`, on the grid; at most 1.
    """
    return {
        **structure_maps(reference, source, picture),
        'receded': receded_map(reference, estimate),
    }


def suspicion(maps: dict[str, Float]) -> Float:
    """Join the maps of `loss_maps`.

    Each counts in units of what faithful translations score. The soft maximum of all decides,
    since to be gone in one way is to be gone.

    Args:
        maps: By the names of `TYPICAL`; arrays of any one shape.

    Returns:
        Of the same shape; faithful pictures reach about 1.5 at most.
    """
    units = [
        (np.maximum(maps[name], 0.0) - median) / (usual_most - median)
        for name, (median, usual_most) in TYPICAL.items()
    ]
    return np.asarray(np.logaddexp.reduce(units))


def trust_of(scores: dict[str, float]) -> float:
    """Say how far to trust a picture.

    Args:
        scores: The most of every map of `loss_maps`.

    Returns:
        In (0, 1), a logistic function of `suspicion`; falls with every score.
    """
    worst = float(suspicion({name: np.float32(scores[name]) for name in TYPICAL}))
    return 1 / (1 + math.exp(SLOPE * (worst - HALF)))
