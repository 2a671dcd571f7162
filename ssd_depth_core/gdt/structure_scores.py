"""Does a picture still break where depth breaks? It shows what a depth network overlooks.

A pole is a few pixels wide: networks smooth it away, by night all the more, and depth estimated
anew says nothing about it. But where depth breaks, the source's picture breaks too, and a faithful
translation breaks there again, whatever the light. All maps are `GRID_WIDTH` pixels wide.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.geometry_scores import grid_size, WINDOW_PX

Float = NDArray[np.float32]
Picture = NDArray[np.uint8]

OUTLINE_RATIO = 1.25
"""Least ratio of depths across an outline."""
NEAR_RATIO = (5.0, 10.0)
"""Up to so many times as far as the nearest twentieth of the scene, outlines count in full, from
then on less, and not at all beyond: fog and night hide them."""
TEXTURED_RATIO = 8.0
"""How far what stands upright counts with all its texture."""
UPRIGHT = 0.29
"""What depth grows by from row to row, as a share of what the road's grows by at the picture's
lower edge, at most: walls and cars stand, the road lies."""
DARKNESS = 16.0
"""Added to 8-bit brightness before its logarithm, so that noise in the dark is no edge."""
VISIBLE = 1.0
"""Times the picture's median gradient from which on the source shows an edge."""
FULL = 2.0
"""Times the median gradient beyond which an edge is no clearer."""
TEXTURE_WINDOW_PX = (40, 32)
OUTLINE_EVIDENCE_PX = 30.0
TEXTURE_EVIDENCE_PX = 80.0
"""Edge pixels of a window of which none is believed: a few lost ones are chance."""


def structure_maps(log_depth: Float, source: Picture, picture: Picture) -> dict[str, Float]:
    """Map where a picture lost edges that depth explains.

    Args:
        log_depth: Of the source, (h, w), 0 at the nearest twentieth.
        source: (H, W, 3) RGB, of any size.
        picture: Likewise.

    Returns:
        (h, w) each: `lost_outlines`, of outlines of near things, and `lost_texture`, of these and
        of all that stands upright near by: the share of edges lost in the window around a pixel,
        beyond the share that the whole picture lost; at most 1.
    """
    outlines = _outlines(log_depth)
    upright = (_upright(log_depth) & (log_depth < math.log(TEXTURED_RATIO))).astype(np.float32)
    texture = [np.maximum(outline, upright) for outline in outlines]
    before, after = _edges(source), _edges(picture)
    return {
        'lost_outlines': _excess(outlines, before, after, WINDOW_PX, OUTLINE_EVIDENCE_PX),
        'lost_texture': _excess(texture, before, after, TEXTURE_WINDOW_PX, TEXTURE_EVIDENCE_PX),
    }


def _excess(
    weights: list[Float],
    before: list[Float],
    after: list[Float],
    window_px: tuple[int, int],
    evidence_px: float,
) -> Float:
    """Give the share of edges lost in every window, less that of the whole picture."""
    shown = [weight * (edge > VISIBLE) for weight, edge in zip(weights, before, strict=True)]
    lost = [
        weight * np.maximum(np.minimum(edge, FULL) - left, 0.0) / FULL
        for weight, edge, left in zip(shown, before, after, strict=True)
    ]
    count, gone = (sum(maps).astype(np.float32) for maps in (shown, lost))  # type: ignore[union-attr]
    share = float(gone.sum()) / max(float(count.sum()), 1.0)
    in_window = cv2.boxFilter(count, -1, window_px, normalize=False)
    excess = cv2.boxFilter(gone, -1, window_px, normalize=False) - share * in_window
    return np.asarray(excess / (in_window + evidence_px))


def _outlines(log_depth: Float) -> list[Float]:
    """Weigh the pixels at which depth breaks to the right and below, in [0, 1]."""
    full, none = map(math.log, NEAR_RATIO)
    weights = []
    for axis in (1, 0):
        nearer = np.minimum(log_depth, np.roll(log_depth, -1, axis))
        step = np.abs(np.diff(log_depth, axis=axis, append=np.take(log_depth, [-1], axis)))
        near = np.clip((none - nearer) / (none - full), 0.0, 1.0)
        weights.append(np.float32(near * (step > math.log(OUTLINE_RATIO))))
    return weights


def _upright(log_depth: Float) -> NDArray[np.bool_]:
    """Find what stands: its depth hardly changes from row to row."""
    steepest = UPRIGHT * 2 / len(log_depth)  # the road's, half a picture below the horizon
    upright = np.zeros(log_depth.shape, bool)
    upright[2:-2] = np.abs(log_depth[4:] - log_depth[:-4]) < 4 * steepest
    return upright


def _edges(picture: Picture) -> list[Float]:
    """Measure how brightness changes to the right and below, in the picture's own median.

    The brightest of 3 x 3 pixels counts, so that an edge may be misplaced by one.
    """
    width, height = grid_size(picture.shape)
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    grey = np.log(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32) + DARKNESS)
    grey = cv2.GaussianBlur(grey, (0, 0), 1.0)
    right, below = (cv2.Scharr(grey, -1, dx, 1 - dx) / 32 for dx in (1, 0))
    typical = max(float(np.median(np.hypot(right, below))), 0.01)
    kernel = np.ones((3, 3), np.uint8)
    return [cv2.dilate(np.minimum(np.abs(g) / typical, 3.0), kernel) for g in (right, below)]
