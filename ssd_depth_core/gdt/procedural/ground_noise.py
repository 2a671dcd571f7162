"""Patches that lie on the road in perspective: puddles, and snow blown about."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.scene import Scene

WORK_HEIGHT_PX = 225
"""At which patches are drawn: they have soft edges."""
_TILE = 64
"""Cells along each side of the noise, which then repeats."""


def road_points(
    scene: Scene, work_height_px: int = WORK_HEIGHT_PX
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Say where on the road's plane each pixel of a smaller picture looks.

    Args:
        scene: Camera and road.
        work_height_px: Of the smaller picture, at most the scene's height.

    Returns:
        To the right and ahead, (h, w) each [m], 200 m ahead at most, also above the horizon.
    """
    height, width = scene.depth.shape
    factor = min(1.0, work_height_px / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    flat = cv2.resize(scene.road.inverse_depth(height, width), size)
    ahead = 1 / np.maximum(flat, np.float32(1 / 200))
    u = (np.arange(size[0], dtype=np.float32) + 0.5) * np.float32(width / size[0]) - 0.5
    return (u - np.float32(scene.K[0, 2])) / np.float32(scene.K[0, 0]) * ahead, ahead


def ground_noise(
    right: NDArray[np.float32],
    ahead: NDArray[np.float32],
    size_m: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Draw smooth patches.

    Args:
        right: Places on the road, (h, w) [m].
        ahead: Places on the road, (h, w) [m].
        size_m: Of the patches.
        rng: Of the picture.

    Returns:
        (h, w) around 0, of standard deviation near 1; smooth where a pixel sees several patches.
    """
    tile = rng.standard_normal((_TILE, _TILE), np.float32)
    tile = cv2.GaussianBlur(np.tile(tile, (3, 3)), (0, 0), 1.0)[_TILE:-_TILE, _TILE:-_TILE]
    tile /= tile.std()
    x, z = right / np.float32(size_m), ahead / np.float32(size_m)
    noise = cv2.remap(tile, x, z, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    rows = np.abs(np.gradient(z, axis=0))  # patches in one pixel, along the road
    return np.asarray(noise * np.clip(1.5 - rows, 0, 1), np.float32)
