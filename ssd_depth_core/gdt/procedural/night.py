"""Night: head lamps, a dark sky, and a camera at the end of its gain."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.camera_noise import add_noise, Noise
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.scene import Scene

_AMBIENT = (0.01, 0.04)


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
    ambient = rng.uniform(*_AMBIENT)
    light = scene.light * np.float32(1 + strength * (ambient - 1))
    noise = Noise(0.05 * strength, 0.01 * strength)
    return add_noise(light, noise, rng)
