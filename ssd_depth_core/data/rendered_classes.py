"""Square pieces of rendered clear days, with the names of what they show.

Square, as all public pre-training is: a ViT's position embedding is resampled from a square grid,
see `models.pretrained.resample_position`.
"""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.augment import AugmentConfig, photometric, random_window
from ssd_depth_core.data.rendered import Frame, read_classes, read_image, REMEDY
from ssd_depth_core.preprocess import normalize, resize_image
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS
import torch
from torch.utils.data import Dataset

CONDITION = 'day-clear'
"""What is looked at: the only condition that teachers see."""


class TrainingCrops(Dataset[dict[str, torch.Tensor]]):
    """Give augmented training samples by (frame number, seed): the same pair, the same sample."""

    def __init__(
        self,
        frames: list[Frame],
        augment: AugmentConfig,
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        """Keep the frames that show a clear day; files are opened as samples are asked for.

        Args:
            frames: What to draw from.
            augment: What happens to a crop, whose side is the picture's shorter one over a zoom
                of up to `max_zoom`; no texture, since that needs depth.
            size: Side of the network's input, pixels.
            mean: Per channel, of values in [0, 1].
            std: Per channel, of values in [0, 1].

        Raises:
            ValueError: If no frame shows a clear day.
        """
        self.frames = _clear_days(frames)
        self.augment = augment
        self.size = size
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.frames)

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Make one sample.

        Args:
            draw: Frame number and seed; the seed alone decides the augmentation, so that the
                number of workers changes nothing.

        Returns:
            `image` (3, size, size) float32 normalised; `classes` (size, size) uint8, places in
            `SURFACE_CLASSES`, `UNKNOWN_CLASS` where unknown.
        """
        number, seed = draw
        rng = np.random.default_rng(seed)
        image, classes = _read(self.frames[number])
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        down, right, *crop = random_window((side, side), self.augment, rng)
        window = (top + down, left + right, *crop)
        image, classes = _crop_resize(image, classes, window, self.size)
        if rng.random() < self.augment.flip:
            image, classes = image[:, ::-1], classes[:, ::-1]
        return _sample(photometric(image, self.augment, rng), classes, self.mean, self.std)


class EvaluationCrops(Dataset[dict[str, torch.Tensor]]):
    """Give the middle square of each picture, in order, unchanged but for its size."""

    def __init__(
        self,
        frames: list[Frame],
        size: int,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
    ) -> None:
        """Keep the frames that show a clear day.

        Args:
            frames: What to take from.
            size: Side of the network's input, pixels.
            mean: Per channel, of values in [0, 1].
            std: Per channel, of values in [0, 1].

        Raises:
            ValueError: If no frame shows a clear day.
        """
        self.frames = _clear_days(frames)
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
            As `TrainingCrops`.
        """
        image, classes = _read(self.frames[number])
        height, width = image.shape[:2]
        side = min(height, width)
        window = ((height - side) // 2, (width - side) // 2, side, side)
        return _sample(*_crop_resize(image, classes, window, self.size), self.mean, self.std)


def _clear_days(frames: list[Frame]) -> list[Frame]:
    kept = [frame for frame in frames if CONDITION in frame.line.conditions]
    if not kept:
        raise ValueError(f'frames must have the condition {CONDITION}, got none; {REMEDY}')
    return kept


def _read(frame: Frame) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read a picture and its classes, which a network could not learn with a place too many."""
    image, classes = read_image(frame, CONDITION), read_classes(frame)
    if classes.shape != image.shape[:2]:
        raise ValueError(
            f'classes of frame {frame.line.id} in {frame.folder} must have the size of its '
            f'picture, {image.shape[:2]}, got {classes.shape}; {REMEDY}'
        )
    strangers = classes[(classes >= len(SURFACE_CLASSES)) & (classes != UNKNOWN_CLASS)]
    if strangers.size:
        raise ValueError(
            f'classes of frame {frame.line.id} in {frame.folder} must be below '
            f'{len(SURFACE_CLASSES)} or {UNKNOWN_CLASS}, got {strangers[0]}; {REMEDY}'
        )
    return image, classes


def _crop_resize(
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    window: tuple[int, ...],
    size: int,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Cut a window (top, left, height, width) out; classes come from the nearest pixel."""
    top, left, height, width = window
    rows = slice(top, top + height), slice(left, left + width)
    # The EXACT form samples at pixel centres; plain INTER_NEAREST is off by up to half a pixel.
    nearest = cv2.resize(classes[rows], (size, size), interpolation=cv2.INTER_NEAREST_EXACT)
    return resize_image(image[rows], (size, size)), np.asarray(nearest, np.uint8)


def _sample(
    image: NDArray[np.uint8],
    classes: NDArray[np.uint8],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
) -> dict[str, torch.Tensor]:
    return {
        'image': torch.from_numpy(normalize(image, mean, std)),
        'classes': torch.from_numpy(np.ascontiguousarray(classes)),
    }
