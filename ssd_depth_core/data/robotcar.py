"""Read Oxford RobotCar: rectified pictures, and sparse depth gathered from a push-broom LiDAR.

<root>/<traversal>/stereo.timestamps         one line a picture: microseconds, chunk
<root>/<traversal>/stereo/left/<us>.png      raw 8-bit Bayer mosaic (GBRG)
<root>/<traversal>/lms_front.timestamps      one line a scan
<root>/<traversal>/lms_front/<us>.bin        float64, N x 3: x, y [m], reflectance
<root>/<traversal>/vo/vo.csv                 visual odometry
<root>/models/, <root>/extrinsics/           as in the robotcar-dataset-sdk
"""

from dataclasses import dataclass
from functools import cached_property
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file
from ssd_depth_core.data.index import IndexLine, Neighbour
from ssd_depth_core.data.robotcar_calibration import (
    CameraModel,
    kept_rows,
    read_camera_model,
    read_extrinsics,
    read_mosaic,
)
from ssd_depth_core.data.visual_odometry import read_visual_odometry, VisualOdometry
from ssd_depth_core.geometry.pose import invert

CHANNEL = 'stereo/left'
LIDAR = 'lms_front'
WINDOW_US = 4_000_000
"""Scans from this long before to this long after a picture make its depth, as in md4all."""

_REMEDY = "download the chunk that holds it, or the traversal's archives, again"


@dataclass(frozen=True, slots=True)
class Stamps:
    """Hold a sensor's instants, and which of them have their file."""

    us: NDArray[np.int64]
    """(N,), since the epoch, microseconds, strictly increasing."""
    present: NDArray[np.bool_]
    """(N,)."""


class Traversal:
    """Hold one drive; files are opened when they are asked for."""

    def __init__(self, folder: Path) -> None:
        """Remember where the drive lies.

        Args:
            folder: `<root>/<traversal>`.
        """
        self.folder = folder
        self.name = folder.name

    @cached_property
    def pictures(self) -> Stamps:
        """List the pictures."""
        return _read_stamps(self.folder / 'stereo.timestamps', self.folder / CHANNEL, '.png')

    @cached_property
    def scans(self) -> Stamps:
        """List the LiDAR's scans."""
        return _read_stamps(self.folder / f'{LIDAR}.timestamps', self.folder / LIDAR, '.bin')

    @cached_property
    def odometry(self) -> VisualOdometry:
        """Read the motion."""
        return read_visual_odometry(self.folder / 'vo' / 'vo.csv')

    @cached_property
    def picture_size(self) -> tuple[int, int]:
        """Give (H, W) of the rectified pictures, from the first of them."""
        pictures = self.pictures.us[self.pictures.present]
        if not pictures.size:
            raise FileNotFoundError(f'there is no picture in {self.folder / CHANNEL}; {_REMEDY}')
        height, width = read_mosaic(self.folder / CHANNEL / f'{pictures[0]}.png').shape
        return kept_rows(height), width

    def scans_around(self, stamp_us: int) -> slice:
        """Say which scans make a picture's depth.

        Args:
            stamp_us: Of the picture.

        Returns:
            Their places in `scans`; empty where the LiDAR did not run.
        """
        first, last = stamp_us - WINDOW_US, stamp_us + WINDOW_US
        return slice(*np.searchsorted(self.scans.us, (first, last + 1)).tolist())


class RobotCar:
    """Open a data set; `traversals` holds its drives by name, in the order of their names."""

    def __init__(self, root: Path) -> None:
        """List the drives.

        Args:
            root: Folder of the traversals, `models/` and `extrinsics/`.

        Raises:
            FileNotFoundError: If the folder is missing or holds no traversal.
        """
        self.root = root
        folders = sorted(path.parent for path in root.glob('[!.]*/stereo.timestamps'))
        if not folders:
            raise FileNotFoundError(
                f'there is no <traversal>/stereo.timestamps in {root}; give the folder that holds '
                '2014-12-09-13-21-02/ and alike, beside models/ and extrinsics/'
            )
        self.traversals = {folder.name: Traversal(folder) for folder in folders}

    @cached_property
    def camera(self) -> CameraModel:
        """Read the camera's model."""
        return read_camera_model(self.root / 'models', CHANNEL)

    @cached_property
    def T_image_vehicle(self) -> NDArray[np.float64]:
        """Give the way from the vehicle to the optical frame, (4, 4)."""
        T_camera_vehicle = read_extrinsics(self.root / 'extrinsics' / 'stereo.txt')
        return invert(self.camera.T_camera_image) @ T_camera_vehicle

    @cached_property
    def T_vehicle_lidar(self) -> NDArray[np.float64]:
        """Give the LiDAR's mounting, (4, 4)."""
        return read_extrinsics(self.root / 'extrinsics' / f'{LIDAR}.txt')

    def read_picture(self, path: Path) -> NDArray[np.uint8]:
        """Read a picture as depth networks see it.

        Args:
            path: `<root>/<traversal>/stereo/left/<us>.png`.

        Returns:
            (H * 4 // 5, W, 3) RGB: colours interpolated, distortion undone, bonnet cut off.

        Raises:
            FileNotFoundError: If the picture or a file of the calibration is missing.
            ValueError: If one of them is truncated or contradicts another.
        """
        return self.camera.rectify(read_mosaic(path), f'picture {path}')

    def points_around(self, traversal: Traversal, stamp_us: int) -> NDArray[np.float64]:
        """Gather the scans around a picture, each moved by visual odometry.

        Args:
            traversal: The drive.
            stamp_us: Of the picture.

        Returns:
            (N, 3) in the picture's optical frame [m].

        Raises:
            FileNotFoundError: If a scan that `lms_front.timestamps` lists is missing.
            ValueError: If a scan is truncated, or the visual odometry does not reach the picture.
        """
        stamps = traversal.scans.us[traversal.scans_around(stamp_us)]
        T_now_then = traversal.odometry.relative_poses(stamp_us, np.append(stamps, stamp_us))
        if np.isnan(T_now_then[-1]).any():
            raise ValueError(
                f'{traversal.folder}/vo/vo.csv says nothing of the instant {stamp_us}; '
                'index the data set again, which leaves such pictures out'
            )
        points = [np.empty((0, 3))]
        for stamp, T in zip(stamps, T_now_then, strict=False):  # the last is the picture's own
            if not np.isnan(T).any():
                T_image_lidar = self.T_image_vehicle @ T @ self.T_vehicle_lidar
                scan = read_scan(traversal.folder / LIDAR / f'{stamp}.bin')
                points.append(scan[:, :2] @ T_image_lidar[:3, :2].T + T_image_lidar[:3, 3])
        return np.concatenate(points)


class RobotCarSource:
    """Read the pictures and the truth of an index of RobotCar (a `FrameSource`)."""

    def __init__(self, root: Path) -> None:
        """Open the data set.

        Args:
            root: As in `RobotCar`.

        Raises:
            FileNotFoundError: If there is none.
        """
        self._data = RobotCar(root)

    def read_image(self, frame: IndexLine | Neighbour) -> NDArray[np.uint8]:
        """Read a picture.

        Args:
            frame: Of the index.

        Returns:
            (H, W, 3) RGB, rectified, without the bonnet.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is truncated or contradicts another.
        """
        image = self._data.read_picture(self._data.root / frame.image)
        if isinstance(frame, IndexLine) and image.shape[:2] != frame.size:
            raise ValueError(
                f'picture {frame.image} must be of the size {frame.size} that the index says, '
                f'got {image.shape[:2]}; index the data set again'
            )
        return image

    def read_depth(self, line: IndexLine) -> NDArray[np.float32]:
        """Gather the LiDAR truth.

        Args:
            line: Of the index.

        Returns:
            (H, W) along the optical axis [m]; NaN where no point falls.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a file is truncated or contradicts another.
        """
        name = line.image.split('/')[0]
        if name not in self._data.traversals:
            raise FileNotFoundError(
                f'there is no traversal {name} in {self._data.root}; index the data set again'
            )
        points = self._data.points_around(self._data.traversals[name], line.timestamp_us)
        return nearest_depth(points, self._data.camera.K, line.size)


def nearest_depth(
    points: NDArray[np.float64], K: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Project points into a picture; where several meet, the nearest stays.

    Args:
        points: (N, 3) in the optical frame [m].
        K: (3, 3), pixels.
        size: (H, W), pixels.

    Returns:
        (H, W) along the optical axis [m]; NaN where no point falls.
    """
    points = points[points[:, 2] > 0]
    points = points[np.argsort(-points[:, 2], kind='stable')]  # far first, near overwrites
    uvw = points @ K.T
    u, v = np.rint(uvw[:, :2] / uvw[:, 2:]).T
    inside = (u >= 0) & (u < size[1]) & (v >= 0) & (v < size[0])
    depth = np.full(size, np.nan, np.float32)
    depth[v[inside].astype(int), u[inside].astype(int)] = points[inside, 2]
    return depth


def read_scan(path: Path) -> NDArray[np.float64]:
    """Read a scan of a 2D LiDAR.

    Args:
        path: `lms_front/<us>.bin`.

    Returns:
        (N, 3): x, y in the scan's plane [m], reflectance; beams without an echo, which lie in the
        origin, are left out.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file does not hold whole, finite points.
    """
    if not path.is_file():
        raise FileNotFoundError(f'scan not found at {path}; {_REMEDY}')
    size = path.stat().st_size
    if size % 24:
        raise ValueError(
            f'scan {path} has {size} bytes, no multiple of 24 (3 float64 a point); '
            f'it is truncated, {_REMEDY}'
        )
    points = np.fromfile(path, '<f8').reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError(f'scan {path} holds numbers that are not finite; {_REMEDY}')
    return points[(points[:, :2] != 0).any(axis=1)]


def _read_stamps(path: Path, folder: Path, suffix: str) -> Stamps:
    check_file(path, 'timestamps', _REMEDY)
    stamps: list[int] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.partition(' ')[0]  # the number of the download's chunk follows
        if not text.isdecimal() or (stamps and int(text) <= stamps[-1]):
            raise ValueError(
                f'{path}:{number} must begin with a later time than the line before '
                f'[microseconds], got {line!r}; {_REMEDY}'
            )
        stamps.append(int(text))
    files = set(os.listdir(folder)) if folder.is_dir() else set()
    present = [f'{stamp}{suffix}' in files for stamp in stamps]
    return Stamps(np.array(stamps, np.int64), np.array(present, bool))
