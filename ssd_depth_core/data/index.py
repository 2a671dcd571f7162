"""The index: which frames a data set gives, what belongs to each, and where it lies.

<index>/index.json       `IndexHeader`: the data set, the options, what was kept and dropped
<index>/<split>.jsonl    one `IndexLine` a frame, in the order of scenes and time

Everything after the index (translation, training, evaluation) reads these files only, through a
`FrameSource` that knows the data set's own picture and LiDAR formats.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
import json
from pathlib import Path
import re
from typing import Any, get_args, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file, check_intrinsics
from ssd_depth_core.conditions import Condition
from ssd_depth_core.config import from_dict, to_dict

Split = Literal['train', 'validation', 'test']
SPLITS: tuple[Split, ...] = get_args(Split)

SourceFormat = Literal['nuscenes', 'robotcar', 'rendered']

Matrix = tuple[tuple[float, ...], ...]
"""As JSON holds it, row by row."""

REMEDY = 'make the index with `python -m training.index_data`'


@dataclass(frozen=True, kw_only=True, slots=True)
class Neighbour:
    """Hold a source frame: the same camera's picture before or after a target frame."""

    image: str
    """Path from the data set's root."""
    timestamp_us: int
    """Since the epoch, microseconds."""
    T_source_target: Matrix | None
    """(4, 4), from this frame's ego poses: points in the target camera to the source camera; None
    where a data set has no poses, from which depth can be learnt without a unit alone."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If the transform is not (4, 4).
        """
        if self.T_source_target is not None:
            _check_matrix(self.T_source_target, 4, 'T_source_target')


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexLine:
    """Hold one line of `<split>.jsonl`: a target frame and all that belongs to it."""

    schema_version: Literal[1] = 1
    """Of the line's form."""
    id: str
    """Unique in the index, and a file name: letters, digits and `._+-`."""
    scene: str
    """The drive; splits, bootstrap and consecutive frames go by it."""
    channel: str
    """The camera, e.g. `CAM_FRONT`, `stereo/left`."""
    condition: Condition
    """Light and weather."""
    timestamp_us: int
    """Since the epoch, microseconds."""
    image: str
    """Path from the data set's root."""
    size: tuple[int, int]
    """(H, W) of the picture that the source gives, pixels."""
    K: Matrix
    """(3, 3), pixels of that picture."""
    speed_mps: float | None
    """Mean of the speeds to the neighbours, from the poses; None where there is no neighbour."""
    previous: Neighbour | None = None
    """The camera's frame before; None at the drive's beginning."""
    next: Neighbour | None = None
    """The camera's frame after; None at the drive's end."""
    lidar: str | None = None
    """Sweep that gives sparse truth, path from the root; None where the source gathers many."""
    T_camera_lidar: Matrix | None = None
    """(4, 4), of that sweep through both ego poses."""
    exact_depth: str | None = None
    """Exact depth of a rendered set, path from the root; None for a recording."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If the id is no file name, the size is empty, a matrix has another shape,
                or a sweep comes without its transform.
        """
        if not re.fullmatch(r'[\w.+-]+', self.id, re.ASCII):
            raise ValueError(f'id must be letters, digits and ._+-, got {self.id!r}')
        if min(self.size) < 1:
            raise ValueError(f'size must be at least 1x1 pixels, got {self.size}')
        _check_matrix(self.K, 3, 'K')
        if self.T_camera_lidar is not None:
            _check_matrix(self.T_camera_lidar, 4, 'T_camera_lidar')
        elif self.lidar is not None:
            raise ValueError(f'frame {self.id} has a LiDAR sweep and no T_camera_lidar')


@dataclass(frozen=True, kw_only=True, slots=True)
class IndexHeader:
    """Hold `index.json`: what was indexed, how, and how much of it."""

    schema_version: Literal[1] = 1
    """Of this file's form."""
    format: SourceFormat
    """Which `FrameSource` reads the data set."""
    root: str
    """The data set's folder; absolute, or relative to the index."""
    options: dict[str, Any]
    """The resolved config of the index stage."""
    kept: dict[str, dict[str, int]]
    """Frames by split, then by condition."""
    dropped: dict[str, int]
    """Frames left out, by reason."""


class FrameSource(Protocol):
    """Read a data set's pictures and truth, each format in its own way."""

    def read_image(self, frame: IndexLine | Neighbour) -> NDArray[np.uint8]:
        """Read a picture, (H, W, 3) RGB, rectified and cropped as the index's K says."""
        ...

    def read_depth(self, line: IndexLine) -> NDArray[np.float32]:
        """Read the LiDAR truth, (H, W) [m] along the optical axis, NaN where there is none."""
        ...


def write_index(
    folder: Path, header: IndexHeader, lines: Mapping[Split, Iterable[IndexLine]]
) -> None:
    """Write an index; the header comes last, so that an index that opens is complete.

    Args:
        folder: Made where missing.
        header: What was indexed.
        lines: Frames of each split.

    Raises:
        ValueError: If an id comes twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'index.json').unlink(missing_ok=True)  # of an index that is made anew
    known: set[str] = set()
    for split in SPLITS:
        with (folder / f'{split}.jsonl').open('w') as file:
            for line in lines.get(split, ()):
                if line.id in known:
                    raise ValueError(f'frame {line.id} comes twice; ids must be unique')
                known.add(line.id)
                file.write(json.dumps(to_dict(line)) + '\n')
    partial = folder / '.index.json.partial'
    partial.write_text(json.dumps(to_dict(header), indent=2) + '\n')
    partial.rename(folder / 'index.json')


def read_header(folder: Path) -> IndexHeader:
    """Read `index.json`.

    Args:
        folder: The index.

    Returns:
        The header, its root no longer relative to the index.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not such a record.
    """
    path = folder / 'index.json'
    check_file(path, 'index', REMEDY)
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path} is no JSON ({error}); {REMEDY}') from None
    header = from_dict(IndexHeader, values, str(path))
    return replace(header, root=str(folder / header.root))


def read_lines(folder: Path, split: Split) -> list[IndexLine]:
    """Read the frames of a split.

    Args:
        folder: The index.
        split: Which.

    Returns:
        In the order of the file; possibly none.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line breaks the form or an id comes twice.
    """
    path = folder / f'{split}.jsonl'
    if not path.is_file():  # an empty one is a split without frames
        raise FileNotFoundError(f'index not found at {path}; {REMEDY}')
    lines, known = [], set()
    for number, text in enumerate(path.read_text().splitlines(), 1):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{number} is not JSON ({error}); {REMEDY}') from None
        line = from_dict(IndexLine, values, f'{path}:{number}')
        check_intrinsics(np.array(line.K), f'{path}:{number}: K')
        if line.id in known:
            raise ValueError(f'{path}:{number}: id {line.id!r} comes twice; {REMEDY}')
        known.add(line.id)
        lines.append(line)
    return lines


def _check_matrix(matrix: Matrix, size: int, name: str) -> None:
    if [len(row) for row in matrix] != [size] * size:
        raise ValueError(f'{name} must be ({size}, {size}), got {matrix}')
