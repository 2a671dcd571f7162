"""Pictures and words that lie together on a sheet, (H, W, 3) RGB."""

from collections.abc import Sequence
import textwrap
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""RGB."""
BLACK: Colour = (0, 0, 0)
LABEL_PX = 14
"""Height of a line of words."""
LETTER_PX = 7.5
"""Width of a letter, about."""


def scaled(picture: NDArray[np.uint8], width: int | None) -> NDArray[Any]:
    """Bring a picture to a width.

    Args:
        picture: (H, W, 3).
        width: Pixels; None: its own.

    Returns:
        (h, width, 3), of the same aspect ratio.
    """
    if width is None:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def words(lines: Sequence[tuple[str, Colour]], width: int) -> NDArray[np.uint8]:
    """Write lines on white; what is too long for the width is cut off.

    Args:
        lines: Each with its colour.
        width: Pixels.

    Returns:
        (`LABEL_PX` a line, width, 3).
    """
    block = np.full((LABEL_PX * len(lines), width, 3), 255, np.uint8)
    for number, (line, colour) in enumerate(lines, 1):
        origin = (2, LABEL_PX * number - 4)
        cv2.putText(block, line, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.4, colour, 1)
    return block


def wrapped(text: str, colour: Colour, width: int) -> list[tuple[str, Colour]]:
    """Break a text into lines for `words`.

    Args:
        text: Of any length.
        colour: Of all its lines.
        width: Pixels.

    Returns:
        The lines; none of an empty text.
    """
    return [(line, colour) for line in textwrap.wrap(text, max(1, int(width / LETTER_PX)))]
