"""Drops on the lens: each shows the scene small, blurred and upside down."""

import cv2
import numpy as np
from numpy.typing import NDArray

_RADIUS = (0.008, 0.05)
"""As a share of the picture's height."""
_SHRINK = 6.0
"""How much smaller than the scene its image in a drop is."""


def add_drops(
    light: NDArray[np.float32], at_most: int, amount: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let drops run onto the lens.

    Args:
        light: (H, W, 3) linear.
        at_most: Number of drops; any number up to it is drawn alike.
        amount: How opaque they are, in [0, 1].
        rng: Of the picture.

    Returns:
        (H, W, 3).
    """
    height, width = light.shape[:2]
    soft = cv2.resize(
        light, (max(1, width // 16), max(1, height // 16)), interpolation=cv2.INTER_AREA
    )
    result = light.copy()
    for _ in range(rng.integers(at_most + 1)):
        u, v = rng.uniform(0, width), rng.uniform(0, height)
        radius = height * np.exp(rng.uniform(*np.log(_RADIUS)))
        rows = np.arange(max(0, int(v - 1.3 * radius)), min(height, int(v + 1.3 * radius) + 1))
        columns = np.arange(max(0, int(u - radius)), min(width, int(u + radius) + 1))
        x, y = np.meshgrid((columns - u) / radius, (rows - v) / (1.2 * radius))
        cover = np.clip((1 - np.hypot(x, y)) / 0.4, 0, 1) * amount
        map_x = ((u - _SHRINK * x * radius) / 16).astype(np.float32)
        map_y = ((v - _SHRINK * y * radius) / 16).astype(np.float32)
        seen = cv2.remap(soft, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        place = np.ix_(rows, columns)
        share = cover.astype(np.float32)[..., None]
        # Its rim bends light from outside the picture, which is darker.
        result[place] += share * (
            seen * (0.7 + 0.3 * cover.astype(np.float32))[..., None] - result[place]
        )
    return result
