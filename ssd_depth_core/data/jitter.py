"""Colour jitter as one affine map of colours, so that the frames of a sample share it exactly."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

GREY = np.full((3, 3), 1 / 3)
"""Projects colours onto the grey axis."""
_LUMA = np.array((0.299, 0.587, 0.114))
"""Weights of red, green and blue in grey, as in JPEG."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JitterConfig:
    """Say how far colours move; the defaults are monodepth2's and md4all's."""

    brightness: float = 0.2
    """Factors are drawn from 1 - this to 1 + this."""
    contrast: float = 0.2
    """The same, about the target frame's mean grey."""
    saturation: float = 0.2
    """The same, about each pixel's grey."""
    hue: float = 0.05
    """Largest turn either way, as a fraction of the full circle."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a range is negative, or so large that a factor could be negative.
        """
        for name, largest in (('brightness', 1), ('contrast', 1), ('saturation', 1), ('hue', 0.5)):
            if not 0 <= getattr(self, name) <= largest:
                raise ValueError(f'{name} must be in [0, {largest}], got {getattr(self, name)}')


NO_JITTER = JitterConfig(brightness=0, contrast=0, saturation=0, hue=0)


def jitter_matrix(
    target: NDArray[np.uint8], config: JitterConfig, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw brightness, contrast, saturation and hue, and make one map of them.

    Args:
        target: (H, W, 3) RGB; contrast turns about its mean grey.
        config: How far.
        rng: Source of randomness; always gives four numbers.

    Returns:
        (3, 4) for `apply_jitter`: colour factors, and an offset in 8-bit levels.

    Differs: torchvision's ColorJitter, which both papers use, clips between its four steps, turns
    the hue in HSV, and takes the mean of each frame. One map clips once, and neighbours keep the
    brightness that they had relative to each other, on which the photometric loss rests.
    """
    reach = np.array((config.brightness, config.contrast, config.saturation))
    brightness, contrast, saturation = 1 + reach * rng.uniform(-1, 1, 3)
    turn = GREY + hue_turn(2 * np.pi * config.hue * rng.uniform(-1, 1))
    colours = (saturation * np.eye(3) + (1 - saturation) * _LUMA) @ turn
    grey = float(_LUMA @ cv2.mean(target)[:3])
    offset = np.full((3, 1), (1 - contrast) * brightness * grey)
    return np.hstack((brightness * contrast * colours, offset))


def hue_turn(angle: float) -> NDArray[np.float64]:
    """Turn what of a colour is not grey, by Rodrigues' formula about the axis (1, 1, 1).

    Args:
        angle: Radians.

    Returns:
        (3, 3); together with `GREY` a rotation, under which grey stays as it is.
    """
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    return np.asarray(np.cos(angle) * (np.eye(3) - GREY) + np.sin(angle) * cross)


def apply_jitter(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Map every colour.

    Args:
        image: (H, W, 3) RGB.
        matrix: (3, 4), as `jitter_matrix` gives.

    Returns:
        (H, W, 3), clipped to 8 bits.
    """
    return np.asarray(cv2.transform(image, matrix), np.uint8)
