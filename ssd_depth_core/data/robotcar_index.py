"""Index Oxford RobotCar: its pictures by split, each with neighbours, motion and condition."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.index import IndexLine, Matrix, Neighbour, Split, SPLITS
from ssd_depth_core.data.nuscenes_splits import rendered_splits
from ssd_depth_core.data.robotcar import CHANNEL, RobotCar, Traversal
from ssd_depth_core.data.robotcar_filters import (
    is_over_exposed,
    is_static,
    jumps_in_exposure,
    mean_intensity,
)
from ssd_depth_core.data.robotcar_splits import (
    assign_blocks,
    assign_listed,
    assign_whole,
    Assignment,
    read_lists,
    rendered_conditions,
)
from ssd_depth_core.geometry.pose import invert


@dataclass(frozen=True, kw_only=True, slots=True)
class RobotCarIndexConfig:
    """Say what is taken from a RobotCar data set."""

    conditions: dict[str, Condition] = field(
        default_factory=lambda: {
            '2014-12-09-13-21-02': 'day-clear',
            '2014-12-16-18-44-24': 'night',
        }
    )
    """Of each traversal; those of a rendered set come from its `conditions.json`."""
    split_files: dict[Split, tuple[Path, ...]] = field(default_factory=dict)
    """Lists of pictures, a timestamp or those of previous, target and next on each line. Empty:
    blocks of time. Not for rendered sets, which have their `splits.json`."""
    train_conditions: tuple[Condition, ...] | None = ('day-clear',)
    """Of the training frames; None for all. Validation and test always take all."""
    block_s: float = 60.0
    """Length of a block, and of a scene where lists decide [s]."""
    block_splits: tuple[Split, ...] = (*('train',) * 8, 'validation', 'test')
    """Splits of consecutive blocks from the drive's beginning, over and over."""
    guard_s: float = 4.0
    """Left out on both sides of a border between splits [s]; from 4 on, the pictures of two
    splits share neither neighbours nor a LiDAR scan."""
    max_gap_s: float = 0.15
    """Longest time to a neighbour [s]; pictures come at 16 Hz, and one may be lost."""
    require_neighbours: bool = True
    """Leave out training pictures that lack the picture before or after."""
    drop_static: bool = True
    """Leave out training pictures where the car stands."""
    drop_exposure: bool = True
    """Leave out training pictures that are over-exposed or whose exposure jumps; this decodes
    every training picture."""
    on_missing: Literal['refuse', 'drop'] = 'refuse'
    """What follows from pictures and scans that are listed and not there, and from gaps in the
    visual odometry: an error, or that frames which need them are left out and counted."""

    def __post_init__(self) -> None:
        """Validate the numbers.

        Raises:
            ValueError: If blocks are no longer than their guards, no block has a split, no
                condition is for training, or guards do not keep neighbours apart.
        """
        if not self.block_s > 2 * self.guard_s:
            raise ValueError(
                f'block_s must be > 2 guard_s, got {self.block_s:g} and {self.guard_s:g}'
            )
        if not self.block_splits:
            raise ValueError('block_splits must name a split; name train, validation and test')
        if self.train_conditions == ():
            raise ValueError('train_conditions must be one or more, or null for all, got none')
        if not 0 < self.max_gap_s <= self.guard_s:
            raise ValueError(
                f'max_gap_s must be > 0 and <= guard_s, got {self.max_gap_s:g} and '
                f'{self.guard_s:g}'
            )


def index_robotcar(
    root: Path, config: RobotCarIndexConfig
) -> tuple[dict[Split, list[IndexLine]], dict[str, int]]:
    """List a data set's pictures by split.

    Differs from md4all where `split_files` is empty: its lists cannot be derived from its text, so
    splits are blocks of time then, and counts are not the published ones.

    Args:
        root: As in `RobotCar`.
        config: What to take.

    Returns:
        Lines of each split, by traversal and time; and how many pictures were left out, by split
        and the first reason that applies.

    Raises:
        FileNotFoundError: If a file is missing and `on_missing` refuses it.
        ValueError: If a traversal has no condition, or files are damaged or contradict each other.
    """
    data = RobotCar(root)
    conditions = rendered_conditions(root) or config.conditions
    splits, listed = rendered_splits(root), read_lists(config.split_files)
    if splits and listed:
        raise ValueError(f'{root}/splits.json says the splits; leave split_files empty')
    for name in splits:
        if name not in data.traversals:
            raise FileNotFoundError(
                f'{root}/splits.json names {name}, which is not there; finish the rendering'
            )
    lines: dict[Split, list[IndexLine]] = {split: [] for split in SPLITS}
    dropped: Counter[str] = Counter()
    block_us, guard_us = round(config.block_s * 1e6), round(config.guard_s * 1e6)
    for name, traversal in data.traversals.items():
        if name not in conditions:
            raise ValueError(f'the condition of {root / name} is unknown; add it to `conditions`')
        if config.on_missing == 'refuse':
            _require_complete(traversal)
        stamps = traversal.pictures.us
        if splits:
            if name not in splits:
                raise ValueError(f'{root}/splits.json says nothing of {name}; render it again')
            assigned = assign_whole(stamps, name, splits[name])
        elif listed:
            assigned = assign_listed(stamps, name, listed, block_us)
        else:
            assigned = assign_blocks(stamps, name, config.block_splits, block_us, guard_us)
        indexer = _TraversalIndexer(data, traversal, conditions[name], config)
        for split, line in indexer.lines(assigned, dropped):
            lines[split].append(line)
    absent = set(listed).difference(*(t.pictures.us.tolist() for t in data.traversals.values()))
    if absent and config.on_missing == 'refuse':
        raise FileNotFoundError(
            f'{len(absent)} listed pictures are of no traversal in {root}, the first is '
            f'{min(absent)}; download their traversal, or set on_missing=drop'
        )
    if absent:
        dropped['listed, but of no traversal'] += len(absent)
    return lines, dict(dropped)


def _require_complete(traversal: Traversal) -> None:
    """Refuse a traversal of which something was not downloaded."""
    for what, stamps in (('pictures', traversal.pictures), ('scans', traversal.scans)):
        missing = stamps.us[~stamps.present]
        if missing.size:
            raise FileNotFoundError(
                f'{missing.size} of {stamps.us.size} {what} of {traversal.folder} are missing, '
                f'the first is {missing[0]}; download their chunks, or set on_missing=drop'
            )
    chains = traversal.odometry.chains
    if len(chains) > 1:
        raise ValueError(
            f'the visual odometry of {traversal.folder} has {len(chains) - 1} gap(s), the first '
            f'after {chains[0].stamps_us[-1]}; download it again, or set on_missing=drop'
        )


class _TraversalIndexer:
    """Index one drive."""

    def __init__(
        self,
        data: RobotCar,
        traversal: Traversal,
        condition: Condition,
        config: RobotCarIndexConfig,
    ) -> None:
        self._data = data
        self._traversal = traversal
        self._condition = condition
        self._config = config
        pictures = traversal.pictures
        self._stamps = pictures.us[pictures.present].tolist()
        self._place = {stamp: place for place, stamp in enumerate(self._stamps)}

    def lines(
        self, assigned: Iterable[Assignment], dropped: Counter[str]
    ) -> Iterator[tuple[Split, IndexLine]]:
        """Give the lines that no rule drops, by time; count the others."""
        kept: list[tuple[Split, IndexLine]] = []
        for assignment in assigned:
            split = assignment.split
            if split is None:
                dropped[assignment.reason] += 1
            elif assignment.stamp_us not in self._place:
                dropped[f'{split}: picture missing'] += 1
            else:
                line = self._line(assignment)
                reason = self._reason(line, split)
                if reason is None:
                    kept.append((split, line))
                else:
                    dropped[f'{split}: {reason}'] += 1
        if not self._config.drop_exposure:
            yield from kept
            return
        intensities = self._intensities(line for split, line in kept if split == 'train')
        for split, line in kept:
            own = intensities.get(line.image, 0.0)
            if split == 'train' and is_over_exposed(own):
                dropped['train: over-exposed'] += 1
            elif split == 'train' and jumps_in_exposure(
                own, [intensities[source.image] for source in _sources(line)]
            ):
                dropped['train: exposure jump'] += 1
            else:
                yield split, line

    def _line(self, assignment: Assignment) -> IndexLine:
        stamp = assignment.stamp_us
        before, after = assignment.neighbours or self._adjacent(stamp)
        previous, following = self._neighbour(before, stamp), self._neighbour(after, stamp)
        speeds = [
            _way(source) / abs(source.timestamp_us - stamp) * 1e6
            for source in (previous, following)
            if source
        ]
        root = self._data.root
        exact_depth = self._traversal.folder / 'exact_depth' / CHANNEL / f'{stamp}.png'
        return IndexLine(
            id=f'{self._traversal.name}_{stamp}',
            scene=assignment.scene,
            channel=CHANNEL,
            condition=self._condition,
            timestamp_us=stamp,
            image=self._image(stamp),
            size=self._traversal.picture_size,
            K=_rows(self._data.camera.K),
            speed_mps=sum(speeds) / len(speeds) if speeds else None,
            previous=previous,
            next=following,
            exact_depth=str(exact_depth.relative_to(root)) if exact_depth.is_file() else None,
        )

    def _adjacent(self, stamp: int) -> tuple[int | None, int | None]:
        reach, place = self._config.max_gap_s * 1e6, self._place[stamp]
        before = self._stamps[place - 1] if place > 0 else None
        after = self._stamps[place + 1] if place + 1 < len(self._stamps) else None
        return (
            None if before is None or stamp - before > reach else before,
            None if after is None or after - stamp > reach else after,
        )

    def _neighbour(self, source: int | None, stamp: int) -> Neighbour | None:
        """Describe the picture before or after; None where visual odometry does not link them."""
        if source is None or source not in self._place:
            return None
        (T,) = self._traversal.odometry.relative_poses(source, np.array((stamp,), np.int64))
        if np.isnan(T).any():
            return None
        T_image_vehicle = self._data.T_image_vehicle
        return Neighbour(
            image=self._image(source),
            timestamp_us=source,
            T_source_target=_rows(T_image_vehicle @ T @ invert(T_image_vehicle)),
        )

    def _reason(self, line: IndexLine, split: Split) -> str | None:
        """Say why a picture is left out, as far as that is known without opening it."""
        if split != 'train':
            return None if self._has_truth(line.timestamp_us) else 'no LiDAR truth'
        conditions = self._config.train_conditions
        if conditions is not None and line.condition not in conditions:
            return f'condition {line.condition}'
        if self._config.require_neighbours and not (line.previous and line.next):
            return 'without both neighbours'
        if self._config.drop_static and is_static([_way(source) for source in _sources(line)]):
            return 'static'
        return None

    def _has_truth(self, stamp: int) -> bool:
        around = self._traversal.scans.present[self._traversal.scans_around(stamp)]
        (T,) = self._traversal.odometry.relative_poses(stamp, np.array((stamp,), np.int64))
        return bool(around.size and around.all() and np.isfinite(T).all())

    def _intensities(self, lines: Iterable[IndexLine]) -> dict[str, float]:
        """Average the pictures of lines and their neighbours, each once."""
        images = sorted(
            {image for line in lines for image in (line.image, *(s.image for s in _sources(line)))}
        )

        def intensity(image: str) -> float:
            return mean_intensity(self._data.read_picture(self._data.root / image))

        with ThreadPoolExecutor() as pool:  # OpenCV and NumPy work outside the interpreter's lock
            return dict(zip(images, pool.map(intensity, images), strict=True))

    def _image(self, stamp: int) -> str:
        return f'{self._traversal.name}/{CHANNEL}/{stamp}.png'


def _sources(line: IndexLine) -> list[Neighbour]:
    return [source for source in (line.previous, line.next) if source]


def _way(source: Neighbour) -> float:
    return float(np.linalg.norm(np.array(source.T_source_target)[:3, 3]))


def _rows(matrix: NDArray[np.float64]) -> Matrix:
    return tuple(map(tuple, matrix.tolist()))
