"""Fog: air so thick that the street ends in it."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.overcast import overcast
from ssd_depth_core.gdt.procedural.scene import Scene

_AIRLIGHT = (0.4, 0.65)
"""Linear luminance of thick fog by day: light grey, as cameras meter it."""


def fog(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Fill the street with fog.

    Args:
        scene: The clear frame.
        strength: In (0, 1]; scales the extinction.
        config: Between which visibilities to draw.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    beta = strength * extinction(draw_visibility(rng, config.fog_visibility_m))
    grey = rng.uniform(*_AIRLIGHT)
    tint = np.array([1 - rng.uniform(0, 0.04), 1, 1 + rng.uniform(0, 0.04)])
    airlight = (grey * tint).astype(np.float32)
    return through_air(overcast(scene, strength), transmission(scene.depth, beta), airlight)
