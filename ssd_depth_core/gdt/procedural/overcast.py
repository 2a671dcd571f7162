"""Light without a sun: weather and night hide it, so that shadows fill and colours fade."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.guided import guided
from ssd_depth_core.gdt.procedural.mixing import scaled
from ssd_depth_core.gdt.procedural.scene import LUMA, Scene

_WORK_HEIGHT_PX = 225
"""At which shadows are looked for."""
_MARKING = 1 / 12
"""Share of the height; what is smaller than half of it is paint rather than shadow."""
_SHADOW, _GROUND_SHADOW = 0.3, 0.85
"""Exponents by which large bright and dark parts are drawn to their mean: the ground is of one
kind, what stands on it is not."""
_DARKEST = 0.02
"""Luminance below which there is too little to be made brighter."""
_FADING = 0.4
"""Share of the colour that goes with the sun."""
_TINT = (0.97, 1.0, 1.04)
"""Clouds are a little bluer than the sun that cameras balance white by."""


def overcast(scene: Scene, amount: float) -> NDArray[np.float32]:
    """Light everything below the sky by clouds.

    Args:
        scene: In sunshine.
        amount: 0 leaves it, 1 hides the sun.

    Returns:
        (H, W, 3) linear; the sky is lit like the rest and has to be replaced.
    """
    fading = _FADING * amount
    tint = 1 + amount * (np.array(_TINT) - 1)
    # To each channel goes a share of the luminance, in one matrix.
    matrix = tint[:, None] * ((1 - fading) * np.eye(3) + fading * np.array(LUMA))
    return scaled(np.asarray(cv2.transform(scene.light, matrix)), _evening(scene, amount))


def _evening(scene: Scene, amount: float) -> NDArray[np.float32]:
    """Give the gain that undoes shadows, (H, W)."""
    height, width = scene.luma.shape
    factor = min(1.0, _WORK_HEIGHT_PX / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    luma, ground = (
        cv2.resize(values, size, interpolation=cv2.INTER_AREA)
        for values in (scene.luma, scene.ground)
    )
    # A median keeps the edges of shadows and drops markings; on roots, 8 bits are enough.
    side = 2 * max(1, round(_MARKING * size[1] / 2)) + 1
    roots = np.rint(255 * np.sqrt(luma)).astype(np.uint8)
    base = (cv2.medianBlur(roots, side).astype(np.float32) / 255) ** 2
    mean = float(base.mean())
    road = float((base * ground).sum() / max(float(ground.sum()), 1e-6))
    wanted = mean + ground * np.float32(road - mean)
    exponent = np.float32(amount) * (_SHADOW + ground * np.float32(_GROUND_SHADOW - _SHADOW))
    gain = ((wanted + _DARKEST) / (base + _DARKEST)) ** exponent
    refined = guided(gain, np.sqrt(scene.luma), 1 / 60, 0.03)
    return np.clip(refined, gain.min(), gain.max())
