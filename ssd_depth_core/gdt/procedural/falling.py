"""Rain and snow in the air, at the distances where drops and flakes are seen one by one."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.scene import Scene

_SUBPIXEL_BITS = 4
"""In which OpenCV places lines and discs between pixels."""
RAIN_MPS = 7.0
"""At which drops of heavy rain fall."""
_RAIN_M = (3.0, 5.0, 8.0, 13.0)
_RAIN_PER_KPX = (0.04, 0.1, 0.25, 0.5)
"""Streaks at each of these distances, for a thousand pixels."""
_SNOW_M = (2.0, 4.0, 8.0, 16.0)
_SNOW_PER_KPX = (0.02, 0.08, 0.4, 1.5)
_FLAKE_M = 0.012
"""Across a clump of flakes."""


def rain_streaks(scene: Scene, time_s: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw drops as the lines along which they fall while the shutter is open.

    Args:
        scene: What is nearer than a drop hides it.
        time_s: Of the exposure.
        rng: Of the picture.

    Returns:
        (H, W) share of each pixel's light that drops replace, in [0, 1].
    """
    height, width = scene.depth.shape
    focal = float(scene.K[1, 1])
    slant = rng.uniform(-0.2, 0.2)
    veil = np.zeros((height, width), np.float32)
    for away, density in zip(_RAIN_M, _RAIN_PER_KPX, strict=True):
        count = int(density * height * width / 1000)
        start = rng.uniform((-0.1 * width, -0.2 * height), (1.1 * width, height), (count, 2))
        length = focal * RAIN_MPS * time_s / away * rng.uniform(0.6, 1.3, (count, 1))
        ends = start + length * np.array([slant, 1.0])
        layer = _lines(np.stack([start, ends], 1), (height, width))
        # Thinner than a pixel, a drop hides as much less of it.
        opacity = 0.35 * min(1.0, 3.0 / away)
        np.maximum(veil, layer * np.float32(opacity) * (scene.depth > away), out=veil)
    return veil


def snow_flakes(scene: Scene, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw flakes as discs, the nearer the larger and the more out of focus.

    Args:
        scene: What is nearer than a flake hides it.
        rng: Of the picture.

    Returns:
        (H, W) share of each pixel's light that flakes replace, in [0, 1].
    """
    height, width = scene.depth.shape
    focal = float(scene.K[1, 1])
    veil = np.zeros((height, width), np.float32)
    for away, density in zip(_SNOW_M, _SNOW_PER_KPX, strict=True):
        count = int(density * height * width / 1000)
        size = focal * _FLAKE_M / away
        start = rng.uniform((0, 0), (width, height), (count, 2))
        drift = rng.uniform(-1.5, 1.5, (count, 2)) * size + (0, 0.5 * size)
        layer = _lines(np.stack([start, start + drift], 1), (height, width), max(1, round(size)))
        layer = cv2.GaussianBlur(layer, (0, 0), max(0.5, 0.25 * size))
        np.maximum(veil, layer * np.float32(0.8) * (scene.depth > away), out=veil)
    return veil


def _lines(
    ends: NDArray[np.float64], shape: tuple[int, int], thickness: int = 1
) -> NDArray[np.float32]:
    """Draw lines from (N, 2, 2) ends, smooth, 1 on 0."""
    canvas = np.zeros(shape, np.uint8)
    points = np.rint(ends * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(canvas, list(points), False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return canvas.astype(np.float32) / np.float32(255)
