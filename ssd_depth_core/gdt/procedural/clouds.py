"""The sky of bad weather: grey, a little brighter where the clear one was."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.mixing import coloured
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread

_STRUCTURE = 0.5
"""Share of the clear sky's own contrast that shows in the clouds."""
_TINT = (0.97, 1.0, 1.04)
"""A little bluer than the sun that cameras balance white by."""


def clouds(scene: Scene, brightness: float) -> NDArray[np.float32]:
    """Draw clouds.

    Args:
        scene: Whose sky's structure is kept, soft.
        brightness: Linear luminance on average.

    Returns:
        (H, W, 3) linear, everywhere; what is below the sky is to be left out.
    """
    seen = float(scene.sky.sum())
    mean = float((scene.luma * scene.sky).sum()) / max(seen, 1.0)
    height = scene.luma.shape[0]
    known = spread(scene.sky, height / 30) + np.float32(1e-3)
    soft = spread((scene.luma - np.float32(mean)) * scene.sky, height / 30) / known
    relative = np.clip(soft / np.float32(max(mean, 0.05)), -0.6, 0.6)
    light = np.float32(brightness) * (1 + np.float32(_STRUCTURE) * relative)
    return coloured(light.astype(np.float32), _TINT)
