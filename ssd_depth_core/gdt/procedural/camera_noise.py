"""Noise of a sensor at high gain: shot noise of the light, read noise of the amplifier."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    deviation = np.sqrt(light * np.float32(noise.shot**2) + np.float32(noise.read**2))
    return light + deviation * rng.standard_normal(light.shape, np.float32)
