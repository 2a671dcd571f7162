"""Random patterns painted onto the surfaces of a rendered picture, by its exact depth.

Rendered walls are smoother than real ones. A pattern that lies in space, not on the picture,
shrinks with distance as real texture does, so that a network learns to look past it.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

_SIZE = 64
"""Cells along each side of the noise volume, which repeats."""


def solid_texture(
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    K: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    """Multiply a picture by a random solid pattern.

    Args:
        image: (H, W, 3) RGB.
        depth: (H, W) [m]; where it is not finite nothing is painted.
        K: (3, 3), pixels.
        rng: Scale, strength, tint and place of the pattern.

    Returns:
        (H, W, 3).
    """
    height, width = depth.shape
    seen = np.isfinite(depth)
    z = np.where(seen, depth, 1.0).astype(np.float32)
    x = ((np.arange(width) - K[0, 2]) / K[0, 0]).astype(np.float32)[None] * z
    y = ((np.arange(height) - K[1, 2]) / K[1, 1]).astype(np.float32)[:, None] * z
    # Cells of 2 cm to 1 m, longer along one axis than the other: planks, bricks, gravel, leaves.
    cells_per_m = np.exp(rng.uniform(np.log(1.0), np.log(50.0)) + rng.uniform(-1.0, 1.0, 3))
    shifts = rng.uniform(1e4, 2e4, 3)  # keeps cell numbers positive
    cell = [
        (axis * np.float32(scale) + np.float32(shift)).astype(np.int32) & (_SIZE - 1)
        for axis, scale, shift in zip((x, y, z), cells_per_m, shifts, strict=True)
    ]
    pattern = _volume()[cell[0], cell[1], cell[2]]
    # A pixel that covers several cells sees their mean, which is 0.
    fade = np.minimum(1.0, K[0, 0] / (z * np.float32(cells_per_m.mean()))) * seen
    strength = rng.uniform(0.05, 0.35) * (1 + rng.uniform(-0.3, 0.3, 3))
    gain = cv2.exp(pattern * fade.astype(np.float32))
    gains = cv2.merge([cv2.pow(gain, float(power)) for power in strength])
    return cv2.multiply(image, gains, dtype=cv2.CV_8U)


@lru_cache(maxsize=1)
def _volume() -> NDArray[np.float32]:
    """Make the noise, (64, 64, 64), zero mean and unit spread, amplitude falling as f^-1."""
    rng = np.random.default_rng(0)
    axis = np.fft.fftfreq(_SIZE)
    fx, fy, fz = np.meshgrid(axis, axis, np.fft.rfftfreq(_SIZE), indexing='ij')
    radius = np.maximum(np.sqrt(fx**2 + fy**2 + fz**2), 1 / _SIZE)
    white = np.fft.rfftn(rng.standard_normal((_SIZE,) * 3))
    noise = np.fft.irfftn(white / radius, s=(_SIZE,) * 3, axes=(0, 1, 2))
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)
