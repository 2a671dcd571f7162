"""The guided filter: soft maps take their edges from the picture that they belong to."""

import cv2
import numpy as np
from numpy.typing import NDArray

_WORK_HEIGHT_PX = 300
"""At which the filter's two coefficients are found; they are smooth, the guide is not."""


def guided(
    values: NDArray[np.float32], guide: NDArray[np.float32], radius: float, softness: float
) -> NDArray[np.float32]:
    """Make a map linear in the guide within each small window.

    Reference: He, Sun, 2015, arXiv 1505.00996 (fast guided filter).

    Args:
        values: (h, w), of any size that shows the same as the guide.
        guide: (H, W).
        radius: Of the windows, as a share of the height.
        softness: Standard deviation of the guide below which a window has no edge.

    Returns:
        (H, W).
    """
    height, width = guide.shape
    factor = min(1.0, _WORK_HEIGHT_PX / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    x = cv2.resize(guide, size, interpolation=cv2.INTER_AREA)
    y = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    side = 2 * max(1, round(radius * size[1])) + 1

    def mean(picture: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(cv2.blur(picture, (side, side), borderType=cv2.BORDER_REFLECT))

    mean_x, mean_y = mean(x), mean(y)
    variance = np.maximum(mean(x * x) - mean_x**2, 0)
    slope = (mean(x * y) - mean_x * mean_y) / (variance + np.float32(softness**2))
    offset = mean_y - slope * mean_x
    slope, offset = (
        cv2.resize(mean(picture), (width, height), interpolation=cv2.INTER_LINEAR)
        for picture in (slope, offset)
    )
    return slope * guide + offset
