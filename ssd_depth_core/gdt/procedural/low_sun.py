"""Low sun: dazzling, warm, and everything else dark against it."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.scene import Scene

_WARM = (1.0, 0.72, 0.42)


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
    u, v = rng.uniform(0, width), rng.uniform(0.3, 0.5) * height
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    square = (columns - u) ** 2 + ((rows - v) ** 2)[:, None]
    veil = 1 / (1 + square / np.float32((0.1 * height) ** 2))
    return scene.light * np.float32(1 - 0.5 * strength) + (np.float32(strength) * veil)[
        ..., None
    ] * np.array(_WARM, np.float32)
