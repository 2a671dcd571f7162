"""Night: lamps, a dark sky, and a camera at the end of its gain."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.camera_noise import add_noise, Noise
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.exposure_control import draw_gain
from ssd_depth_core.gdt.procedural.lamp_glare import add_glare
from ssd_depth_core.gdt.procedural.lamps import add_lamp_heads, draw_street_lamps, lamp_light
from ssd_depth_core.gdt.procedural.mixing import coloured, mixed, scaled
from ssd_depth_core.gdt.procedural.overcast import overcast
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread
from ssd_depth_core.gdt.procedural.windows import lit_windows

_AMBIENT = (0.012, 0.12)
"""Light of the town's sky and of all lamps out of view in daylight's unit, as the night camera
sees it."""
_SKY = (0.003, 0.02)
"""Radiance of that sky overhead; near the horizon it is more."""
_TINTS = ((0.75, 0.9, 1.25), (1.25, 0.95, 0.65))
"""Of the town's sky: moon blue, sodium orange."""
_GLARE = (0.1, 0.3)
"""Share of a lamp's light that lens and windscreen scatter."""
_SHOT, _READ = (0.015, 0.08), (0.001, 0.01)
"""Noise before the exposure control amplifies it, as standard deviations where white is 1."""
_LAMP_GAIN = 25.0
"""By how much a lamp that is on by day outshines the night's exposure."""


def night(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Turn the day into night.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Not needed here.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    light = night_light(scene, strength, rng)
    gain = draw_gain(light, strength, rng)
    light = add_glare(light * np.float32(gain), strength * rng.uniform(*_GLARE))
    return add_noise(light, draw_noise(strength, gain, rng), rng)


def night_light(scene: Scene, strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Light a dry street by lamps.

    Args:
        scene: The clear frame.
        strength: In (0, 1]: below 1 some of the day is left.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear radiance as it arrives at the lens, unbounded above.
    """
    tint = np.array(_TINTS)[rng.integers(2)]
    ambient = (tint * np.exp(rng.uniform(*np.log(_AMBIENT)))).astype(np.float32)
    glow = (tint * np.exp(rng.uniform(*np.log(_SKY)))).astype(np.float32)
    street = draw_street_lamps(rng)
    arriving = lamp_light(scene, street, rng.uniform(0.6, 1.3), ambient)
    shown = mixed(overcast(scene, strength) * arriving, _sky(scene, glow), scene.sky)
    shown += np.float32(_LAMP_GAIN) * lit_lamps(scene) + lit_windows(scene, rng)
    add_lamp_heads(shown, scene, street)
    return np.asarray(cv2.addWeighted(scene.light, 1 - strength, shown, strength, 0))


def _sky(scene: Scene, glow: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give a sky that the town lights from below, (H, W, 3)."""
    height, width = scene.depth.shape
    # Over its slope, the plane's inverse depth is minus the tangent of the elevation.
    rise = -scene.road.inverse_depth(height, width) * np.float32(scene.road.camera_height)
    near_horizon = cv2.exp(np.clip(rise, 0, None) / np.float32(-0.12))
    return coloured(1 + np.float32(2.5) * near_horizon, glow)


def lit_lamps(scene: Scene) -> NDArray[np.float32]:
    """Find lamps that are on by day: small, red to green, and bright above all around them.

    Args:
        scene: The clear frame.

    Returns:
        (H, W, 3) linear, the more the brighter they are; no road marking, no patch of sky.
    """
    red, green, blue = cv2.split(scene.light)
    hue = np.clip((cv2.max(red, green) - blue - np.float32(0.35)) / np.float32(0.3), 0, 1)
    around = spread(scene.luma, scene.light.shape[0] / 60)
    above = np.clip(scene.luma - around - np.float32(0.05), 0, None)
    seen = cv2.GaussianBlur(above * hue * (1 - scene.ground) * (1 - scene.sky), (0, 0), 0.7)
    return scaled(scene.light, seen)


def draw_noise(strength: float, gain: float, rng: np.random.Generator) -> Noise:
    """Draw how noisy the camera is.

    Args:
        strength: Scales the noise.
        gain: Of the exposure control. Amplified, s = gain s0 has the variance
            gain shot^2 s + gain^2 read^2; a time that is shortened leaves noise as it is.
        rng: Of the picture.

    Returns:
        Shot and read noise of the amplified signal.
    """
    shot, read = (np.exp(rng.uniform(*np.log(ends))) for ends in (_SHOT, _READ))
    amplified = max(gain, 1.0)
    return Noise(strength * amplified**0.5 * shot, strength * amplified * read)
