"""What air does to light on its way: Koschmieder's law."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.mixing import mixed

CONTRAST = 0.05
"""What the meteorological optical range leaves of light, as the WMO defines it."""


def extinction(visibility_m: float) -> float:
    """Give the share of light that is lost in each metre.

    Args:
        visibility_m: Meteorological optical range.

    Returns:
        beta [1/m].
    """
    return float(-np.log(CONTRAST) / visibility_m)


def transmission(depth: NDArray[np.float32], beta: float) -> NDArray[np.float32]:
    """Give what comes through.

    Args:
        depth: Any shape [m], finite.
        beta: Extinction [1/m].

    Returns:
        Same shape, in [0, 1]: exp(-beta Z).
    """
    return np.asarray(cv2.exp(depth * np.float32(-beta)))


def through_air(
    light: NDArray[np.float32], transmitted: NDArray[np.float32], airlight: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Look at a scene through air: I = J t + A (1 - t).

    Args:
        light: J, (H, W, 3) linear.
        transmitted: t, (H, W).
        airlight: A, (3,) or (H, W, 3): what infinitely thick air looks like.

    Returns:
        I, (H, W, 3).
    """
    return mixed(light, airlight, 1 - transmitted)


def draw_visibility(rng: np.random.Generator, range_m: tuple[float, float]) -> float:
    """Draw a visibility, even in the logarithm: 50 to 100 m as often as 100 to 200 m.

    Args:
        rng: Of the picture.
        range_m: Least and most.

    Returns:
        In metres.
    """
    return float(np.exp(rng.uniform(*np.log(range_m))))
