"""Depth to colours that mean the same distance in every picture."""

import cv2
import numpy as np
from numpy.typing import NDArray

NEAREST_M = 2.0
"""Shown in the warmest colour, as is all that is nearer: the road just before a car's bonnet."""
FARTHEST_M = 80.0
"""Shown in the coldest colour: the range that driving benchmarks score."""

# Turbo runs from dark blue to dark red; its perceived steps are more even than jet's.
_LEVELS = np.arange(256, dtype=np.uint8)[:, None]
_TURBO_RGB = np.array(cv2.applyColorMap(_LEVELS, cv2.COLORMAP_TURBO)[:, 0, ::-1], np.uint8)


def colorize(
    depth: NDArray[np.floating], near_m: float = NEAREST_M, far_m: float = FARTHEST_M
) -> NDArray[np.uint8]:
    """Colour depth on a fixed logarithmic scale, near in red and far in blue.

    A fixed range keeps a video from flickering as a range found per picture would; a logarithm
    gives equal steps in colour to equal ratios of distance.

    Args:
        depth: Any shape [m]; NaN where unknown.
        near_m: Depth of the warmest colour.
        far_m: Depth of the coldest colour.

    Returns:
        Shape of `depth` and 3 more, uint8 RGB; black where depth is NaN.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        nearness = np.log(far_m / depth) / np.log(far_m / near_m)
    known = np.isfinite(depth)
    index = np.where(known, np.clip(nearness, 0.0, 1.0) * 255.0, 0.0).astype(np.uint8)
    colours = _TURBO_RGB[index]
    colours[~known] = 0
    return colours


def legend(height: int) -> NDArray[np.uint8]:
    """Draw the scale of `colorize` with its default range.

    Args:
        height: Of the drawing [px].

    Returns:
        (height, 70, 3) uint8 RGB: the colours, near at the bottom, with metres written beside.
    """
    span = np.log(FARTHEST_M / NEAREST_M)
    depth = NEAREST_M * np.exp(np.linspace(span, 0.0, height))
    drawing = np.full((height, 70, 3), 255, np.uint8)
    drawing[:, :20] = colorize(depth)[:, None]
    for metres in (2, 5, 10, 20, 40, 80):
        row = round((height - 1) * (1.0 - np.log(metres / NEAREST_M) / span))
        baseline = min(max(row + 4, 10), height - 2)
        font = cv2.FONT_HERSHEY_SIMPLEX
        cv2.putText(drawing, f'{metres} m', (24, baseline), font, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    return drawing
