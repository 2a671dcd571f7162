"""Snow: on the ground, in the air."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.falling import snow_flakes
from ssd_depth_core.gdt.procedural.overcast import overcast
from ssd_depth_core.gdt.procedural.scene import Scene

_CLOUDS = (0.5, 0.75)
"""Linear luminance of a sky full of snow."""


def snow(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let it snow by day.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Between which visibilities to draw.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    beta = strength * extinction(draw_visibility(rng, config.snow_visibility_m))
    cloud = np.float32(rng.uniform(*_CLOUDS))
    light = overcast(scene, strength, float(cloud))
    cover = (scene.ground * np.float32(0.8 * strength))[..., None]
    light = light + cover * (np.float32(0.8) * cloud - light)
    airlight = np.full(3, cloud, np.float32)
    light = through_air(light, transmission(scene.depth, beta), airlight)
    veil = (snow_flakes(scene, rng) * np.float32(strength))[..., None]
    return light + veil * (cloud - light)
