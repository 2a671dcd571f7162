"""Which RobotCar pictures teach nothing: over-exposed, jumping in exposure, or of a standing car.

Reference: md4all (Gasperini et al., 2023), its filter of RobotCar's training pictures.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

OVER_EXPOSED = 0.9
"""Mean intensity from which on a picture is dropped."""
EXPOSURE_JUMP = 0.05
"""Largest difference of mean intensity to a neighbour."""
STATIC_M = 1e-3
"""Shortest way to a neighbour."""


def mean_intensity(image: NDArray[np.uint8]) -> float:
    """Average a picture.

    Args:
        image: (H, W, 3), without the bonnet.

    Returns:
        In [0, 1].
    """
    return float(image.mean(dtype=np.float64)) / 255


def is_over_exposed(intensity: float) -> bool:
    """Say whether too much of a picture is white.

    Args:
        intensity: As `mean_intensity` gives.

    Returns:
        Whether it is 0.9 or more.
    """
    return intensity >= OVER_EXPOSED


def jumps_in_exposure(intensity: float, neighbours: Sequence[float]) -> bool:
    """Say whether a picture is much brighter or darker than the one before or after.

    Args:
        intensity: As `mean_intensity` gives.
        neighbours: The same of its neighbours.

    Returns:
        Whether one differs by more than 0.05.
    """
    return any(abs(intensity - neighbour) > EXPOSURE_JUMP for neighbour in neighbours)


def is_static(distances_m: Sequence[float]) -> bool:
    """Say whether the car stands.

    Args:
        distances_m: Ways of the camera to the pictures before and after.

    Returns:
        Whether one is shorter than a millimetre.
    """
    return any(distance < STATIC_M for distance in distances_m)
