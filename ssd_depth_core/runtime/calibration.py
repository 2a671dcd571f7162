"""What `sensor_msgs/CameraInfo` says of its image, from plain values: on a robot as over a bag."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from ssd_depth_core.preprocess import resize_intrinsics


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """Hold the part of the sensor that an image shows, before binning."""

    x_offset: int = 0
    """First column, pixels."""
    y_offset: int = 0
    """First row, pixels."""
    height: int = 0
    """Rows; 0 for all of them."""
    width: int = 0
    """Columns; 0 for all of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """Hold the intrinsics of the image as it arrives, region of interest and binning worked in."""

    size: tuple[int, int]
    """(H, W) of the image that this describes, pixels."""
    K: NDArray[np.float64]
    """(3, 3) of the raw image, pixels."""
    P: NDArray[np.float64]
    """(3, 4) of the rectified image, pixels."""
    is_distorted: bool
    """Whether the camera says that its raw images are not rectified."""

    @property
    def intrinsics(self) -> NDArray[np.float64]:
        """(3, 3) of the rectified image, pixels, which is what depth is computed with."""
        return self.P[:, :3]


def read_calibration(
    *,
    size: tuple[int, int],
    K: ArrayLike,
    P: ArrayLike,
    D: Sequence[float] | NDArray[np.float64],
    region: Region,
    binning: tuple[int, int],
) -> Calibration:
    """Work out what the fields of a camera_info mean for the image that comes with it.

    Args:
        size: (H, W) of the full sensor, pixels.
        K: 9 values, row by row, of the full sensor [px]; zeros mean that P serves for both.
        P: 12 values, row by row, of the full sensor [px]; zeros mean that K serves for both.
        D: Of the lens; empty or zeros where images are rectified.
        region: Of interest.
        binning: Sensor pixels an image pixel, (vertical, horizontal); 0 means 1.

    Returns:
        The calibration; its focal lengths are zero where the camera is not calibrated.
    """
    K = np.array(K, np.float64).reshape(3, 3)
    P = np.array(P, np.float64).reshape(3, 4)
    if not P[0, 0]:
        P[:, :3] = K
    elif not K[0, 0]:
        K = P[:, :3]
    bins = (max(binning[0], 1), max(binning[1], 1))
    height, width = region.height or size[0], region.width or size[1]
    return Calibration(
        size=(height // bins[0], width // bins[1]),
        K=_window(K, region, bins),
        P=_window(P, region, bins),
        is_distorted=bool(np.any(D)),
    )


def _window(
    matrix: NDArray[np.float64], region: Region, binning: tuple[int, int]
) -> NDArray[np.float64]:
    """Move K or P, which speak of the full sensor, to the image that is cut out and binned."""
    moved = matrix.copy()
    moved[0] -= region.x_offset * matrix[2]
    moved[1] -= region.y_offset * matrix[2]
    return resize_intrinsics(moved, binning, (1, 1))
