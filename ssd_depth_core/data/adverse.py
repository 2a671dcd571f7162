"""Real frames at night and in rain, of which nobody knows the depth, and clear ones among them."""

from dataclasses import dataclass, field, replace
import logging
from typing import Any

import numpy as np
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.frame_reader import Image
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.data.translated import NetworkView
from ssd_depth_core.data.triplets import (
    batch_of,
    check_left_alone,
    TripletConfig,
    TripletDataset,
)
import torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class AdverseConfig:
    """Say which frames are drawn how often."""

    conditions: tuple[Condition, ...] = ('night', 'day-rain', 'night-rain')
    """Frames under any of them are drawn, each as often as the others."""
    p_clear: float = 0.25
    """Probability of a clear frame instead, so that the day is not forgotten; in [0, 1)."""
    triplets: TripletConfig = field(
        default_factory=lambda: TripletConfig(noise=0.5, neighbours=False)
    )
    """Augmentation of the input; sizes, mean and std are the network's. Without neighbours."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If there is no condition, one comes twice or is clear, `p_clear` is out of
                range, or `triplets` gives what is not its own.
        """
        conditions = self.conditions
        if not conditions or len(set(conditions)) < len(conditions) or 'day-clear' in conditions:
            raise ValueError(
                'conditions must be one or more, each once and without day-clear, whose share is '
                f'p_clear, got {conditions}'
            )
        if not 0 <= self.p_clear < 1:
            raise ValueError(f'p_clear must be in [0, 1), got {self.p_clear}')
        check_left_alone(
            self.triplets,
            TripletConfig(neighbours=False),
            ('size', 'input_size', 'mean', 'std', 'neighbours', 'depth'),
            'triplets',
            'what networks see is theirs, and nothing else is read',
        )


class AdverseDataset(TripletDataset):
    """Give frames of bad light and weather, and clear ones in the place of some."""

    def __init__(
        self,
        lines: list[IndexLine],
        source: FrameSource,
        config: AdverseConfig,
        *,
        student: NetworkView,
        teacher: NetworkView,
    ) -> None:
        """Sort the frames; files are opened as samples are.

        Args:
            lines: Of the index, under all conditions.
            source: Reads the index's data set.
            config: Which frames, and their augmentation.
            student: What the network sees that is trained.
            teacher: What the teacher's network sees.

        Raises:
            ValueError: If no frame is under one of the conditions, or no clear frame is there that
                is asked for.
        """
        self.clear = [line for line in lines if line.condition == 'day-clear']
        adverse = [line for line in lines if line.condition in config.conditions]
        for condition in config.conditions:
            count = sum(line.condition == condition for line in adverse)
            logger.info('%d frames are under %s', count, condition)
        if not adverse:
            raise ValueError(
                f'none of {len(lines)} training frames is under {", ".join(config.conditions)}; '
                'index the data set again with train_conditions: null'
            )
        if config.p_clear and not self.clear:
            raise ValueError(
                f'none of {len(lines)} training frames is clear, but p_clear is '
                f'{config.p_clear}; index such frames as well, or set it to 0'
            )
        triplets = replace(config.triplets, size=student.size, mean=student.mean, std=student.std)
        super().__init__(adverse, source, triplets)
        self.p_clear = config.p_clear
        self.teacher = teacher

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Make one sample.

        Args:
            draw: Number of an adverse frame and seed; the seed alone decides the augmentation, and
                whether a clear frame comes instead and which.

        Returns:
            As `TripletDataset`, with `condition` of what came. `plain_image` (3, h, w): as
            `image`, mirrored where that is and not augmented otherwise. `teacher_image`
            (3, h', w'): the same as the teacher sees it.

        Raises:
            BrokenFrameError: As `TripletDataset`.
        """
        return super().__getitem__(draw)

    def _sample(self, line: IndexLine, rng: np.random.Generator) -> dict[str, Any]:
        if rng.random() < self.p_clear:
            line = self.clear[rng.integers(len(self.clear))]
        return super()._sample(line, rng)

    def _inputs(
        self, line: IndexLine, picture: Image, frames: list[Image], rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        inputs = super()._inputs(line, picture, frames, rng)
        taught = picture
        if picture.shape[:2] != self.teacher.size:
            (taught,) = self.reader.read(line, line.size, self.teacher.size)
        if inputs['flip']:
            picture, taught = picture[:, ::-1], taught[:, ::-1]
        inputs['plain_image'] = self._normalized([picture])[0]
        inputs['teacher_image'] = batch_of([taught], self.teacher.mean, self.teacher.std)[0]
        return inputs
