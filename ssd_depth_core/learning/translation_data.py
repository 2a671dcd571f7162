"""What a translator learns from: pictures under the condition they have, and their exact depth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.rendered import Frame, read_depth, read_image
from ssd_depth_core.gdt.control_image import control_image
from ssd_depth_core.preprocess import resize_image
import torch
from torch.utils.data import Dataset


@dataclass(frozen=True, slots=True)
class Example:
    """Name one picture to learn from."""

    frame: Frame
    """Which."""
    condition: Condition
    """One of the frame's."""


def examples_of(frames: Sequence[Frame], conditions: Sequence[Condition]) -> list[Example]:
    """List the pictures of some conditions.

    Args:
        frames: In order.
        conditions: Which.

    Returns:
        In the order of the frames, then of the conditions.

    Raises:
        ValueError: If a condition has no picture.
    """
    examples = [
        Example(frame, condition)
        for frame in frames
        for condition in conditions
        if condition in frame.line.conditions
    ]
    missing = set(conditions) - {example.condition for example in examples}
    if missing:
        raise ValueError(
            f'no frame shows {", ".join(sorted(missing))}; take it out of phrases, or render a '
            'set that has it'
        )
    return examples


class PictureCrops(Dataset[dict[str, torch.Tensor]]):
    """Give pieces of pictures by (number, seed)."""

    def __init__(
        self, examples: Sequence[Example], size: tuple[int, int], crop: tuple[int, int]
    ) -> None:
        """Keep the list; files are opened as samples are asked for.

        Args:
            examples: What to draw from.
            size: (H, W) of the whole pictures.
            crop: (H, W) of the pieces.
        """
        self.examples = examples
        self.size = size
        self.crop = crop

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.examples)

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Cut one piece.

        Args:
            draw: Number of the picture, and the seed of where to cut and whether to mirror.

        Returns:
            `image` (3, h, w) in [-1, 1].
        """
        number, seed = draw
        rng = np.random.default_rng(seed)
        example = self.examples[number]
        picture = resize_image(read_image(example.frame, example.condition), self.size)
        (height, width), (rows, columns) = self.size, self.crop
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        piece = picture[top : top + rows, left : left + columns]
        return {'image': signed(piece[:, ::-1] if rng.random() < 0.5 else piece)}


class WholePictures(Dataset[torch.Tensor]):
    """Give whole pictures, (3, H, W) in [-1, 1], in order."""

    def __init__(self, examples: Sequence[Example], size: tuple[int, int]) -> None:
        """Keep the list.

        Args:
            examples: Which.
            size: (H, W) to bring them to.
        """
        self.examples = examples
        self.size = size

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.examples)

    def __getitem__(self, number: int) -> torch.Tensor:
        """Read one.

        Args:
            number: In order.

        Returns:
            (3, H, W) in [-1, 1].
        """
        example = self.examples[number]
        return signed(resize_image(read_image(example.frame, example.condition), self.size))


class EncodedPictures(Dataset[dict[str, torch.Tensor]]):
    """Give latents with depth and prompt by (number, seed); the latents lie in memory."""

    def __init__(
        self,
        examples: Sequence[Example],
        latents: torch.Tensor,
        prompts: Mapping[Condition, torch.Tensor],
        no_prompt: torch.Tensor,
        size: tuple[int, int],
        prompt_drop: float,
    ) -> None:
        """Keep the latents.

        Args:
            examples: N pictures.
            latents: Theirs, (N, C, h, w), of unit variance.
            prompts: Tokens of each phrase, (P, T), by condition.
            no_prompt: Tokens of the empty prompt, (T,).
            size: (H, W) of the control picture.
            prompt_drop: Share of samples without prompt.
        """
        self.examples = examples
        self.latents = latents
        self.prompts = prompts
        self.no_prompt = no_prompt
        self.size = size
        self.prompt_drop = prompt_drop

    def __len__(self) -> int:
        """Count the pictures."""
        return len(self.examples)

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Give one sample.

        Args:
            draw: Number of the picture, and the seed of its prompt.

        Returns:
            `latents` (C, h, w), `control` (3, H, W) in [0, 1], `tokens` (T,).
        """
        number, seed = draw
        rng = np.random.default_rng(seed)
        example = self.examples[number]
        prompts = self.prompts[example.condition]
        tokens = prompts[int(rng.integers(len(prompts)))]
        if rng.random() < self.prompt_drop:
            tokens = self.no_prompt
        control = torch.from_numpy(control_of(example.frame, self.size))
        return {
            'latents': self.latents[number].float(),
            'control': control.permute(2, 0, 1).float() / 255,  # (3, H, W)
            'tokens': tokens,
        }


def control_of(frame: Frame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a frame's exact depth as translation will draw an estimate.

    Args:
        frame: Which.
        size: (H, W).

    Returns:
        (H, W, 3), near is bright.
    """
    height, width = size
    # From the nearest pixel, since a mean of depths lies in the air.
    depth = cv2.resize(read_depth(frame), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return control_image(np.nan_to_num(1 / depth, nan=0.0))


def signed(picture: NDArray[np.uint8]) -> torch.Tensor:
    """Bring a picture to the autoencoder's range.

    Args:
        picture: (H, W, 3).

    Returns:
        (3, H, W) float32 in [-1, 1].
    """
    channels = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))
    return channels.float() / 127.5 - 1
