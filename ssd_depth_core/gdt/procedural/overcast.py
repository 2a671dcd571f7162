"""Light without a sun: weather hides it, so that shadows fill and colours fade."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread

_LUMA = (0.2126, 0.7152, 0.0722)
"""Of linear sRGB, ITU-R BT.709."""
_EVENING = 0.35
"""Exponent by which large bright and dark parts are drawn to their mean."""
_FADING = 0.4
"""Share of the colour that goes."""
_TINT = (0.97, 1.0, 1.04)
"""Clouds are a little bluer than the sun that cameras balance white by."""


def overcast(scene: Scene, amount: float, cloud: float) -> NDArray[np.float32]:
    """Light the scene by clouds.

    Args:
        scene: In sunshine.
        amount: 0 leaves it, 1 hides the sun.
        cloud: Linear luminance of the clouds.

    Returns:
        (H, W, 3) linear.
    """
    light, height = scene.light, scene.light.shape[0]
    luma = cv2.transform(light, np.array([_LUMA], np.float32))
    around = spread(luma, height / 24)
    mean = float(luma.mean())
    gain = ((mean + 0.02) / (around + 0.02)) ** np.float32(_EVENING * amount)
    grey = luma[..., None] * np.float32(_FADING * amount)
    lit = (light * np.float32(1 - _FADING * amount) + grey) * gain[..., None]
    tint = 1 + amount * (np.array(_TINT, np.float32) - 1)
    lit *= tint
    veil = (scene.sky * np.float32(amount))[..., None]
    return lit + veil * (np.float32(cloud) * tint - lit)
