"""Is a translated picture a usable photograph? Scores of 8-bit RGB pictures, (H, W, 3)."""

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

BLACK = 8
"""A pixel whose brightest channel is no brighter holds nothing but noise."""
BLOWN = 250
"""A pixel whose darkest channel is no darker is blown out."""
_THUMBNAIL = (40, 24)
"""(width, height) at which pictures are compared as a whole."""


def black_share(picture: Picture) -> float:
    """Measure how much of a picture is black.

    Args:
        picture: RGB.

    Returns:
        Share of its pixels, in [0, 1].
    """
    return float(np.mean(picture.max(-1) <= BLACK))


def blown_share(picture: Picture) -> float:
    """Measure how much of a picture is blown out.

    Args:
        picture: RGB.

    Returns:
        Share of its pixels, in [0, 1].
    """
    return float(np.mean(picture.min(-1) >= BLOWN))


def sharpness(picture: Picture, source: Picture) -> float | None:
    """Compare fine detail with the source's, whatever the contrast of both.

    Args:
        picture: RGB.
        source: RGB of the same size.

    Returns:
        Ratio of the share of variance that a Laplacian keeps; 1 is as sharp, 0 has no detail. None
        where the source has none.
    """
    of_source = _detail(source)
    return _detail(picture) / of_source if of_source else None


def _detail(picture: Picture) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    variance = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_32F).var()) / variance if variance else 0.0


def distance(picture: Picture, other: Picture) -> float:
    """Measure how different two pictures look as a whole.

    Args:
        picture: RGB.
        other: RGB of the same size.

    Returns:
        Mean absolute difference of small copies, in [0, 1].
    """
    small, other_small = (
        cv2.resize(each, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        for each in (picture, other)
    )
    return float(np.abs(small - other_small).mean()) / 255
