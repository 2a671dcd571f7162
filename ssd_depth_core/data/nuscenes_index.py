"""Index a nuScenes-format data set: its frames by split, and what is left out and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition, condition_of
from ssd_depth_core.data.file_check import FileCheck
from ssd_depth_core.data.index import IndexLine, Matrix, Neighbour, Split, SPLITS
from ssd_depth_core.data.nuscenes import LIDAR_CHANNEL, NuScenes, SceneRecord, SensorRecord
from ssd_depth_core.data.nuscenes_splits import split_scenes
from ssd_depth_core.geometry.pose import invert

CameraChannel = Literal[
    'CAM_FRONT', 'CAM_FRONT_LEFT', 'CAM_FRONT_RIGHT', 'CAM_BACK', 'CAM_BACK_LEFT', 'CAM_BACK_RIGHT'
]


@dataclass(frozen=True, kw_only=True, slots=True)
class NuScenesIndexConfig:
    """Say which frames are taken; the defaults are the papers' (md4all, SSD)."""

    version: str | None = None
    """Name of the tables' folder, e.g. `v1.0-trainval`; None takes the only `v1.0-*`."""
    channels: tuple[CameraChannel, ...] = ('CAM_FRONT',)
    """Cameras."""
    key_frames_only: bool = True
    """Whether training takes key frames (2 Hz) only, or sweeps (12 Hz) too, which have no LiDAR
    sweep; validation and test, which need truth, always take key frames."""
    train_conditions: tuple[Condition, ...] | None = ('day-clear',)
    """Of the training frames; None for all. Validation and test always take all."""
    min_speed_mps: float = 0.5
    """Training frames in which the car is slower are dropped; validation and test keep theirs."""
    neighbour_step: int = 1
    """Which picture of its camera, counted from a training frame, is its neighbour on either side:
    1 the next one. Farther apart, pictures show more parallax, which small ones need."""
    validation_share: float = 0.05
    """Share of the official training scenes that validate, in [0, 1]."""
    default_split: Split | None = None
    """Of scenes that are in no list of scenes; None refuses them."""
    lidar: bool = True
    """Whether frames have their sweep; False where the LiDAR's files were not downloaded."""
    on_missing: Literal['refuse', 'drop'] = 'refuse'
    """What follows from a missing, empty, truncated or broken file: an error, or that its frame is
    left out and counted. A frame that tests or validates only loses a broken neighbour."""
    check_files: bool = False
    """Whether every picture is decoded once, to find the broken ones (hours for all cameras)."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a value is out of its range or a channel comes twice.
        """
        if not self.channels or len(set(self.channels)) < len(self.channels):
            raise ValueError(f'channels must be one or more, each once, got {self.channels}')
        if self.train_conditions == ():
            raise ValueError('train_conditions must be one or more, or null for all, got none')
        if self.min_speed_mps < 0:
            raise ValueError(f'min_speed_mps must be >= 0, got {self.min_speed_mps:g}')
        if self.neighbour_step < 1:
            raise ValueError(f'neighbour_step must be >= 1, got {self.neighbour_step}')
        if not 0 <= self.validation_share <= 1:
            raise ValueError(f'validation_share must be in [0, 1], got {self.validation_share:g}')


def index_nuscenes(
    root: Path, config: NuScenesIndexConfig
) -> tuple[dict[Split, list[IndexLine]], dict[str, int]]:
    """List the frames of a data set.

    Args:
        root: The folder that holds `samples/` and the tables' folder.
        config: Which frames.

    Returns:
        Lines of each split, in the tables' order of scenes, then by time and channel; and how many
        frames were left out, by split and reason.

    Raises:
        FileNotFoundError: If the folder or a table is missing.
        ValueError: If the tables do not join or contradict themselves, a scene is in no list or
            has no description, or files are at fault and `on_missing` refuses it.
    """
    data = NuScenes(root, config.version)
    splits = split_scenes(
        root,
        data.version,
        [scene.name for scene in data.scenes],
        validation_share=config.validation_share,
        default_split=config.default_split,
    )
    lines: dict[Split, list[IndexLine]] = {split: [] for split in SPLITS}
    dropped: Counter[str] = Counter()
    files = FileCheck(root, decode=config.check_files)
    for scene in data.scenes:
        split = splits[scene.name]
        for result in _index_scene(data, scene, config, files, training=split == 'train'):
            if isinstance(result, IndexLine):
                lines[split].append(result)
            else:
                dropped[f'{split}: {result}'] += 1
    if config.on_missing == 'refuse':
        files.refuse_faults()
    return lines, dict(sorted(dropped.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Hold a candidate and the records that belong to it."""

    target: SensorRecord
    previous: SensorRecord | None
    next: SensorRecord | None
    sweep: SensorRecord | None
    exact_depth: str | None

    @property
    def speed_mps(self) -> float | None:
        """Average over the neighbours, from the ego poses."""
        speeds = [
            np.linalg.norm(other.T_world_ego[:3, 3] - self.target.T_world_ego[:3, 3])
            / (abs(other.timestamp_us - self.target.timestamp_us) * 1e-6)
            for other in (self.previous, self.next)
            if other
        ]
        return float(np.mean(speeds)) if speeds else None


def _index_scene(
    data: NuScenes,
    scene: SceneRecord,
    config: NuScenesIndexConfig,
    files: FileCheck,
    *,
    training: bool,
) -> Iterator[IndexLine | str]:
    """Give each frame's line, or the reason why it is left out."""
    if not scene.description:
        raise ValueError(
            f'{scene.name} of {data.root / data.version} has no description, which would tell its '
            'condition (those of v1.0-test are empty); index v1.0-trainval or v1.0-mini'
        )
    condition = condition_of(scene.description)
    kept = []
    for frame in _frames(data, scene, config, training=training):
        reason = _dismissal(frame, condition, config) if training else None
        if reason is None:
            kept.append(frame)
        else:
            yield reason
    files.look(path for frame in kept for path in _all_files(frame, data.root))
    for frame in kept:
        yield _line(frame, scene, condition, data.root, files, training=training)


def _frames(
    data: NuScenes, scene: SceneRecord, config: NuScenesIndexConfig, *, training: bool
) -> list[_Frame]:
    """Gather what belongs to each candidate of a scene."""
    records = data.records(scene, config.channels)
    sweeps = data.records(scene, [LIDAR_CHANNEL], key_frames_only=True) if config.lidar else []
    by_token = {record.token: record for record in records}
    key_frames = [record for record in (*records, *sweeps) if record.is_key_frame]
    by_sample = {(record.sample_token, record.channel): record for record in key_frames}
    if len(by_sample) < len(key_frames):
        raise ValueError(
            f'{scene.name}: a sample has two key frames of one channel; the tables of '
            f'{data.root / data.version} contradict themselves, copy all of them again'
        )
    has_exact_depth = (data.root / 'exact_depth').is_dir()
    step = config.neighbour_step if training else 1
    frames = []
    for record in records:
        if not record.is_key_frame and (config.key_frames_only or not training):
            continue
        sweep = None
        if config.lidar and record.is_key_frame:
            sweep = by_sample.get((record.sample_token, LIDAR_CHANNEL))
            if sweep is None:
                raise ValueError(
                    f'{scene.name}: no {LIDAR_CHANNEL} key frame belongs to {record.path.name}; '
                    'where the set has no LiDAR, index it with `--set lidar=false`'
                )
        exact_depth = f'exact_depth/{record.channel}/{record.path.stem}.png'
        frames.append(
            _Frame(
                target=record,
                previous=_linked(record, 'prev', step, by_token, scene),
                next=_linked(record, 'next', step, by_token, scene),
                sweep=sweep,
                exact_depth=exact_depth if has_exact_depth else None,
            )
        )
    missing = sorted({*config.channels} - {frame.target.channel for frame in frames})
    if missing:
        raise ValueError(
            f'{scene.name} has no frame of {", ".join(missing)}; index the channels that it has'
        )
    return frames


def _linked(
    record: SensorRecord,
    link: Literal['prev', 'next'],
    step: int,
    by_token: dict[str, SensorRecord],
    scene: SceneRecord,
) -> SensorRecord | None:
    """Follow a record's link in time, several times over; None where the drive ends before."""
    for _ in range(step):
        token = record.prev_token if link == 'prev' else record.next_token
        if not token:
            return None
        other = by_token.get(token)
        if other is None or other.channel != record.channel:
            raise ValueError(
                f'{scene.name}: {link} of {record.path.name} is {token!r}, which is no record of '
                'this scene and channel; the tables are of different downloads, copy all of them '
                'again'
            )
        lead_us = other.timestamp_us - record.timestamp_us
        if lead_us == 0 or (lead_us > 0) != (link == 'next'):
            raise ValueError(
                f'{scene.name}: {link} of {record.path.name} is {other.path.name}, {lead_us} us '
                'later; the tables contradict themselves, copy all of them again'
            )
        record = other
    return record


def _dismissal(frame: _Frame, condition: Condition, config: NuScenesIndexConfig) -> str | None:
    """Say why a frame is not for training."""
    if config.train_conditions is not None and condition not in config.train_conditions:
        return f'condition {condition}'
    if frame.previous is None or frame.next is None:
        return 'without both neighbours'
    assert frame.speed_mps is not None
    if frame.speed_mps < config.min_speed_mps:
        return f'slower than {config.min_speed_mps:g} m/s'
    return None


def _own_files(frame: _Frame, root: Path) -> dict[str, str]:
    """Map what a frame consists of to its path from the root; its neighbours are apart."""
    files = {'picture': _relative(frame.target, root)}
    if frame.sweep is not None:
        files['LiDAR sweep'] = _relative(frame.sweep, root)
    if frame.exact_depth is not None:
        files['exact depth'] = frame.exact_depth
    return files


def _all_files(frame: _Frame, root: Path) -> list[str]:
    neighbours = [_relative(other, root) for other in (frame.previous, frame.next) if other]
    return [*_own_files(frame, root).values(), *neighbours]


def _line(
    frame: _Frame,
    scene: SceneRecord,
    condition: Condition,
    root: Path,
    files: FileCheck,
    *,
    training: bool,
) -> IndexLine | str:
    """Give a frame's line, or which of its files is at fault."""
    own = _own_files(frame, root)
    for kind, path in own.items():
        if fault := files.fault(path):
            return f'{kind} {fault}'
    T_world_camera = frame.target.T_world_ego @ frame.target.T_ego_sensor
    neighbours: list[Neighbour | None] = []
    for other in (frame.previous, frame.next):
        fault = files.fault(_relative(other, root)) if other else None
        if fault and training:
            return f'neighbour picture {fault}'
        neighbours.append(None if fault or not other else _neighbour(other, T_world_camera, root))
    target, sweep = frame.target, frame.sweep
    assert target.K is not None  # a camera, by its channel
    assert target.size is not None
    return IndexLine(
        id=target.path.stem,
        scene=scene.name,
        channel=target.channel,
        condition=condition,
        timestamp_us=target.timestamp_us,
        image=own['picture'],
        size=target.size,
        K=_matrix(target.K),
        speed_mps=frame.speed_mps,
        previous=neighbours[0],
        next=neighbours[1],
        lidar=own.get('LiDAR sweep'),
        # Through both ego poses: the car drives on between the sweep's instant and the picture's.
        T_camera_lidar=_matrix(invert(T_world_camera) @ sweep.T_world_ego @ sweep.T_ego_sensor)
        if sweep
        else None,
        exact_depth=frame.exact_depth,
    )


def _neighbour(source: SensorRecord, T_world_target: NDArray[np.float64], root: Path) -> Neighbour:
    T_source_world = invert(source.T_world_ego @ source.T_ego_sensor)
    return Neighbour(
        image=_relative(source, root),
        timestamp_us=source.timestamp_us,
        T_source_target=_matrix(T_source_world @ T_world_target),
    )


def _relative(record: SensorRecord, root: Path) -> str:
    return record.path.relative_to(root).as_posix()


def _matrix(T: NDArray[np.float64]) -> Matrix:
    """Round to a billionth, so that another machine's last bits give the same index."""
    return tuple(map(tuple, (np.round(T, 9) + 0.0).tolist()))  # + 0.0: no -0.0
