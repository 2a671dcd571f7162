"""Wide blurs, made small and drawn large again: light that spreads has no sharp edges to lose."""

import cv2
import numpy as np
from numpy.typing import NDArray


def spread(picture: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur by a Gaussian.

    Args:
        picture: (H, W) or (H, W, C).
        sigma_px: Standard deviation, pixels.

    Returns:
        Same shape.
    """
    height, width = picture.shape[:2]
    # A pixel of the small picture is half a sigma: its box adds 2 % to the width.
    factor = max(1.0, min(sigma_px / 2, height / 4, width / 4))
    size = (max(1, round(width / factor)), max(1, round(height / factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), sigma_px / factor, borderType=cv2.BORDER_REPLICATE)
    if factor == 1.0:
        return np.asarray(small, np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
