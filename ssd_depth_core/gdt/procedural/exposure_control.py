"""Exposure control at night: a camera opens up for the dark and closes before a lit wall."""

import numpy as np
from numpy.typing import NDArray

_METER_LIMIT = 2.0
"""Radiance at which the meter saturates, so that a lamp in view does not black out the street."""
_TARGET = (0.02, 0.12)
"""Mean of the linear picture that a camera aims at by night; a day's is 0.2."""
_MOST = (1.0, 4.0)
"""Gain at the end of its range: a dark street stays dark."""


def draw_gain(light: NDArray[np.float32], strength: float, rng: np.random.Generator) -> float:
    """Draw a camera, and have it meter a picture.

    Args:
        light: (H, W, 3) linear radiance as it arrives at the lens, unbounded above.
        strength: In [0, 1]: how far the day's exposure, 1, is left behind.
        rng: Of the picture; aim and limit are even in their logarithms.

    Returns:
        What to multiply the light by: above 1 an amplifier, which takes the noise along; below 1
        a shorter time, which does not.
    """
    target, most = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (_TARGET, _MOST))
    mean = float(np.minimum(light, _METER_LIMIT).mean())
    return 1 + strength * (min(target / max(mean, 1e-6), most) - 1)
