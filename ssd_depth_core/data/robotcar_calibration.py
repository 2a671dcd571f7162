"""Read RobotCar's calibration, and turn its raw pictures into rectified ones.

Frames, as the dataset has them: `vehicle` and `camera` x forward, y right, z down; `image` x
right, y down, z forward (optical). `T_a_b` maps points in b into a.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file, check_intrinsics
from ssd_depth_core.geometry.pose import transform_from_euler
from ssd_depth_core.geometry.quaternion import quaternion_of

MODEL_OF_CHANNEL = {'stereo/left': 'stereo_wide_left'}
"""The outer left lens belongs to the wide pair; `stereo_narrow_left` is the centre's model."""

_REMEDY = 'copy models/ and extrinsics/ of the robotcar-dataset-sdk beside the traversals'


def kept_rows(height: int) -> int:
    """Say how many rows remain when the bonnet is cut off.

    Args:
        height: Of the raw picture, pixels.

    Returns:
        The top four fifths, 768 of 960, as the field crops RobotCar.
    """
    return height * 4 // 5


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraModel:
    """Hold a camera's pinhole model and the way from its raw picture there."""

    path: Path
    """The intrinsics file, for messages."""
    K: NDArray[np.float64]
    """(3, 3), pixels of the rectified picture, cropped or not: rows are cut at the bottom."""
    T_camera_image: NDArray[np.float64]
    """(4, 4)."""
    lut: NDArray[np.float32]
    """(2, H*W): x and y in the raw picture for each rectified pixel, row by row, pixels."""

    def rectify(self, mosaic: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
        """Turn a raw picture into the one that K belongs to.

        Args:
            mosaic: (H, W), Bayer pattern GBRG.
            name: What the picture is called in the message.

        Returns:
            (H * 4 // 5, W, 3) RGB; black where the raw picture does not reach.

        Raises:
            ValueError: If the look-up table is of another picture size.
        """
        height, width = mosaic.shape
        if self.lut.shape[1] != height * width:
            raise ValueError(
                f'{name} has {width}x{height} pixels, but the look-up table beside {self.path} '
                f'has {self.lut.shape[1]}; it belongs to another picture size'
            )
        x, y = self.lut.reshape(2, height, width)[:, : kept_rows(height)]
        return cv2.remap(demosaic(mosaic), x, y, cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def demosaic(mosaic: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Interpolate the colours of RobotCar's stereo camera, bilinearly as the dataset's tools do.

    Args:
        mosaic: (H, W); the first row is G B G B, the second R G R G.

    Returns:
        (H, W, 3) RGB.
    """
    # The old name of this code, `BayerGR`, is that of the block one pixel further.
    return cv2.cvtColor(mosaic, cv2.COLOR_BayerGBRG2RGB)


def read_mosaic(path: Path) -> NDArray[np.uint8]:
    """Read a raw picture.

    Args:
        path: `stereo/left/<timestamp>.png`.

    Returns:
        (H, W).

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, truncated, no picture, or none of 8 bits and one channel.
    """
    remedy = "download the traversal's stereo archive again"
    check_file(path, 'picture', remedy)
    mosaic = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if mosaic is None:
        raise ValueError(f'picture {path} is truncated or no PNG; {remedy}')
    if mosaic.ndim != 2 or mosaic.dtype != np.uint8:
        raise ValueError(
            f'picture {path} must be a raw Bayer mosaic, (H, W) uint8, got {mosaic.shape} '
            f'{mosaic.dtype}; if other tools rectified it in place, {remedy}'
        )
    return mosaic


def read_camera_model(folder: Path, channel: str) -> CameraModel:
    """Read a camera's intrinsics and its undistortion table.

    Args:
        folder: `models/`.
        channel: `stereo/left`.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is truncated or holds no such model.
    """
    path = folder / f'{MODEL_OF_CHANNEL[channel]}.txt'
    lut_path = folder / f'{path.stem}_distortion_lut.bin'
    check_file(path, 'camera model', _REMEDY)
    check_file(lut_path, 'undistortion table', _REMEDY)
    values = _numbers(path)
    if len(values) != 4 + 16:
        raise ValueError(f'{path} must hold fx fy cx cy and a 4x4 matrix, got {values}; {_REMEDY}')
    fx, fy, cx, cy = values[:4]
    K = np.array(((fx, 0, cx), (0, fy, cy), (0, 0, 1.0)))
    check_intrinsics(K, f'{path}: K')
    T_camera_image = np.array(values[4:]).reshape(4, 4)
    try:
        quaternion_of(T_camera_image)
    except ValueError as error:
        raise ValueError(f'{path}: {error}; {_REMEDY}') from None
    table = np.fromfile(lut_path, '<f8')
    if lut_path.stat().st_size % 16 or not np.isfinite(table).all():
        raise ValueError(
            f'{lut_path} must hold two finite float64 a pixel, got {lut_path.stat().st_size} '
            f'bytes; {_REMEDY}'
        )
    return CameraModel(
        path=path, K=K, T_camera_image=T_camera_image, lut=table.reshape(2, -1).astype(np.float32)
    )


def read_extrinsics(path: Path) -> NDArray[np.float64]:
    """Read how a sensor is mounted.

    Args:
        path: `extrinsics/<sensor>.txt`: x y z [m] roll pitch yaw [rad].

    Returns:
        (4, 4): `T_vehicle_sensor` for a LiDAR, but `T_camera_vehicle` for a camera.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it does not hold six finite numbers.
    """
    check_file(path, 'extrinsics', _REMEDY)
    try:
        return transform_from_euler(_numbers(path))
    except ValueError as error:
        raise ValueError(f'{path}: {error}; {_REMEDY}') from None


def _numbers(path: Path) -> list[float]:
    try:
        return [float(text) for text in path.read_text().split()]
    except ValueError as error:
        raise ValueError(f'{path}: {error}; {_REMEDY}') from None
