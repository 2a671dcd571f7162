"""What a student looks at: a clear frame, or the same instant as night, rain, fog or snow."""

from dataclasses import dataclass, field
import logging
from pathlib import Path

import numpy as np
from ssd_depth_core.conditions import Condition, CONDITIONS
from ssd_depth_core.data.appearances import Appearances
from ssd_depth_core.data.frame_reader import Image, Size
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.data.jitter import apply_jitter, jitter_matrix
from ssd_depth_core.data.segments import segments_of
from ssd_depth_core.data.triplets import batch_of, TripletConfig, TripletDataset
import torch

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslatedConfig:
    """Say how often which appearance is drawn."""

    conditions: tuple[Condition, ...] = ('night', 'day-rain')
    """Drawn equally often; a frame that lacks some is drawn from those that it has."""
    p_clear: float | None = None
    """Probability of the clear frame; None: 1 / (|C| + 1), all appearances equally often.
    Differs: SSD prints |C| / (|C| + 1) beside the clear frame, which mirrors md4all's figure and
    configs; set that number to follow the print."""
    triplets: TripletConfig = field(default_factory=lambda: TripletConfig(noise=0.5))
    """Sizes, augmentation of the input, truth; md4all adds noise to a student's input."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If there is no condition, one comes twice, or `p_clear` is no probability.
        """
        if not self.conditions or len(set(self.conditions)) < len(self.conditions):
            raise ValueError(f'conditions must be one or more, each once, got {self.conditions}')
        if self.p_clear is not None and not 0 <= self.p_clear <= 1:
            raise ValueError(f'p_clear must be in [0, 1] or null, got {self.p_clear}')


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkView:
    """Say how a network, which need not be the one that is trained, sees a picture."""

    size: Size
    """(h, w), pixels."""
    mean: tuple[float, float, float]
    """Of values in [0, 1]."""
    std: tuple[float, float, float]
    """The same."""


class TranslatedDataset(TripletDataset):
    """Give clear triplets whose depth network's input may be a translated picture."""

    def __init__(
        self,
        lines: list[IndexLine],
        source: FrameSource,
        appearances: Appearances,
        config: TranslatedConfig,
        root: Path | None = None,
        *,
        teacher: NetworkView | None = None,
        segments: bool = False,
    ) -> None:
        """Keep the frames, translated or not.

        Args:
            lines: Clear frames of the index.
            source: Reads the index's data set.
            appearances: Of these frames.
            config: Which appearances, and all that `TripletDataset` asks for.
            root: The data set's folder; needed for exact depth only.
            teacher: What its network sees; None: the clear frame as the student would.
            segments: Whether patches of one look come along; they need scikit-image.

        Raises:
            ValueError: If no frame has a picture under one of the conditions, or as
                `TripletDataset`.
        """
        super().__init__(lines, source, config.triplets, root)
        self.appearances = appearances
        self.conditions = config.conditions
        self.teacher = teacher or NetworkView(
            size=self.config.input_size or self.config.size,
            mean=self.config.mean,
            std=self.config.std,
        )
        self.segments = segments
        clear_by_default = 1 / (len(config.conditions) + 1)
        self.p_clear = clear_by_default if config.p_clear is None else config.p_clear
        for condition in config.conditions:
            count = sum(condition in appearances.conditions_of(line) for line in self.lines)
            logger.info('%d of %d frames have a picture as %s', count, len(self), condition)
            if not count:
                raise ValueError(
                    f'none of {len(self)} frames has a picture as {condition}; translate to it, '
                    'or leave it out of conditions'
                )

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Make one sample.

        Args:
            draw: Frame number and seed; the seed alone decides appearance and augmentation.

        Returns:
            As `TripletDataset`, with `image` of the drawn appearance and `condition` its own.
            `clear_image` (3, h', w'): the teacher's input, the clear frame, mirrored where `image`
            is, not augmented otherwise, normalised for the teacher; `pose_images` likewise, but
            never mirrored. `weight` () float32: how far to trust the translated picture; 1 for a
            clear frame. `segments` (1, H, W) int64, where asked for: numbers of the patches of
            `target`.

        Raises:
            BrokenFrameError: As `TripletDataset`.
        """
        return super().__getitem__(draw)

    def _inputs(
        self, line: IndexLine, picture: Image, frames: list[Image], rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        clear, condition, weight = self._clear_picture(line, picture), line.condition, 1.0
        at_hand = self.appearances.conditions_of(line)
        choices = [name for name in self.conditions if name in at_hand]
        if choices and rng.random() >= self.p_clear:
            condition = choices[rng.integers(len(choices))]
            drawn = self.appearances.read(line, condition, picture.shape[:2], rng)
            picture, weight = drawn.picture, drawn.weight
        jitter = jitter_matrix(picture, self.config.jitter, rng)
        inputs = self._augmented(apply_jitter(picture, jitter), rng)
        if inputs['flip']:
            clear = clear[:, ::-1]
        inputs['clear_image'] = batch_of([clear], self.teacher.mean, self.teacher.std)[0]
        inputs['condition'] = torch.tensor(CONDITIONS.index(condition))
        inputs['weight'] = torch.tensor(weight)
        if self.config.neighbours:
            inputs['pose_images'] = batch_of(frames, self.teacher.mean, self.teacher.std)
        if self.segments:
            target = frames[len(frames) // 2]
            inputs['segments'] = torch.from_numpy(segments_of(target))[None]
        return inputs

    def _clear_picture(self, line: IndexLine, picture: Image) -> Image:
        """Give the clear frame at the teacher's size."""
        if picture.shape[:2] == self.teacher.size:
            return picture
        return self.reader.read(line, line.size, self.teacher.size)[0]
