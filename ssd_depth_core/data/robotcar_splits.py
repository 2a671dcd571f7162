"""Say which RobotCar pictures train, validate and test.

Rendered sets say it themselves, a split for each drive. For the real drives the published lists
decide, given as files. Without them each drive is cut into blocks of time, with a guard between
blocks of different splits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file
from ssd_depth_core.conditions import Condition
from ssd_depth_core.config import from_dict
from ssd_depth_core.data.index import Split

GUARD = 'guard between splits'
UNLISTED = 'in no list'


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """Hold where a picture belongs."""

    stamp_us: int
    """Of the picture."""
    split: Split | None
    """None: it is left out."""
    scene: str = ''
    """A rendered drive, or a stretch of a real one; empty where it is left out."""
    neighbours: tuple[int, int] | None = None
    """Stamps of the pictures before and after, where a list names them."""
    reason: str = ''
    """Why it is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedConditions:
    """Hold `conditions.json` of a rendered set."""

    schema_version: Literal[1]
    """Of the file's form."""
    conditions: dict[str, Condition]
    """By traversal."""


def rendered_conditions(root: Path) -> dict[str, Condition]:
    """Read the conditions of a rendered set.

    Args:
        root: The data set's folder.

    Returns:
        By traversal; empty for a recording, which has no `conditions.json`.

    Raises:
        ValueError: If the file is not such a record.
    """
    path = root / 'conditions.json'
    if not path.exists():
        return {}
    try:
        values = json.loads(path.read_bytes())
    except ValueError as error:  # of JSON or of UTF-8
        raise ValueError(f'{path} is not JSON ({error}); render the set again') from None
    return from_dict(RenderedConditions, values, str(path)).conditions


def read_lists(files: dict[Split, tuple[Path, ...]]) -> dict[int, Assignment]:
    """Read lists of pictures.

    Args:
        files: Of each split. A line holds a timestamp, or those of the previous, the target and
            the next picture, as md4all's lists for training do [microseconds].

    Returns:
        By timestamp, in the order of the files, without scenes.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is not such a line, or a picture comes twice.
    """
    listed: dict[int, Assignment] = {}
    for split, path in ((split, path) for split, paths in files.items() for path in paths):
        check_file(path, 'list of pictures', 'correct split_files')
        for number, line in enumerate(path.read_text().splitlines(), 1):
            words = line.split()
            if len(words) not in (1, 3) or not all(word.isdecimal() for word in words):
                raise ValueError(
                    f'{path}:{number} must hold one timestamp or three [microseconds], '
                    f'got {line!r}'
                )
            stamps = [int(word) for word in words]
            stamp = stamps[len(stamps) // 2]
            if stamp in listed:
                raise ValueError(
                    f'{path}:{number}: picture {stamp} is for {listed[stamp].split} already; '
                    'a picture belongs to one split, once'
                )
            neighbours = (stamps[0], stamps[2]) if len(stamps) == 3 else None
            listed[stamp] = Assignment(stamp_us=stamp, split=split, neighbours=neighbours)
    return listed


def assign_whole(stamps: NDArray[np.int64], scene: str, split: Split) -> Iterator[Assignment]:
    """Give a whole drive to one split.

    Args:
        stamps: Of its pictures, (N,) [microseconds].
        scene: Its name.
        split: Its split.

    Yields:
        One a picture.
    """
    for stamp in stamps.tolist():
        yield Assignment(stamp_us=stamp, split=split, scene=scene)


def assign_listed(
    stamps: NDArray[np.int64], drive: str, listed: dict[int, Assignment], scene_us: int
) -> Iterator[Assignment]:
    """Give a drive's pictures to the splits that lists name.

    Args:
        stamps: Of its pictures, (N,) [microseconds].
        drive: Its name.
        listed: As `read_lists` gives.
        scene_us: Length of the stretches of time that count as scenes.

    Yields:
        One a picture.
    """
    for stamp in stamps.tolist():
        found = listed.get(stamp)
        if found is None:
            yield Assignment(stamp_us=stamp, split=None, reason=UNLISTED)
        else:
            yield Assignment(
                stamp_us=stamp,
                split=found.split,
                scene=_scene(drive, (stamp - int(stamps[0])) // scene_us),
                neighbours=found.neighbours,
            )


def assign_blocks(
    stamps: NDArray[np.int64],
    drive: str,
    pattern: Sequence[Split],
    block_us: int,
    guard_us: int,
) -> Iterator[Assignment]:
    """Cut a drive into blocks of time and deal them out; each block is a scene.

    Args:
        stamps: Of its pictures, (N,) [microseconds].
        drive: Its name.
        pattern: Splits of consecutive blocks, over and over.
        block_us: Length of a block.
        guard_us: Left out on both sides of a border between different splits.

    Yields:
        One a picture.
    """
    last = int(stamps[-1] - stamps[0]) // block_us
    for stamp in stamps.tolist():
        block, since = divmod(stamp - int(stamps[0]), block_us)
        before, split, after = (pattern[(block + k) % len(pattern)] for k in (-1, 0, 1))
        behind_border = block > 0 and before != split and since < guard_us
        ahead_of_border = block < last and after != split and block_us - since <= guard_us
        if behind_border or ahead_of_border:
            yield Assignment(stamp_us=stamp, split=None, reason=GUARD)
        else:
            yield Assignment(stamp_us=stamp, split=split, scene=_scene(drive, block))


def _scene(drive: str, block: int) -> str:
    return f'{drive}-block-{block:03d}'
