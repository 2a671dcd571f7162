"""The same instants under other conditions: translated pictures, or twins of a rendered set."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.frame_reader import (
    BrokenFrameError,
    FrameReader,
    Image,
    Resize,
    resize_picture,
    Size,
)
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.data.manifest import ManifestLine
from ssd_depth_core.data.pictures import read_picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Appearance:
    """Hold a frame's picture under another condition."""

    picture: Image
    """(h, w, 3) RGB."""
    weight: float
    """How far to trust it, in [0, 1]."""


class Appearances(Protocol):
    """Give frames' pictures under other conditions."""

    def conditions_of(self, line: IndexLine) -> set[Condition]:
        """List the conditions under which there is a picture of a frame."""
        ...

    def read(
        self, line: IndexLine, condition: Condition, size: Size, rng: np.random.Generator
    ) -> Appearance:
        """Read a picture of the frame under one of its conditions; `rng` chooses among several.

        Raises `BrokenFrameError` if the file is missing or damaged.
        """
        ...


class TranslatedPictures:
    """Take the pictures that a manifest lists."""

    def __init__(
        self,
        folder: Path,
        lines: list[ManifestLine],
        resize: Resize = 'area',
        weight_by: str | None = None,
        only_accepted: bool = True,
    ) -> None:
        """Sort the pictures by frame and condition.

        Args:
            folder: Of the manifest.
            lines: Of the manifest.
            resize: How pictures are brought to a size.
            weight_by: Name of the score that weighs a picture; None weighs all the same.
            only_accepted: Whether the gate's verdict counts.

        Raises:
            ValueError: If a picture has no such score, or not in [0, 1].
        """
        self.folder = folder
        self.resize = resize
        self.weight_by = weight_by
        self._pictures = defaultdict(list)
        for line in lines:
            if only_accepted and not line.accepted:
                continue
            if weight_by is not None and not 0 <= line.scores.get(weight_by, -1) <= 1:
                raise ValueError(
                    f'weight_by must name a score in [0, 1] of every picture; {line.path} has '
                    f'{weight_by} = {line.scores.get(weight_by)}; scores are {line.scores}'
                )
            self._pictures[line.source_id, line.condition].append(line)
        self._conditions = defaultdict(set)
        for source_id, condition in self._pictures:
            self._conditions[source_id].add(condition)

    def conditions_of(self, line: IndexLine) -> set[Condition]:
        """List the conditions under which there is a picture of a frame.

        Args:
            line: Which frame.

        Returns:
            Possibly none.
        """
        return self._conditions.get(line.id, set())

    def read(
        self, line: IndexLine, condition: Condition, size: Size, rng: np.random.Generator
    ) -> Appearance:
        """Read a picture of the frame.

        Args:
            line: Which frame.
            condition: One of `conditions_of(line)`.
            size: (h, w) of the result, pixels.
            rng: Chooses among several.

        Returns:
            The picture and its weight.

        Raises:
            BrokenFrameError: If the file is missing or damaged.
        """
        several = self._pictures[line.id, condition]
        chosen = several[rng.integers(len(several))]
        try:
            picture = read_picture(self.folder / chosen.path)
        except (OSError, ValueError) as error:
            raise BrokenFrameError(str(error)) from None
        weight = 1.0 if self.weight_by is None else chosen.scores[self.weight_by]
        return Appearance(picture=resize_picture(picture, size, self.resize), weight=weight)


class TwinPictures:
    """Take a rendered set's twins, the perfect translations: same street, instant and camera."""

    def __init__(
        self, lines: list[IndexLine], source: FrameSource, resize: Resize = 'area'
    ) -> None:
        """Sort the frames by what they show.

        Args:
            lines: Of the index, all conditions of a street.
            source: Reads them.
            resize: How pictures are brought to a size.
        """
        self._reader = FrameReader(source, resize)
        self._twins: dict[tuple[str, str, int], dict[Condition, IndexLine]] = defaultdict(dict)
        for line in lines:
            self._twins[instant_of(line)][line.condition] = line

    def conditions_of(self, line: IndexLine) -> set[Condition]:
        """List the other conditions in which a frame was rendered.

        Args:
            line: Which frame.

        Returns:
            Possibly none.
        """
        return set(self._twins.get(instant_of(line), ())) - {line.condition}

    def read(
        self, line: IndexLine, condition: Condition, size: Size, rng: np.random.Generator
    ) -> Appearance:
        """Read a twin.

        Args:
            line: Which frame.
            condition: One of `conditions_of(line)`.
            size: (h, w) of the result, pixels.
            rng: Not asked: there is one twin a condition.

        Returns:
            The picture; its weight is 1.

        Raises:
            BrokenFrameError: If the file is missing or damaged.
        """
        twin = self._twins[instant_of(line)][condition]
        (picture,) = self._reader.read(twin, twin.size, size)
        return Appearance(picture=picture, weight=1.0)


def instant_of(line: IndexLine) -> tuple[str, str, int]:
    """Name what twins of a rendered set share.

    Args:
        line: Of one of them.

    Returns:
        The street (`street-0003` of `street-0003-night`), the camera, and the time [us].
    """
    return line.scene.removesuffix(f'-{line.condition}'), line.channel, line.timestamp_us
