"""Low sun ahead: it dazzles, gilds the road, and leaves what stands against it dark."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.mixing import coloured, scaled
from ssd_depth_core.gdt.procedural.scene import Scene

_ELEVATION_DEG = (2.0, 10.0)
"""Of the sun over the road's horizon."""
_ASIDE = (-0.15, 1.15)
"""Column of the sun as a share of the width: now and then it stands beside the picture."""
_REDDEST, _PALEST = (1.0, 0.62, 0.3), (1.0, 0.86, 0.66)
"""Its colour at the least and at the most elevation, behind all that air."""
_VEIL = (0.004, 0.011)
"""Veiling radiance times the square of the angle from the sun [rad^2]: Stiles and Holladay's
law, which dirty windscreens follow as well as eyes."""
_CORE_RAD, _HIDDEN_RAD = 0.03, 0.15
"""Within which the law, infinite in the sun, flattens: in the open, and where something stands
before the sun, whose disc is then not seen."""
_HIDDEN = 0.3
"""Share of the veil that is left where the sun stands behind something."""
_BACKLIT = 0.45
"""Light on what faces the camera, and so turns its back to the sun."""
_GLOW = 0.8
"""Radiance of the sky around the sun."""
_ROAD_SHINE = 0.5
"""Radiance of the sun's track on the road, where it is brightest."""


def low_sun(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Put the sun just above the horizon.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Not needed here.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    height, width = scene.depth.shape
    share = rng.uniform()
    rise = np.tan(np.radians(_ELEVATION_DEG[0] + share * np.diff(_ELEVATION_DEG)[0]))
    colour = np.array(_REDDEST) + share * (np.array(_PALEST) - np.array(_REDDEST))
    colour = colour.astype(np.float32)
    u = rng.uniform(*_ASIDE) * width
    veil_power = rng.uniform(*_VEIL)
    a, b, c = scene.road.coefficients
    horizon = -(a * u + c) / b
    v = horizon - scene.K[1, 1] * rise

    x = ((np.arange(width) - u) / scene.K[0, 0]).astype(np.float32)
    y = ((np.arange(height) - v) / scene.K[1, 1]).astype(np.float32)
    square = x**2 + (y**2)[:, None]
    seen = _seen(scene, u, v)
    core = _HIDDEN_RAD + seen * (_CORE_RAD - _HIDDEN_RAD)
    veil_power *= _HIDDEN + seen * (1 - _HIDDEN)
    veil = np.float32(veil_power) / (square + np.float32(core**2))
    track = np.exp(-0.5 * (x / 0.09) ** 2) * np.exp(-np.abs(y - 2 * rise) / 0.25)[:, None]

    # The sky stays as bright as it was; what stands below turns dark and warm.
    warm = _BACKLIT * (0.5 + 0.5 * colour)
    lit = cv2.transform(scene.light, np.diag(warm))
    lit += scaled(cv2.transform(scene.light, np.diag(1 - warm)), scene.sky)
    glow = cv2.exp(cv2.sqrt(square) / np.float32(-0.5)) * scene.sky * np.float32(_GLOW)
    # Light asphalt and paint shine more than dark asphalt, but all of it shines.
    shine = scene.ground * track * np.float32(_ROAD_SHINE) * (np.float32(0.3) + scene.luma)
    lit += coloured(glow + shine + veil, colour)
    return np.asarray(cv2.addWeighted(scene.light, 1 - strength, lit, strength, 0))


def _seen(scene: Scene, u: float, v: float) -> float:
    """Say how much of the sun stands in the sky; beside the picture it is taken to be free."""
    height, width = scene.depth.shape
    if not (0 <= u < width and 0 <= v < height):
        return 1.0
    reach = max(1, round(0.01 * height))
    rows = slice(max(0, int(v) - reach), int(v) + reach + 1)
    columns = slice(max(0, int(u) - reach), int(u) + reach + 1)
    return float(scene.sky[rows, columns].mean())
