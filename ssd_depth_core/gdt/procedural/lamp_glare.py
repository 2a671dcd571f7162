"""Glare: light of bright spots, spread by lens and windscreen over what lies around them."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.soft import spread

_WIDTHS = ((1 / 120, 0.45), (1 / 50, 0.3), (1 / 18, 0.17), (1 / 6, 0.08))
"""Standard deviation over the picture's height, and share: near r^-2, as eyes and lenses do."""
_BRIGHT = 0.8
"""Radiance from which light dazzles; the rest of a picture spreads unseen."""
_MOST = 150.0
"""Beyond this a lamp is a lamp."""


def add_glare(light: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Spread what is bright.

    Args:
        light: (H, W, 3) linear, unbounded above.
        share: Of bright light that is scattered.

    Returns:
        (H, W, 3), nowhere darker.
    """
    height, width = light.shape[:2]
    size = (max(1, width // 4), max(1, height // 4))
    bright = cv2.resize(
        np.clip(light - np.float32(_BRIGHT), 0, _MOST), size, interpolation=cv2.INTER_AREA
    )
    glare = np.zeros_like(bright)
    for width_share, weight in _WIDTHS:
        glare += np.float32(weight) * spread(bright, width_share * size[1])
    glare = cv2.resize(glare, (width, height), interpolation=cv2.INTER_LINEAR)
    return light + np.float32(share) * glare
