"""Index a rendered training set: single views, each with exact depth, none with neighbours."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition, CONDITIONS
from ssd_depth_core.data.index import IndexLine, Neighbour, Split
from ssd_depth_core.data.pictures import read_picture
from ssd_depth_core.data.rendered import Frame, read_set

CHANNEL = 'RANDOM'
"""Every view has a camera of its own."""

APART_US = 3_600_000_000
"""Between views, an hour."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedIndexConfig:
    """Say what is taken from a rendered training set."""

    train_conditions: tuple[Condition, ...] | None = ('day-clear',)
    """Of the training views; None for all. Validation always takes all."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If no condition is for training.
        """
        if self.train_conditions == ():
            raise ValueError('train_conditions must be one or more, or null for all, got none')


class RenderedSource:
    """Read the pictures of an index that was made of a rendered training set."""

    def __init__(self, root: Path) -> None:
        """Keep the folder; files are opened as they are asked for.

        Args:
            root: The folder that holds `frames.jsonl`.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        if not root.is_dir():
            raise FileNotFoundError(
                f'rendered set not found at {root}; index it again where it lies now'
            )
        self.root = root

    def read_image(self, frame: IndexLine | Neighbour) -> NDArray[np.uint8]:
        """Read a picture.

        Args:
            frame: Which.

        Returns:
            (H, W, 3) RGB.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged.
        """
        return read_picture(self.root / frame.image)

    def read_depth(self, line: IndexLine) -> NDArray[np.float32]:
        """Refuse: no LiDAR is rendered beside single views.

        Args:
            line: Which frame.

        Returns:
            Never.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f'frame {line.id} has no LiDAR, only exact depth; ask for exact truth')


def index_rendered(
    root: Path, config: RenderedIndexConfig
) -> tuple[dict[Split, list[IndexLine]], dict[str, int]]:
    """List a set's views by split, one line a condition.

    Args:
        root: As `render_training_set` wrote it.
        config: What to take.

    Returns:
        Lines of `train` and `validation`, in the set's order; and how many pictures were left
        out, by split and reason.

    Raises:
        FileNotFoundError: If the set or its first picture is missing.
        ValueError: If a line breaks the form, or a folder's name is no condition.
    """
    lines: dict[Split, list[IndexLine]] = {'train': [], 'validation': [], 'test': []}
    dropped: Counter[str] = Counter()
    train_conditions = config.train_conditions or CONDITIONS
    size: tuple[int, int] | None = None
    for frame in read_set(root):
        split = frame.line.split
        for name in frame.line.conditions:
            if name not in CONDITIONS:
                raise ValueError(
                    f'{root}/frames.jsonl: conditions must be of {", ".join(CONDITIONS)}, '
                    f'got {name} for {frame.line.id}'
                )
            if split == 'train' and name not in train_conditions:
                dropped['train: other conditions than train_conditions'] += 1
                continue
            path = f'{name}/{frame.line.id}.jpg'
            if size is None:  # all pictures of a set have one
                size = read_picture(root / path).shape[:2]
            lines[split].append(_line(frame, name, path, size))
    return lines, dict(dropped)


def _line(frame: Frame, condition: Condition, path: str, size: tuple[int, int]) -> IndexLine:
    return IndexLine(
        id=line_id(frame, condition),
        scene=f'{frame.line.id.split("_")[0]}-{condition}',  # views of a city are one witness
        channel=CHANNEL,
        condition=condition,
        # No view comes after another: so far apart, nothing takes them for a video.
        timestamp_us=APART_US * int(frame.line.id.replace('_', '')),
        image=path,
        size=size,
        K=frame.line.K,
        speed_mps=None,
        exact_depth=f'depth/{frame.line.id}.png',
    )


def line_id(frame: Frame, condition: str) -> str:
    """Name a picture in an index.

    Args:
        frame: The view.
        condition: One of its conditions.

    Returns:
        Unique in the set.
    """
    return f'{frame.line.id}-{condition}'
