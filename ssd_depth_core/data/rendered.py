"""Reader of the rendered training set: twins of one street in several conditions, exact depth.

<set>/config.yaml              what the set was rendered with; may be missing
<set>/frames.jsonl             one line a frame (`FrameLine`)
<set>/<condition>/<id>.jpg     pixel-aligned twins
<set>/depth/<id>.png           uint16: depth in 1/256 m, 0 unknown, 65535 sky or beyond 255 m
<set>/classes/<id>.png         uint8: place in `SURFACE_CLASSES`, 255 unknown; may be missing
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
import itertools
import json
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file, check_intrinsics
from ssd_depth_core.config import from_dict
from ssd_depth_core.data.augment import (
    AugmentConfig,
    crop_resize,
    flip,
    photometric,
    random_window,
)
from ssd_depth_core.data.pictures import read_coded_depth
from ssd_depth_core.data.texture import solid_texture
from ssd_depth_core.exact_depth import decode_exact_depth
from ssd_depth_core.preprocess import normalize
import torch
from torch.utils.data import Dataset
import yaml

REMEDY = 'render a set with `python -m training.render_training_set`'


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameLine:
    """Hold one line of `frames.jsonl`."""

    schema_version: Literal[1]
    """Of the line's form."""
    id: str
    """Stem of the frame's files."""
    K: tuple[tuple[float, ...], ...]
    """(3, 3), pixels of the stored pictures."""
    split: Literal['train', 'validation']
    """Streets of one split never appear in the other."""
    conditions: tuple[str, ...]
    """Folders in which the frame has a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Hold a frame and where it lies."""

    folder: Path
    """The set."""
    line: FrameLine
    """What the set says of it."""
    translated: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    """Pictures of it that were made, by condition; of those only that were not rendered."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """All that there is a picture of, the rendered ones first."""
        return (*self.line.conditions, *self.translated)


@dataclass(frozen=True, kw_only=True, slots=True)
class RenderedConfig:
    """Say which pictures of a set are drawn and how they are changed."""

    condition_weights: dict[str, float] = field(
        default_factory=lambda: {'day-clear': 1.0, 'night': 1.0, 'day-rain': 1.0}
    )
    """Relative frequency of each condition among those that a frame has."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """What happens to a training picture."""

    def __post_init__(self) -> None:
        """Validate the weights.

        Raises:
            ValueError: If there is none, one is negative, or all are zero.
        """
        weights = self.condition_weights.values()
        if not weights or min(weights) < 0 or sum(weights) == 0:
            raise ValueError(
                f'condition_weights must be >= 0 and not all 0, got {self.condition_weights}'
            )


def read_frames(folders: list[Path], split: Literal['train', 'validation']) -> list[Frame]:
    """List the frames of a split that are complete now; a set may still be growing.

    Args:
        folders: One or more sets, read in order.
        split: Which frames.

    Returns:
        At least one frame, in the order of the files.

    Raises:
        FileNotFoundError: If a set has no `frames.jsonl`.
        ValueError: If a line breaks the form, or no frame is of the split.
    """
    frames = [f for folder in folders for f in read_set(folder) if f.line.split == split]
    if not frames:
        raise ValueError(
            f'no {split} frame in {", ".join(map(str, folders))} (usually every 25th city is for '
            f'validation, the others for training); {REMEDY}, of more cities'
        )
    return frames


def read_set(folder: Path) -> list[Frame]:
    """List all frames of a set that are complete now.

    Args:
        folder: The set.

    Returns:
        In the order of the file; possibly none.

    Raises:
        FileNotFoundError: If there is no `frames.jsonl`.
        ValueError: If a line breaks the form.
    """
    path = folder / 'frames.jsonl'
    check_file(path, 'training set', REMEDY)
    complete, _, _ = path.read_text().rpartition('\n')  # a last line without end is being written
    frames = []
    for number, text in enumerate(complete.splitlines(), 1):
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}:{number} is not JSON ({error}); {REMEDY}') from None
        line = from_dict(FrameLine, values, f'{path}:{number}')
        check_intrinsics(np.array(line.K), f'{path}:{number}: K')
        frames.append(Frame(folder=folder, line=line))
    return frames


def describe_sets(frames: list[Frame]) -> str:
    """Say what frames were rendered with, so that they can be rendered again.

    Args:
        frames: At least one, those of one set next to each other.

    Returns:
        For each set its number of frames, their first and last id, and its config as JSON where
        there is one.
    """
    parts = []
    for folder, group in itertools.groupby(frames, lambda frame: frame.folder):
        ids = [frame.line.id for frame in group]
        part = f'{len(ids)} frames {min(ids)} to {max(ids)}'
        path = folder / 'config.yaml'
        if path.exists():
            config = yaml.safe_load(path.read_text())
            part += f' rendered with {json.dumps(config)}'
        parts.append(part)
    return '; '.join(parts)


def read_image(
    frame: Frame, condition: str, rng: np.random.Generator | None = None
) -> NDArray[np.uint8]:
    """Decode one picture.

    Args:
        frame: Which.
        condition: One of the frame's.
        rng: Chooses among several translations; None: the first. A rendered picture is alone.

    Returns:
        (H, W, 3) RGB.

    Raises:
        ValueError: If the frame has no picture under the condition, or the file is missing or
            cannot be decoded.
    """
    remedy = REMEDY
    if condition in frame.line.conditions:
        path = frame.folder / condition / f'{frame.line.id}.jpg'
    elif condition in frame.translated:
        several = frame.translated[condition]
        path = several[0 if rng is None else rng.integers(len(several))]
        remedy = 'translate again with `python -m training.translate`'
    else:
        raise ValueError(
            f'frame {frame.line.id} has no picture as {condition}, only '
            f'{", ".join(frame.conditions)}; {REMEDY}, in that condition'
        )
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError(f'picture {path} is missing or damaged; {remedy}')
    return image


def read_depth(frame: Frame) -> NDArray[np.float32]:
    """Decode exact depth.

    Args:
        frame: Which.

    Returns:
        (H, W) [m]; NaN where unknown, inf for sky and beyond 255 m.

    Raises:
        ValueError: If the file is missing or is not 16 bit, one channel.
    """
    path = frame.folder / 'depth' / f'{frame.line.id}.png'
    return decode_exact_depth(read_coded_depth(path))


def read_classes(frame: Frame) -> NDArray[np.uint8]:
    """Decode what each pixel shows.

    Args:
        frame: Which.

    Returns:
        (H, W), places in `SURFACE_CLASSES`; `UNKNOWN_CLASS` where unknown.

    Raises:
        FileNotFoundError: If there is no such file, as the set was rendered without classes.
        ValueError: If the file is damaged or is not 8 bit, one channel.
    """
    path = frame.folder / 'classes' / f'{frame.line.id}.png'
    check_file(path, 'class map', f'{REMEDY} and `--set classes=true`')
    classes = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if classes is None or classes.dtype != np.uint8 or classes.ndim != 2:
        form = 'damaged' if classes is None else f'{classes.dtype} {classes.shape}'
        raise ValueError(f'class map {path} must be (H, W) of 8 bit, got {form}; {REMEDY}')
    return np.asarray(classes, np.uint8)


class TrainingFrames(Dataset[dict[str, torch.Tensor]]):
    """Give augmented training samples by (frame number, seed): the same pair, the same sample."""

    def __init__(
        self,
        frames: list[Frame],
        config: RenderedConfig,
        size: tuple[int, int],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        """Keep the list; files are opened as samples are asked for.

        Args:
            frames: What to draw from.
            config: Conditions and augmentation.
            size: (H, W) of the network's input, pixels.
            mean: Per channel, of values in [0, 1].
            std: Per channel, of values in [0, 1].
        """
        self.frames = frames
        self.config = config
        self.size = size
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.frames)

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Make one sample.

        Args:
            draw: Frame number and seed; the seed alone decides condition and augmentation, so
                that the number of workers changes nothing.

        Returns:
            `image` (3, H, W) float32 normalised, `depth` (1, H, W) float32 [m] (NaN unknown, inf
            beyond), `K` (3, 3) float32 pixels of that image.
        """
        number, seed = draw
        frame, rng = self.frames[number], np.random.default_rng(seed)
        image = read_image(frame, self._condition(frame, rng), rng)
        depth = read_depth(frame)
        K = np.array(frame.line.K)
        augment = self.config.augment
        window = random_window(image.shape[:2], augment, rng)
        image, depth, K = crop_resize(image, depth, K, window, self.size)
        if rng.random() < augment.flip:
            image, depth, K = flip(image, depth, K)
        if rng.random() < augment.texture:
            image = solid_texture(image, depth, K, rng)
        image = photometric(image, augment, rng)
        return _sample(image, depth, K, self.mean, self.std)

    def _condition(self, frame: Frame, rng: np.random.Generator) -> str:
        names = frame.conditions
        weights = np.array([self.config.condition_weights.get(name, 0.0) for name in names])
        if weights.sum() == 0:
            raise ValueError(
                f'frame {frame.line.id} has only {", ".join(names)}, none with a weight in '
                f'condition_weights {self.config.condition_weights}'
            )
        return str(rng.choice(names, p=weights / weights.sum()))


def evaluation_sets(
    frames: list[Frame],
    size: tuple[int, int],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> dict[str, Dataset[dict[str, torch.Tensor]]]:
    """Sort frames by condition, to be measured.

    Args:
        frames: What to take from.
        size: (H, W) of the network's input, pixels.
        mean: Per channel, of values in [0, 1].
        std: Per channel, of values in [0, 1].

    Returns:
        One a condition that any frame has, by name, in alphabetical order.
    """
    conditions = sorted({name for frame in frames for name in frame.line.conditions})
    return {name: EvaluationFrames(frames, name, size, mean, std) for name in conditions}


class EvaluationFrames(Dataset[dict[str, torch.Tensor]]):
    """Give unchanged samples of one condition, in order, at the network's input size."""

    def __init__(
        self,
        frames: list[Frame],
        condition: str,
        size: tuple[int, int],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        """Keep the frames that have the condition.

        Args:
            frames: What to take from.
            condition: Which picture of each.
            size: (H, W) of the network's input, pixels.
            mean: Per channel, of values in [0, 1].
            std: Per channel, of values in [0, 1].

        Raises:
            ValueError: If no frame has the condition.
        """
        self.frames = [frame for frame in frames if condition in frame.conditions]
        if not self.frames:
            raise ValueError(f'no frame has the condition {condition}; {REMEDY}')
        self.condition = condition
        self.size = size
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.frames)

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Read one sample.

        Args:
            number: Of the frame.

        Returns:
            As `TrainingFrames`.
        """
        frame = self.frames[number]
        image, depth, K = (
            read_image(frame, self.condition),
            read_depth(frame),
            np.array(frame.line.K),
        )
        whole = (0, 0, *image.shape[:2])
        return _sample(*crop_resize(image, depth, K, whole, self.size), self.mean, self.std)


def _sample(
    image: NDArray[np.uint8],
    depth: NDArray[np.float32],
    K: NDArray[np.float64],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> dict[str, Any]:
    return {
        'image': torch.from_numpy(normalize(image, mean, std)),
        'depth': torch.from_numpy(np.ascontiguousarray(depth))[None],
        'K': torch.from_numpy(K.astype(np.float32)),
    }
