"""Between stored pixels and linear light, where light from several places simply adds up."""

import cv2
import numpy as np
from numpy.typing import NDArray

_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4)
_LINEAR = _LINEAR.astype(np.float32)
_STEPS = 8191
"""Of the way back: even where the sRGB curve is steepest, two steps or more make one code."""
_LEVELS = np.arange(_STEPS + 1) / _STEPS
_ENCODED = np.where(_LEVELS <= 0.0031308, 12.92 * _LEVELS, 1.055 * _LEVELS ** (1 / 2.4) - 0.055)
_ENCODED = np.rint(255 * _ENCODED).astype(np.uint8)


def to_linear(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Undo the sRGB curve.

    Args:
        picture: (H, W, 3).

    Returns:
        (H, W, 3), in [0, 1].
    """
    return np.asarray(cv2.LUT(picture, _LINEAR))


def to_picture(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Clip and apply the sRGB curve, without a pass of powers over the picture.

    Args:
        light: Any shape, linear; 1 is white.

    Returns:
        Same shape.
    """
    levels = np.clip(light * np.float32(_STEPS) + np.float32(0.5), 0, _STEPS)
    return _ENCODED[levels.astype(np.uint16)]
