"""Noise of a sensor at high gain: shot noise of the light, read noise of the amplifier."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_GRAINY_FROM_PX = 480
"""Height from which the grain is two pixels wide. Cameras give colour to each pixel from its
neighbours and then denoise, so that noise of single pixels, which a smaller copy of the picture
would average away, hardly leaves them."""
_GRAIN = 0.625
"""Share of the deviation that linear enlargement to twice the size keeps: at every pixel
weights of 1/4 and 3/4 along both axes, whose squares sum to 10/16 each."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Hold how noisy a sensor is, as standard deviations of a signal whose white is 1."""

    shot: float
    """Per root of the signal: that of a white pixel."""
    read: float
    """Of a black pixel."""


def add_noise(
    light: NDArray[np.float32], noise: Noise, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Add both noises, which are independent and so add their variances.

    Args:
        light: (H, W, 3) linear, not negative.
        noise: Of the sensor at its gain.
        rng: Of the picture.

    Returns:
        (H, W, 3) of variance shot^2 light + read^2 at each pixel; may be negative.
    """
    deviation = cv2.sqrt(light * np.float32(noise.shot**2) + np.float32(noise.read**2))
    return light + deviation * _grain(light.shape[0], light.shape[1], rng)


def _grain(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw (height, width, 3) of mean 0 and variance 1."""
    if height < _GRAINY_FROM_PX:
        return rng.standard_normal((height, width, 3), np.float32)
    # One pixel more all around: at its rim the enlargement has no neighbour to mix with.
    small = rng.standard_normal((height // 2 + 2, width // 2 + 2, 3), np.float32)
    small *= np.float32(1 / _GRAIN)
    size = (2 * small.shape[1], 2 * small.shape[0])
    large = cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[1 : height + 1, 1 : width + 1])
