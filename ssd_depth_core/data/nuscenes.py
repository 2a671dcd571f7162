"""Read nuScenes v1.0: the tables that lead from a scene to its sensors' records, strictly.

Only the tables needed for that are opened (scene, sample, sample_data, sensor, calibrated_sensor,
ego_pose); annotations and maps may be missing, as they are in many small copies. NumPy only, so
that the bag converter runs where torch is not installed.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file, check_intrinsics
from ssd_depth_core.geometry.quaternion import transform_from

LIDAR_CHANNEL = 'LIDAR_TOP'
"""The only LiDAR of nuScenes."""
LIDAR_POINT_BYTES = 20
"""Five float32 a point, see `read_lidar`."""

Modality = Literal['camera', 'lidar', 'radar']
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneRecord:
    """Hold one row of `scene`."""

    token: str
    """Of the row."""
    name: str
    """E.g. `scene-0061`."""
    description: str
    """In words; 'night' and 'rain' in it tell the condition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorRecord:
    """Hold one row of `sample_data` together with everything that it refers to."""

    token: str
    """Of the row."""
    sample_token: str
    """Of the sample (key frame instant) that it belongs to."""
    channel: str
    """E.g. `CAM_FRONT`, `LIDAR_TOP`."""
    modality: Modality
    """What the sensor is."""
    timestamp_us: int
    """Since the epoch, microseconds."""
    is_key_frame: bool
    """Whether it lies in `samples/`."""
    path: Path
    """The JPEG or the sweep; not opened yet."""
    T_world_ego: NDArray[np.float64]
    """(4, 4), where the car was at `timestamp_us`."""
    T_ego_sensor: NDArray[np.float64]
    """(4, 4), how the sensor is mounted; cameras are optical frames (z forward)."""
    K: NDArray[np.float64] | None
    """(3, 3), pixels; None if the sensor is no camera."""
    size: tuple[int, int] | None
    """(H, W), pixels; None if the sensor is no camera."""
    prev_token: str
    """Of the sensor's record before; empty at the scene's beginning."""
    next_token: str
    """Of the sensor's record after; empty at the scene's end."""


class NuScenes:
    """Open a data set and join its tables; `scenes` lists what it holds, in the table's order."""

    def __init__(self, root: Path, version: str | None = None) -> None:
        """Read the tables.

        Args:
            root: The folder that holds `samples/` and the tables' folder.
            version: Name of the tables' folder; None takes the only `v1.0-*`.

        Raises:
            FileNotFoundError: If the folder or a table is missing.
            ValueError: If there are several versions to choose from, or a table is no nuScenes
                table.
        """
        self.root = root
        self.version = version or only_version(root)
        self.scenes = tuple(
            SceneRecord(
                **{
                    field: self._get('scene', row, field)
                    for field in ('token', 'name', 'description')
                }
            )
            for row in self._rows('scene')
        )
        self._scene_of_sample = {
            self._get('sample', row, 'token'): self._get('sample', row, 'scene_token')
            for row in self._rows('sample')
        }
        self._sample_data = self._rows('sample_data')
        self._ego_poses = self._by_token('ego_pose')
        self._calibrations = self._by_token('calibrated_sensor')
        self._sensors = self._by_token('sensor')
        # By calibration (and size of picture): a scene's thousands of records share a few.
        self._mounts: dict[str, NDArray[np.float64]] = {}
        self._checked_intrinsics: dict[tuple[str, tuple[int, int]], NDArray[np.float64]] = {}

    def scene(self, name: str) -> SceneRecord:
        """Find a scene by its name.

        Args:
            name: E.g. `scene-0061`.

        Returns:
            The scene.

        Raises:
            ValueError: If there is none of this name.
        """
        for scene in self.scenes:
            if scene.name == name:
                return scene
        known = ', '.join(scene.name for scene in self.scenes[:10])
        raise ValueError(
            f'there is no scene {name!r} in {self.root}; '
            f'it has {len(self.scenes)}, the first are {known}'
        )

    def records(
        self,
        scene: SceneRecord,
        channels: Collection[str] | None = None,
        *,
        key_frames_only: bool = False,
    ) -> list[SensorRecord]:
        """List what the sensors recorded in a scene.

        Args:
            scene: One of `scenes`.
            channels: Only these; None for all.
            key_frames_only: Whether sweeps are left out.

        Returns:
            Key frames and sweeps by time, then by channel.

        Raises:
            ValueError: If a row refers to one that does not exist, or holds a calibration that is
                none.
        """
        records = []
        for row in self._data_of_scene.get(scene.token, []):
            if key_frames_only and not self._get('sample_data', row, 'is_key_frame'):
                continue
            calibration = self._follow('sample_data', row, 'calibrated_sensor', self._calibrations)
            sensor = self._follow('calibrated_sensor', calibration, 'sensor', self._sensors)
            if channels is None or self._get('sensor', sensor, 'channel') in channels:
                records.append(self._join(row, calibration, sensor))
        return sorted(records, key=lambda record: (record.timestamp_us, record.channel))

    @cached_property
    def _data_of_scene(self) -> dict[str, list[Row]]:
        """Sort `sample_data` by scene, once: trainval has 2.6 million rows and 850 scenes."""
        groups: dict[str, list[Row]] = {}
        for row in self._sample_data:
            sample_token = self._get('sample_data', row, 'sample_token')
            scene_token = self._scene_of_sample.get(sample_token)
            if scene_token is None:
                raise self._dangling('sample_data', row, 'sample_token', 'sample')
            groups.setdefault(scene_token, []).append(row)
        return groups

    def _join(self, row: Row, calibration: Row, sensor: Row) -> SensorRecord:
        modality = self._get('sensor', sensor, 'modality')
        pose = self._follow('sample_data', row, 'ego_pose', self._ego_poses)
        K = size = None
        if modality == 'camera':
            size = self._get('sample_data', row, 'height'), self._get('sample_data', row, 'width')
            K = self._intrinsics(calibration, sensor, size)
        token = calibration['token']
        if token not in self._mounts:
            self._mounts[token] = self._transform('calibrated_sensor', calibration)
        return SensorRecord(
            token=self._get('sample_data', row, 'token'),
            sample_token=row['sample_token'],
            channel=self._get('sensor', sensor, 'channel'),
            modality=modality,
            timestamp_us=self._get('sample_data', row, 'timestamp'),
            is_key_frame=self._get('sample_data', row, 'is_key_frame'),
            path=self.root / self._get('sample_data', row, 'filename'),
            T_world_ego=self._transform('ego_pose', pose),
            T_ego_sensor=self._mounts[token],
            K=K,
            size=size,
            prev_token=row.get('prev', ''),  # small copies leave the chain out
            next_token=row.get('next', ''),
        )

    def _intrinsics(
        self, calibration: Row, sensor: Row, size: tuple[int, int]
    ) -> NDArray[np.float64]:
        """Check a camera's matrix once for each size of picture."""
        key = calibration['token'], size
        if key not in self._checked_intrinsics:
            K = np.asarray(self._get('calibrated_sensor', calibration, 'camera_intrinsic'), float)
            name = f'{self._path("calibrated_sensor")}: {sensor["channel"]}: camera_intrinsic'
            check_intrinsics(K, name)
            if not (0 < K[0, 2] < size[1] and 0 < K[1, 2] < size[0]):
                raise ValueError(
                    f'{name}: principal point ({K[0, 2]:g}, {K[1, 2]:g}) lies outside the picture '
                    f'of {size[1]}x{size[0]} pixels; it belongs to another picture size'
                )
            self._checked_intrinsics[key] = K
        return self._checked_intrinsics[key]

    def _transform(self, table: str, row: Row) -> NDArray[np.float64]:
        try:
            return transform_from(
                self._get(table, row, 'translation'), self._get(table, row, 'rotation')
            )
        except ValueError as error:
            raise ValueError(f'{self._path(table)}: row {row["token"]}: {error}') from None

    def _follow(self, table: str, row: Row, target: str, rows: dict[str, Row]) -> Row:
        """Go from a row to the one that its `<target>_token` names."""
        found = rows.get(self._get(table, row, f'{target}_token'))
        if found is None:
            raise self._dangling(table, row, f'{target}_token', target)
        return found

    def _dangling(self, table: str, row: Row, field: str, target: str) -> ValueError:
        return ValueError(
            f'{self._path(table)}: row {row.get("token")}: {field} {row[field]!r} is not in '
            f'{target}.json; the tables are of different downloads, copy all of them again'
        )

    def _get(self, table: str, row: Row, field: str) -> Any:
        try:
            return row[field]
        except KeyError:
            raise ValueError(
                f'{self._path(table)}: row {row.get("token")} has no {field}; '
                'is it a nuScenes v1.0 table?'
            ) from None

    def _by_token(self, table: str) -> dict[str, Row]:
        return {self._get(table, row, 'token'): row for row in self._rows(table)}

    def _rows(self, table: str) -> list[Row]:
        path = self._path(table)
        check_file(path, f'nuScenes table {table}', 'download the tables of this version again')
        try:
            rows = json.loads(path.read_bytes())
        except ValueError as error:  # of JSON or of UTF-8
            raise ValueError(
                f'nuScenes table {path} is not JSON ({error}); copy it again'
            ) from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ValueError(f'nuScenes table {path} must be a list of objects; copy it again')
        return rows

    def _path(self, table: str) -> Path:
        return self.root / self.version / f'{table}.json'


def read_lidar(path: Path) -> NDArray[np.float32]:
    """Read a LIDAR_TOP sweep.

    Args:
        path: `<stem>.pcd.bin`.

    Returns:
        (N, 5): x, y, z in the LiDAR's frame [m], intensity in [0, 255], ring index.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty or does not hold whole points.
    """
    check_file(path, 'LiDAR sweep', 'download the blobs that hold this scene')
    values = np.fromfile(path, '<f4')
    if path.stat().st_size % LIDAR_POINT_BYTES:
        raise ValueError(
            f'LiDAR sweep {path} has {path.stat().st_size} bytes, no multiple of '
            f'{LIDAR_POINT_BYTES} (5 float32 a point); it is truncated, copy it again'
        )
    return values.reshape(-1, 5)


def only_version(root: Path) -> str:
    """Name the tables' folder where there is only one.

    Args:
        root: The folder that holds `samples/` and the tables' folder.

    Returns:
        E.g. `v1.0-trainval`.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are several.
    """
    remedy = 'give the folder that holds samples/ and v1.0-mini/, v1.0-trainval/ or alike'
    if not root.is_dir():
        raise FileNotFoundError(f'nuScenes data set not found at {root}; {remedy}')
    versions = sorted(path.name for path in root.glob('v1.0-*') if path.is_dir())
    if not versions:
        raise FileNotFoundError(f'there is no v1.0-* folder of tables in {root}; {remedy}')
    if len(versions) > 1:
        raise ValueError(
            f'{root} holds {", ".join(versions)}; say which one: `--dataset-version` of '
            '`depth_convert_nuscenes`, `--set version=...` of `training.index_data`'
        )
    return versions[0]
