"""Rain by night: every lamp twice, once in the road."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.camera_noise import add_noise
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.exposure_control import draw_gain
from ssd_depth_core.gdt.procedural.falling import rain_streaks
from ssd_depth_core.gdt.procedural.lamp_glare import add_glare
from ssd_depth_core.gdt.procedural.lens_drops import add_drops
from ssd_depth_core.gdt.procedural.mixing import mixed
from ssd_depth_core.gdt.procedural.night import draw_noise, night_light
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread
from ssd_depth_core.gdt.procedural.wet_road import wet_road

_EXPOSURE_S = (0.012, 0.03)
"""Of a camera at night: streaks are long."""
_GLARE = (0.2, 0.45)
"""Share of a lamp's light that wet glass scatters."""
_GATHERING = 3.0
"""Radiance of drops over that around them."""
_LAMPS_M = 80.0
"""Farthest that light is followed: lamps stand out against a sky that has no light of its own."""


def night_rain(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let it rain at night.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Visibilities and drops on the lens.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    beta = strength * extinction(draw_visibility(rng, config.rain_visibility_m))
    light = wet_road(night_light(scene, strength, rng), scene, strength, rng)
    around = spread(np.minimum(light, 2), scene.depth.shape[0] / 6)
    light = through_air(light, transmission(np.minimum(scene.depth, _LAMPS_M), beta), around)
    # Drops gather the light of all lamps around them.
    veil = rain_streaks(scene, rng.uniform(*_EXPOSURE_S), rng) * np.float32(strength)
    light = mixed(light, np.float32(_GATHERING) * around, veil)
    gain = draw_gain(light, strength, rng)
    light = add_glare(light * np.float32(gain), strength * rng.uniform(*_GLARE))
    light = add_drops(light, config.lens_drops, strength, rng)
    return add_noise(light, draw_noise(strength, gain, rng), rng)
