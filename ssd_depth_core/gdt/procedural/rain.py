"""Rain by day: clouds, a wet road, spray, and drops on their way down."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.clouds import clouds
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.falling import rain_streaks
from ssd_depth_core.gdt.procedural.lens_drops import add_drops
from ssd_depth_core.gdt.procedural.mixing import mixed
from ssd_depth_core.gdt.procedural.overcast import overcast
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.wet_road import wet_road

_CLOUDS = (0.4, 0.7)
"""Linear luminance of a rainy sky."""
_EXPOSURE_S = (0.003, 0.01)
"""Of a camera in rain by day."""


def rain(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let it rain by day.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Visibilities and drops on the lens.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    beta = strength * extinction(draw_visibility(rng, config.rain_visibility_m))
    cloud = rng.uniform(*_CLOUDS)
    sky = clouds(scene, cloud)
    light = mixed(overcast(scene, strength), sky, scene.sky * np.float32(strength))
    light = wet_road(light, scene, strength, rng)
    spray = 1 + 2 * np.exp(np.clip(scene.height, 0, None) / np.float32(-1.0))
    airlight = np.full(3, 0.8 * cloud, np.float32)
    light = through_air(light, transmission(scene.depth * spray, beta), airlight)
    veil = rain_streaks(scene, rng.uniform(*_EXPOSURE_S), rng) * np.float32(strength)
    light = mixed(light, np.full(3, cloud), veil)
    return add_drops(light, config.lens_drops, strength, rng)
