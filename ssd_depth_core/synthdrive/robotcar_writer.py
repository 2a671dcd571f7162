"""Write drives as Oxford RobotCar records them, with exact depth beside the pictures.

Pictures are rendered as a pinhole sees them; they are bent as by a lens and mosaicked as by a
Bayer sensor, and the look-up table that undoes the bending is written as the dataset has it, so
that a reader has all the work that the real recordings give it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
import json
from pathlib import Path
import re
import shutil
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image, check_intrinsics
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.exact_depth import encode_exact_depth
from ssd_depth_core.geometry.pose import euler_of, invert
from ssd_depth_core.synthdrive.sensors import CameraFrame, LidarSweep

CAMERA = 'stereo/left'
LIDAR = 'lms_front'
MODEL = 'stereo_wide_left'
"""The dataset's name of that camera's model."""

_DISTORTION = np.array((-0.05, 0.01, 0.0, 0.0, 0.0))
"""Brown's k1, k2, p1, p2, k3: 24 pixels in the corners of 1280 x 960. Chosen, not RobotCar's; a
barrel, because then the raw picture holds every pixel of the rectified one."""
_T_CAMERA_IMAGE = np.array(((0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1.0)))
"""RobotCar's camera frame is x forward, y right, z down."""
_PLANE_TOLERANCE_M = 1e-3
_VO_HEADER = 'source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw'


@dataclass(frozen=True, kw_only=True, slots=True)
class Traversal:
    """Hold one drive under one condition."""

    name: str
    """Unique in the data set; the name of its folder."""
    condition: RenderedCondition
    """Light and weather."""
    split: Literal['train', 'validation', 'test']
    """The same for all conditions of one street."""
    records: Iterable[CameraFrame | LidarSweep]
    """Of `stereo/left` and `lms_front`, in time order; read once."""


@dataclass(frozen=True, slots=True)
class _Calibration:
    """Hold what all traversals of a data set share."""

    K: NDArray[np.float64]
    size: tuple[int, int]
    T_ego_camera: NDArray[np.float64]
    T_ego_lidar: NDArray[np.float64]

    @property
    def T_ego_vehicle(self) -> NDArray[np.float64]:
        """RobotCar's vehicle frame lies in its camera."""
        return self.T_ego_camera @ invert(_T_CAMERA_IMAGE)


def write_robotcar(root: Path, traversals: Iterable[Traversal]) -> None:
    """Write a data set that readers of RobotCar open; a traversal appears when it is complete.

    Besides RobotCar's own files, `conditions.json` and `splits.json` say each traversal's, and
    `<traversal>/exact_depth/stereo/left/<timestamp>.png` holds exact depth of the rectified
    picture without its bottom fifth, which RobotCar's users cut off.

    Args:
        root: The data set's folder; made where missing, and added to where not.
        traversals: All of one rig.

    Raises:
        FileExistsError: If there is a traversal of that name.
        ValueError: If a name is no file name, or records are missing, out of order, of another
            sensor or calibration, or ill-formed.
    """
    for traversal in traversals:
        if not re.fullmatch(r'\w[\w.+-]*', traversal.name):
            raise ValueError(
                f'traversal name must be letters, digits and .+-_, got {traversal.name!r}'
            )
        if (root / traversal.name).exists():
            raise FileExistsError(f'{root / traversal.name} exists already; delete it first')
        partial = root / f'.{traversal.name}.partial'
        shutil.rmtree(partial, ignore_errors=True)  # of an earlier run that was interrupted
        calibration = _TraversalWriter(partial, traversal).write()
        _write_calibration(root, calibration, traversal.name)
        # First the names, then the folder: what they name without a folder is seen as unfinished.
        _add(root / 'conditions.json', 'conditions', traversal.name, traversal.condition)
        _add(root / 'splits.json', 'splits', traversal.name, traversal.split)
        partial.rename(root / traversal.name)


class _TraversalWriter:
    """Write one traversal's files."""

    def __init__(self, folder: Path, traversal: Traversal) -> None:
        self._folder = folder
        self._traversal = traversal
        self._stamps: dict[str, list[int]] = {CAMERA: [], LIDAR: []}
        self._T_world_ego: list[NDArray[np.float64]] = []
        self._frame: CameraFrame | None = None  # the first, whose calibration all must share
        self._sweep: LidarSweep | None = None
        self._raw_maps: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None

    def write(self) -> _Calibration:
        """Consume the records."""
        for sensor in (CAMERA, f'exact_depth/{CAMERA}', LIDAR, 'vo'):
            (self._folder / sensor).mkdir(parents=True)
        for record in self._traversal.records:
            stamps = self._stamps.get(record.channel)
            if stamps is None:
                raise ValueError(
                    f'{self._traversal.name}: channel must be {CAMERA} or {LIDAR}, '
                    f'got {record.channel}'
                )
            stamp = record.ego_pose.timestamp_us
            if stamps and stamp <= stamps[-1]:
                raise ValueError(
                    f'{self._traversal.name}: records must come in time order, '
                    f'got {record.channel} at {stamp} us after {stamps[-1]} us'
                )
            stamps.append(stamp)
            if isinstance(record, CameraFrame):
                self._write_frame(record)
            else:
                self._write_sweep(record)
        if self._frame is None or self._sweep is None or len(self._stamps[CAMERA]) < 2:
            raise ValueError(
                f'{self._traversal.name}: two pictures and a scan are needed, got '
                f'{len(self._stamps[CAMERA])} and {len(self._stamps[LIDAR])}'
            )
        for name, channel in (('stereo', CAMERA), (LIDAR, LIDAR)):
            lines = [f'{stamp} 1\n' for stamp in self._stamps[channel]]
            (self._folder / f'{name}.timestamps').write_text(''.join(lines))
        calibration = _Calibration(
            self._frame.K,
            self._frame.image.shape[:2],
            self._frame.T_ego_camera,
            self._sweep.T_ego_lidar,
        )
        self._write_odometry(calibration)
        return calibration

    def _write_frame(self, frame: CameraFrame) -> None:
        check_image(frame.image)
        check_intrinsics(frame.K)
        first = self._frame = self._frame or frame
        if not (
            frame.image.shape == first.image.shape
            and frame.depth.shape == first.image.shape[:2]
            and np.array_equal(frame.K, first.K)
            and np.array_equal(frame.T_ego_camera, first.T_ego_camera)
        ):
            raise ValueError(f'{self._traversal.name}: the calibration of {CAMERA} changes')
        if self._raw_maps is None:
            self._raw_maps = _raw_maps(frame.K, frame.image.shape[:2])
        raw = cv2.remap(
            frame.image, *self._raw_maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        stem = str(frame.ego_pose.timestamp_us)
        _write_png(self._folder / CAMERA / f'{stem}.png', mosaic(raw))
        kept = frame.depth[: frame.depth.shape[0] * 4 // 5]
        _write_png(self._folder / 'exact_depth' / CAMERA / f'{stem}.png', encode_exact_depth(kept))
        self._T_world_ego.append(frame.ego_pose.T_world_ego)

    def _write_sweep(self, sweep: LidarSweep) -> None:
        first = self._sweep = self._sweep or sweep
        if not np.array_equal(sweep.T_ego_lidar, first.T_ego_lidar):
            raise ValueError(f'{self._traversal.name}: the calibration of {LIDAR} changes')
        if np.abs(sweep.points[:, 2]).max(initial=0.0) > _PLANE_TOLERANCE_M:
            raise ValueError(
                f'{self._traversal.name}: points of {LIDAR}, a 2D LiDAR, must lie in its plane, '
                f'z = 0, got {np.abs(sweep.points[:, 2]).max():g} m'
            )
        path = self._folder / LIDAR / f'{sweep.ego_pose.timestamp_us}.bin'
        path.write_bytes(sweep.points[:, (0, 1, 3)].astype('<f8').tobytes())

    def _write_odometry(self, calibration: _Calibration) -> None:
        """Write how the vehicle moved from each picture to the next, without error."""
        T_world_vehicle = np.stack(self._T_world_ego) @ calibration.T_ego_vehicle
        lines = [_VO_HEADER]
        stamps = self._stamps[CAMERA]
        for i in range(1, len(stamps)):
            motion = euler_of(invert(T_world_vehicle[i - 1]) @ T_world_vehicle[i])
            numbers = (stamps[i], stamps[i - 1], *motion.tolist())
            lines.append(','.join(map(repr, numbers)))
        (self._folder / 'vo' / 'vo.csv').write_text('\n'.join(lines) + '\n')


def mosaic(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Keep of each pixel the one colour that RobotCar's stereo camera sees there.

    Args:
        image: (H, W, 3) RGB.

    Returns:
        (H, W), Bayer pattern GBRG: the first row is G B G B, the second R G R G.
    """
    raw = image[..., 1].copy()
    raw[0::2, 1::2] = image[0::2, 1::2, 2]
    raw[1::2, 0::2] = image[1::2, 0::2, 0]
    return raw


def _lut(K: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Say where in the raw picture each rectified pixel lies, (2, H, W): x, y."""
    rays = cv2.undistortPoints(_pixels(size), K, None)  # a pinhole's: no distortion yet
    rays = cv2.convertPointsToHomogeneous(rays)
    raw, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), K, _DISTORTION)
    return raw.reshape(*size, 2).transpose(2, 0, 1)


def _raw_maps(
    K: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Say where in the pinhole's picture each raw pixel lies: x, y, each (H, W)."""
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-9)
    pinhole = cv2.undistortPointsIter(_pixels(size), K, _DISTORTION, None, K, criteria)
    x, y = pinhole.reshape(*size, 2).astype(np.float32).transpose(2, 0, 1)
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


def _pixels(size: tuple[int, int]) -> NDArray[np.float64]:
    v, u = np.mgrid[: size[0], : size[1]]
    return np.stack((u, v), -1).reshape(-1, 1, 2).astype(np.float64)


def _write_calibration(root: Path, calibration: _Calibration, name: str) -> None:
    """Write the models and extrinsics, or require those of the traversals before."""
    K = calibration.K
    T_vehicle_lidar = invert(calibration.T_ego_vehicle) @ calibration.T_ego_lidar
    rows = ((K[0, 0], K[1, 1], K[0, 2], K[1, 2]), *_T_CAMERA_IMAGE)
    files = {
        f'models/{MODEL}.txt': ''.join(' '.join(map(repr, map(float, r))) + '\n' for r in rows),
        'extrinsics/stereo.txt': '0 0 0 0 0 0\n',
        f'extrinsics/{LIDAR}.txt': ' '.join(map(repr, euler_of(T_vehicle_lidar).tolist())) + '\n',
    }
    for path, text in files.items():
        _write_same(root / path, text.encode(), name)
    lut = _lut(K, calibration.size).astype('<f8').tobytes()
    _write_same(root / 'models' / f'{MODEL}_distortion_lut.bin', lut, name)


def _write_same(path: Path, data: bytes, name: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data)
    elif path.read_bytes() != data:
        raise ValueError(
            f'{name} has another calibration than {path} says; one data set has one rig'
        )


def _add(path: Path, key: str, name: str, value: str) -> None:
    record: dict[str, Any] = {'schema_version': 1, key: {}}
    if path.exists():
        record = json.loads(path.read_text())
    record[key][name] = value
    _replace(path, (json.dumps(record, indent=2, sort_keys=True) + '\n').encode())


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f'.{path.name}.partial')
    partial.write_bytes(data)
    partial.rename(path)


def _write_png(path: Path, picture: NDArray[np.generic]) -> None:
    path.write_bytes(cv2.imencode('.png', picture)[1].tobytes())
