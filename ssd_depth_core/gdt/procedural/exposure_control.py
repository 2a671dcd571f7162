"""Exposure control at night: a camera opens up for the dark and closes before a lit wall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_METER_LIMIT = 2.0
"""Radiance at which the meter saturates, so that a lamp in view does not black out the street."""
_TARGET = (0.02, 0.12)
"""Mean of the linear picture that a camera aims at by night; a day's is 0.2."""
_MOST = (1.0, 4.0)
"""Gain at the end of its range: a dark street stays dark."""


@dataclass(frozen=True, slots=True)
class ExposureControl:
    """Hold how one camera meets the night."""

    target: float
    """Mean that it aims at."""
    most: float
    """Gain that it has at most."""

    def gain(self, light: NDArray[np.float32]) -> float:
        """Meter a picture.

        Args:
            light: (H, W, 3) linear radiance, unbounded above.

        Returns:
            What to multiply it by.
        """
        mean = float(np.minimum(light, _METER_LIMIT).mean())
        return min(self.target / max(mean, 1e-6), self.most)


def draw_exposure_control(rng: np.random.Generator) -> ExposureControl:
    """Draw a camera.

    Args:
        rng: Of the picture.

    Returns:
        Its aim and its limit, even in their logarithms.
    """
    target, most = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (_TARGET, _MOST))
    return ExposureControl(target, most)
