"""A target frame with the frames before and after it: what self-supervised learning looks at."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
import logging
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.data.augment import gaussian_noise
from ssd_depth_core.data.frame_reader import (
    BrokenFrameError,
    FrameReader,
    Image,
    read_exact_depth,
    Resize,
    Size,
)
from ssd_depth_core.data.index import FrameSource, IndexLine, Neighbour
from ssd_depth_core.data.jitter import apply_jitter, jitter_matrix, JitterConfig, NO_JITTER
from ssd_depth_core.preprocess import normalize, resize_intrinsics
import torch
from torch.utils.data import Dataset

logger = logging.getLogger(__name__)

MAX_REPLACEMENTS = 10
"""Broken frames in a row after which a data set is taken to be missing, not to have gaps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TripletConfig:
    """Say at which size and how augmented frames come; the defaults are md4all's on nuScenes."""

    size: Size = (320, 576)
    """(H, W) that the losses and the pose network see, pixels."""
    input_size: Size | None = None
    """(H, W) that the depth network sees, pixels; None: `size`."""
    resize: Resize = 'area'
    """How pictures are shrunk; md4all has `lanczos`."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of values in [0, 1], as ImageNet's encoders expect; monodepth2 and md4all: 0.45 thrice."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """The same; monodepth2 and md4all: 0.225 thrice."""
    flip: float = 0.5
    """Probability that the depth network's input is mirrored."""
    jitter: JitterConfig = field(default_factory=JitterConfig)
    """Of networks' inputs, never of what the losses compare."""
    noise: float = 0.0
    """Probability of Gaussian noise on the depth network's input; md4all's student: 0.5."""
    neighbours: bool = True
    """Whether the frames before and after are read; without them there are no poses either."""
    depth: Literal['none', 'lidar', 'exact'] = 'none'
    """Which truth comes along, for metrics."""
    on_broken: Literal['refuse', 'skip'] = 'refuse'
    """What a missing or damaged file does: stop, or have another frame take its place."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a size or std is not positive, or a probability outside [0, 1].
        """
        for name in ('flip', 'noise'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} must be in [0, 1], got {getattr(self, name)}')
        for name in ('size', 'input_size', 'std'):
            value = getattr(self, name)
            if value is not None and min(value) <= 0:
                raise ValueError(f'{name} must be positive, got {value}')

    def plain(self) -> 'TripletConfig':
        """Leave all augmentation out, for validation.

        Returns:
            The same but for flip, jitter and noise.
        """
        return replace(self, flip=0.0, jitter=NO_JITTER, noise=0.0)


def check_left_alone(
    given: TripletConfig, usual: TripletConfig, names: Sequence[str], where: str, why: str
) -> None:
    """Require that a config that holds triplets leaves alone what its other parts decide.

    Args:
        given: Its triplets.
        usual: What they are where nothing is given.
        names: Fields that must be left alone.
        where: What its field is called in messages, e.g. `data.triplets`.
        why: What decides them, or what to set instead, for messages.

    Raises:
        ValueError: If one of the fields is given another value.
    """
    for name in names:
        value, default = getattr(given, name), getattr(usual, name)
        if value != default:
            raise ValueError(f'{where}.{name} must be left at {default}, got {value}; {why}')


class TripletDataset(Dataset[dict[str, torch.Tensor]]):
    """Give samples by (frame number, seed): the same pair, the same sample, in any process."""

    def __init__(
        self,
        lines: list[IndexLine],
        source: FrameSource,
        config: TripletConfig,
        root: Path | None = None,
    ) -> None:
        """Keep the frames that have all that is asked for; files are opened as samples are.

        Args:
            lines: Of the index; a drive's first and last frame have no triplet and are left out.
            source: Reads the index's data set.
            config: Sizes, augmentation, truth.
            root: The data set's folder; needed for exact depth only.

        Raises:
            ValueError: If no frame has both neighbours, or exact depth is asked for without a
                root or where a frame has none.
        """
        if config.neighbours:
            complete = [line for line in lines if len(_neighbours(line)) == 2]
        else:
            complete = list(lines)
        if not complete:
            raise ValueError(
                f'none of {len(lines)} frames has one before and one after it; '
                'index a data set with the frames between key frames (nuScenes: sweeps)'
            )
        if len(complete) < len(lines):
            logger.info('%d of %d frames have both neighbours', len(complete), len(lines))
        if config.depth == 'exact' and (root is None or any(not x.exact_depth for x in complete)):
            raise ValueError(
                "depth: exact needs the data set's root and a rendered set; "
                'recordings have depth: lidar'
            )
        self.lines = complete
        # Of all or of none: samples are put into batches.
        self.has_poses = config.neighbours and all(
            x.T_source_target is not None for line in complete for x in _neighbours(line)
        )
        self.config = config
        self.reader = FrameReader(source, config.resize)
        self.root = root

    def __len__(self) -> int:
        """Count the frames."""
        return len(self.lines)

    def __getitem__(self, draw: tuple[int, int]) -> dict[str, torch.Tensor]:
        """Make one sample. All sizes are (H, W) of `size` but for `image`, (h, w) of `input_size`.

        Args:
            draw: Frame number and seed; the seed alone decides the augmentation, so that the
                number of workers changes nothing.

        Returns:
            `image` (3, h, w): the depth network's input, jittered, perhaps noisy and mirrored,
            normalised.
            `flip` () bool: whether `image` is mirrored, so that its output is to be mirrored back.
            `target` (3, H, W) in [0, 1], neither jittered nor mirrored.
            `sources` (2, 3, H, W): likewise, the frames before and after.
            `pose_images` (3, 3, H, W): before, target, after; jittered as `image`, not mirrored,
            normalised.
            `K` (3, 3): pixels of `target`.
            `T_source_target` (2, 4, 4), `distance_m` (2,): from the ego poses, and how far the
            camera went.
            `depth` (1, H, W) [m]: NaN where unknown, inf for sky.
            `condition` () int64: of `image`, in `CONDITIONS`. `number` () int64: of the frame.
            `num_skipped` () int64: broken frames in whose place this one came.
            All float32 but for these. Without neighbours, `sources`, `pose_images`,
            `T_source_target` and `distance_m` are left out; where any frame has
            no pose, the last two.

        Raises:
            BrokenFrameError: If a file is missing or damaged and that is not to be skipped, or one
                frame after the other is.
        """
        number, seed = draw
        for num_skipped in range(MAX_REPLACEMENTS + 1):
            try:
                # Another one for each try: what it draws besides the frame may be what is broken.
                own_seed = (seed, num_skipped, 1) if num_skipped else seed
                sample = self._sample(self.lines[number], np.random.default_rng(own_seed))
            except BrokenFrameError as error:
                broken = f'frame {self.lines[number].id}: {error}'
                if self.config.on_broken == 'refuse':
                    raise BrokenFrameError(broken) from None
                logger.warning('skipped %s', broken)
                # Of the seed and the count alone: the same in every process and every run.
                number = int(np.random.default_rng((seed, num_skipped)).integers(len(self)))
            else:
                sample['number'] = torch.tensor(number)
                sample['num_skipped'] = torch.tensor(num_skipped)
                return sample
        raise BrokenFrameError(
            f'{MAX_REPLACEMENTS + 1} broken frames in a row, the last one {broken}'
        )

    def _sample(self, line: IndexLine, rng: np.random.Generator) -> dict[str, Any]:
        size, input_size = self.config.size, self.config.input_size or self.config.size
        picture, target = self.reader.read(line, line.size, input_size, size)
        frames = [target]
        K = resize_intrinsics(np.array(line.K), line.size, size)
        sample = {'target': batch_of([target])[0], 'K': torch.from_numpy(K.astype(np.float32))}
        if self.config.neighbours:
            neighbours = _neighbours(line)
            before, after = (self.reader.read(x, line.size, size)[0] for x in neighbours)
            frames = [before, target, after]
            sample['sources'] = batch_of([before, after])
            if self.has_poses:
                T = np.array([x.T_source_target for x in neighbours], np.float32)
                sample['T_source_target'] = torch.from_numpy(T)
                sample['distance_m'] = torch.from_numpy(np.linalg.norm(T[:, :3, 3], axis=1))
        if self.config.depth != 'none':
            sample['depth'] = torch.from_numpy(self._depth(line, size))[None]
        return {**sample, **self._inputs(line, picture, frames, rng)}

    def _inputs(
        self, line: IndexLine, picture: Image, frames: list[Image], rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """Make what networks see, of the picture at their size and of the frames in time."""
        jitter = jitter_matrix(picture, self.config.jitter, rng)
        inputs = self._augmented(apply_jitter(picture, jitter), rng)
        inputs['condition'] = torch.tensor(CONDITIONS.index(line.condition))
        if self.config.neighbours:
            inputs['pose_images'] = self._normalized([apply_jitter(x, jitter) for x in frames])
        return inputs

    def _augmented(self, picture: Image, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """Add noise, mirror and normalise."""
        noisy, flipped = rng.random(2) < (self.config.noise, self.config.flip)
        if noisy:
            picture = gaussian_noise(picture, rng)
        if flipped:
            picture = picture[:, ::-1]
        return {'image': self._normalized([picture])[0], 'flip': torch.tensor(bool(flipped))}

    def _normalized(self, pictures: list[Image]) -> torch.Tensor:
        return batch_of(pictures, self.config.mean, self.config.std)

    def _depth(self, line: IndexLine, size: Size) -> NDArray[np.float32]:
        if self.config.depth == 'lidar':
            return self.reader.read_lidar_depth(line, size)
        assert self.root is not None  # the constructor holds both
        assert line.exact_depth is not None
        return read_exact_depth(self.root / line.exact_depth, size)


def _neighbours(line: IndexLine) -> list[Neighbour]:
    """List those of the frames before and after that there are."""
    return [frame for frame in (line.previous, line.next) if frame is not None]


def batch_of(
    pictures: list[Image],
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0),
    std: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> torch.Tensor:
    """Write pictures straight into one tensor.

    Args:
        pictures: All of one size, (H, W, 3).
        mean: Of values in [0, 1].
        std: The same.

    Returns:
        (N, 3, H, W) float32, in [0, 1] unless normalised.
    """
    batch = torch.empty(len(pictures), 3, *pictures[0].shape[:2])
    for picture, out in zip(pictures, batch.numpy(), strict=True):
        normalize(picture, mean, std, out)
    return batch
