"""Write drives as a nuScenes v1.0 data set, with exact depth beside the pictures.

Pictures and sweeps are written as they come, so that a drive never has to fit in memory. A scene
that is complete leaves its rows in `.scenes/<name>.json`; the tables are put together from these
last and appear all at once: a data set that opens is complete, and one that was interrupted goes
on after its last complete scene. Processes may write different scenes at the same time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
import json
from pathlib import Path
import re
import shutil
from typing import Any

import cv2
import numpy as np
from ssd_depth_core.checks import check_image, check_intrinsics
from ssd_depth_core.exact_depth import encode_exact_depth
from ssd_depth_core.geometry.quaternion import quaternion_of
from ssd_depth_core.synthdrive.annotations import Annotator
from ssd_depth_core.synthdrive.can_bus import write_can_bus
from ssd_depth_core.synthdrive.sensors import CameraFrame, EgoPose, LidarSweep
from ssd_depth_core.synthdrive.tokens import link, token_of

KEY_FRAME_PERIOD_US = 500_000
"""nuScenes' key frames come at 2 Hz; what lies between is a sweep."""
KEY_FRAME_TOLERANCE_US = 20_000
"""A record may come this early and still open a sample: stamps jitter. Less than half the period
of a 20 Hz LiDAR, so that the record before never counts."""

VERSION = 'v1.0-synth'
"""Name of the tables' folder."""
_TABLES = (
    'attribute',
    'calibrated_sensor',
    'category',
    'ego_pose',
    'instance',
    'log',
    'map',
    'sample',
    'sample_annotation',
    'sample_data',
    'scene',
    'sensor',
    'visibility',
)

_Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Hold one drive under one condition."""

    name: str
    """Unique in the data set, e.g. `scene-0001`; part of file names."""
    description: str
    """In nuScenes' words: readers tell the condition by 'night' or 'rain' in it."""
    records: Iterable[CameraFrame | LidarSweep]
    """In time order; read once."""
    motion: Sequence[EgoPose] = ()
    """Where the car was, for `can_bus/`, at 50 Hz as in nuScenes; none: no such files."""


def write_nuscenes(root: Path, scenes: Iterable[Scene], *, jpeg_quality: int = 90) -> None:
    """Write a data set that nuScenes' readers open.

    Args:
        root: The data set's folder; made where missing.
        scenes: At least one, each with at least one record.
        jpeg_quality: 1 to 100, as OpenCV counts.

    Raises:
        FileExistsError: If the folder holds a rendered data set already.
        ValueError: If there is no scene, a scene's name is used twice, or as `write_scene`.
    """
    if is_complete(root):
        raise FileExistsError(
            f'{root / VERSION} exists already; delete it or choose another --out'
        )
    names: list[str] = []
    for scene in scenes:
        if scene.name in names:
            raise ValueError(f'scene name {scene.name!r} is used twice; names must be unique')
        write_scene(root, scene, jpeg_quality=jpeg_quality)
        names.append(scene.name)
    write_tables(root, names)


def write_scene(root: Path, scene: Scene, *, jpeg_quality: int = 90) -> None:
    """Write one scene's files, and last, in one step, its rows.

    The first record of each channel in every half second becomes a key frame (`samples/`), the
    others sweeps (`sweeps/`). Exact depth lies in `exact_depth/<channel>/<stem>.png`, coded as
    `ssd_depth_core.exact_depth` says. Tokens follow from scene, channel and time alone, so that
    what a killed process left is overwritten by the same bytes.

    Args:
        root: The data set's folder; made where missing.
        scene: What to write.
        jpeg_quality: 1 to 100, as OpenCV counts.

    Raises:
        ValueError: If the name is no file name, or the records are empty, out of order,
            ill-formed, or lack a sensor in the midst of a drive.
    """
    if not re.fullmatch(r'[\w.+-]+', scene.name):
        raise ValueError(f'scene name must be letters, digits and .+-_, got {scene.name!r}')
    rows = _SceneWriter(root, scene, jpeg_quality).write()
    if scene.motion:
        write_can_bus(root / 'can_bus', scene.name, scene.motion)
    path = _rows_path(root, scene.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix('.partial')
    partial.write_text(json.dumps(rows))
    partial.rename(path)


def is_written(root: Path, name: str) -> bool:
    """Say whether `write_scene` has written a scene, or the whole data set is complete.

    Args:
        root: The data set's folder.
        name: The scene's.

    Returns:
        Whether nothing is missing of it.
    """
    return is_complete(root) or _rows_path(root, name).is_file()


def is_complete(root: Path) -> bool:
    """Say whether a data set has its tables.

    Args:
        root: Its folder.

    Returns:
        Whether `write_tables` has come to its end.
    """
    return (root / VERSION).is_dir()


def write_tables(root: Path, names: Sequence[str]) -> None:
    """Put the tables together, all at once.

    Args:
        root: The data set's folder.
        names: Of the scenes, all written, in the tables' order.

    Raises:
        ValueError: If there is no scene.
    """
    if not names:
        raise ValueError('there is no scene to write')
    # By token: what scenes share, e.g. sensors and categories, each of them brings along.
    tables: dict[str, dict[str, _Row]] = {name: {} for name in _TABLES}
    starts: set[int] = set()
    for name in names:
        scene = json.loads(_rows_path(root, name).read_text())
        _part_starts(scene['sample'], starts)
        for table, rows in scene.items():
            tables[table].update((row['token'], row) for row in rows)
    map_row = _write_map(root, list(tables['log']))
    tables['map'][map_row['token']] = map_row

    partial = root / f'.{VERSION}.partial'
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier run that was interrupted
    partial.mkdir()
    for table, by_token in tables.items():
        text = json.dumps(list(by_token.values()), indent=0)
        (partial / f'{table}.json').write_text(text + '\n')
    partial.rename(root / VERSION)
    shutil.rmtree(root / '.scenes')


def _part_starts(samples: list[_Row], starts: set[int]) -> None:
    """Shift a scene's samples by microseconds until no other scene begins at the same one.

    The official devkit cannot list scenes that begin together, as twins do. Its records of the
    sensors keep their stamps.
    """
    shift = 0
    while samples[0]['timestamp'] + shift in starts:
        shift += 1
    starts.add(samples[0]['timestamp'] + shift)
    for sample in samples:
        sample['timestamp'] += shift


def _rows_path(root: Path, name: str) -> Path:
    return root / '.scenes' / f'{name}.json'


class _SceneWriter:
    """Write one scene's files and build its rows."""

    def __init__(self, root: Path, scene: Scene, jpeg_quality: int) -> None:
        self._root = root
        self._scene = scene
        self._jpeg_options = (cv2.IMWRITE_JPEG_QUALITY, jpeg_quality)
        self._scene_token = token_of('scene', scene.name)
        self._calibrations: dict[str, _Row] = {}
        self._ego_poses: list[_Row] = []
        self._chains: dict[str, list[_Row]] = {}  # sample_data by channel
        self._key_frames: list[dict[str, _Row]] = []  # by sample, then by channel
        self._annotator = Annotator(scene.name)
        self._open: list[CameraFrame | LidarSweep] = []  # key frames of the last sample

    def write(self) -> dict[str, list[_Row]]:
        """Consume the records; give the scene's rows by table."""
        start_us: int | None = None
        last_us = 0
        for record in self._scene.records:
            stamp_us = record.ego_pose.timestamp_us
            if start_us is None:
                start_us = stamp_us
            elif stamp_us < last_us:
                raise ValueError(
                    f'{self._scene.name}: records must come in time order, '
                    f'got {record.channel} at {stamp_us} us after {last_us} us'
                )
            last_us = stamp_us
            self._add(
                record, (stamp_us - start_us + KEY_FRAME_TOLERANCE_US) // KEY_FRAME_PERIOD_US
            )
        if start_us is None:
            raise ValueError(f'{self._scene.name}: there is no record to write')
        samples = self._samples()
        self._annotate(len(samples))
        for chain in (samples, *self._chains.values()):
            link(chain)

        date = datetime.fromtimestamp(start_us / 1e6, timezone.utc)
        log = {
            'token': token_of('log', self._scene.name),
            'logfile': self._scene.name,
            'vehicle': 'synthdrive',
            'date_captured': f'{date:%F}',
            'location': 'synthdrive',
        }
        scene = {
            'token': self._scene_token,
            'log_token': log['token'],
            'nbr_samples': len(samples),
            'first_sample_token': samples[0]['token'],
            'last_sample_token': samples[-1]['token'],
            'name': self._scene.name,
            'description': self._scene.description,
        }
        sensors = [
            {
                'token': calibration['sensor_token'],
                'channel': channel,
                'modality': 'camera' if calibration['camera_intrinsic'] else 'lidar',
            }
            for channel, calibration in self._calibrations.items()
        ]
        return {
            'log': [log],
            'scene': [scene],
            'sample': samples,
            'sample_data': [row for chain in self._chains.values() for row in chain],
            'ego_pose': self._ego_poses,
            'calibrated_sensor': list(self._calibrations.values()),
            'sensor': sensors,
            **self._annotator.tables(),
        }

    def _add(self, record: CameraFrame | LidarSweep, sample_index: int) -> None:
        """Write one record's files and add its rows."""
        channel, pose = record.channel, record.ego_pose
        if sample_index >= len(self._key_frames):
            self._annotate(len(self._key_frames))
            self._key_frames += [{} for _ in range(sample_index + 1 - len(self._key_frames))]
        is_key_frame = channel not in self._key_frames[sample_index]
        stem = f'{self._scene.name}__{channel}__{pose.timestamp_us}'
        folder = self._root / ('samples' if is_key_frame else 'sweeps') / channel
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(record, CameraFrame):
            path = folder / f'{stem}.jpg'
            self._write_picture(record, path)
            height, width = record.image.shape[:2]
            T_ego_sensor, intrinsic = record.T_ego_camera, record.K.tolist()
        else:
            path = folder / f'{stem}.pcd.bin'
            _write_sweep(record, path)
            height, width = 0, 0
            T_ego_sensor, intrinsic = record.T_ego_lidar, []
        self._check_calibration(channel, T_ego_sensor, intrinsic)

        token = token_of('sample_data', stem)
        row = {
            'token': token,
            'sample_token': self._sample_token(sample_index),
            'ego_pose_token': token,  # one each, as in nuScenes
            'calibrated_sensor_token': self._calibrations[channel]['token'],
            'timestamp': pose.timestamp_us,
            'fileformat': 'jpg' if intrinsic else 'pcd',
            'is_key_frame': is_key_frame,
            'height': height,
            'width': width,
            'filename': path.relative_to(self._root).as_posix(),
            'prev': '',
            'next': '',
        }
        self._chains.setdefault(channel, []).append(row)
        if is_key_frame:
            self._key_frames[sample_index][channel] = row
            self._open.append(record)
        self._ego_poses.append(
            {'token': token, 'timestamp': pose.timestamp_us, **_pose_columns(pose.T_world_ego)}
        )

    def _annotate(self, num_samples: int) -> None:
        """Annotate the last of some samples, of which no key frame will come any more."""
        frames = [record for record in self._open if isinstance(record, CameraFrame)]
        for record in self._open:
            if isinstance(record, LidarSweep):
                self._annotator.add(self._sample_token(num_samples - 1), record, frames)
        self._open.clear()

    def _write_picture(self, frame: CameraFrame, path: Path) -> None:
        check_image(frame.image)
        check_intrinsics(frame.K)
        if frame.depth.shape != frame.image.shape[:2]:
            raise ValueError(
                f'{path.name}: depth must be of the picture size {frame.image.shape[:2]}, '
                f'got {frame.depth.shape}'
            )
        bgr = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        path.write_bytes(cv2.imencode('.jpg', bgr, self._jpeg_options)[1].tobytes())
        depth_path = self._root / 'exact_depth' / frame.channel / f'{path.stem}.png'
        depth_path.parent.mkdir(parents=True, exist_ok=True)
        depth_path.write_bytes(cv2.imencode('.png', encode_exact_depth(frame.depth))[1].tobytes())

    def _check_calibration(
        self, channel: str, T_ego_sensor: np.ndarray, intrinsic: list[list[float]]
    ) -> None:
        """Take the first record's calibration; require it of the others."""
        calibration = {
            'token': token_of('calibrated_sensor', self._scene.name, channel),
            'sensor_token': token_of('sensor', channel),
            **_pose_columns(T_ego_sensor),
            'camera_intrinsic': intrinsic,
        }
        if self._calibrations.setdefault(channel, calibration) != calibration:
            raise ValueError(
                f'{self._scene.name}: the calibration of {channel} changes within the scene; '
                'nuScenes holds one a scene, start another scene'
            )

    def _samples(self) -> list[_Row]:
        """Build the samples, each with a key frame of every channel."""
        if len(self._key_frames) > 1 and len(self._key_frames[-1]) < len(self._chains):
            # The drive ends between two sensors' records: these key frames become sweeps.
            for row in self._key_frames.pop().values():
                self._demote(row)
            self._open.clear()
        samples = []
        for index, key_frames in enumerate(self._key_frames):
            missing = sorted(set(self._chains) - set(key_frames))
            if missing:
                raise ValueError(
                    f'{self._scene.name}: sample {index} lacks {", ".join(missing)}; '
                    'every sensor must record at least twice a second'
                )
            # nuScenes stamps a sample with its LiDAR sweep.
            first = min(row['timestamp'] for row in key_frames.values())
            samples.append(
                {
                    'token': self._sample_token(index),
                    'timestamp': key_frames.get('LIDAR_TOP', {}).get('timestamp', first),
                    'prev': '',
                    'next': '',
                    'scene_token': self._scene_token,
                }
            )
        for chain in self._chains.values():
            for row in chain:
                if row['sample_token'] == self._sample_token(len(samples)):
                    row['sample_token'] = samples[-1]['token']
        return samples

    def _demote(self, row: _Row) -> None:
        """Turn a key frame into a sweep."""
        source = self._root / row['filename']
        row['is_key_frame'] = False
        row['filename'] = row['filename'].replace('samples/', 'sweeps/', 1)
        target = self._root / row['filename']
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)

    def _sample_token(self, index: int) -> str:
        return token_of('sample', self._scene.name, index)


def _write_sweep(sweep: LidarSweep, path: Path) -> None:
    if sweep.points.ndim != 2 or sweep.points.shape[1] != 5:
        raise ValueError(f'{path.name}: points must be (N, 5), got {sweep.points.shape}')
    path.write_bytes(sweep.points.astype('<f4').tobytes())


def _write_map(root: Path, log_tokens: list[str]) -> _Row:
    """Write the raster that the official reader insists on; nothing is drivable in it."""
    token = token_of('map', 'synthdrive')
    path = root / 'maps' / f'{token}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode('.png', np.zeros((16, 16), np.uint8))[1].tobytes())
    return {
        'token': token,
        'log_tokens': log_tokens,
        'category': 'semantic_prior',
        'filename': path.relative_to(root).as_posix(),
    }


def _pose_columns(T: np.ndarray) -> _Row:
    return {'rotation': quaternion_of(T).tolist(), 'translation': T[:3, 3].tolist()}
