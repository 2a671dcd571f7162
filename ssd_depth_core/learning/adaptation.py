"""The second stage: a student learns from real night and rain, of which nobody knows the depth.

The student that knows translated nights says how deep a frame is, and the more of its word counts
the nearer the teacher, who knows the day alone, comes to it: where both agree, the weather has
blinded neither. Taken together, depths are distributed as by day, for night makes networks see
things too near and rain too far. Clear frames, labelled by the teacher, keep the day in mind.

Reference: Yan et al., 2025, arXiv 2503.20211 (Syn2Real-Depth). Differs: one frame and no cost
volume, so that its loss on motion has no place; the clear frames are ours.
"""

import copy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.adverse import AdverseConfig, AdverseDataset
from ssd_depth_core.data.index import read_header, read_lines
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.data.triplets import TripletDataset
from ssd_depth_core.learning.frozen import Frozen
from ssd_depth_core.learning.given_networks import read_metric_network, view_of
from ssd_depth_core.learning.loop import LoopConfig
from ssd_depth_core.learning.maps import resized
from ssd_depth_core.learning.run_folder import checkpoint_of, RunFolder
from ssd_depth_core.learning.training import predictor_of, run_training, spread
from ssd_depth_core.learning.validation_sets import describe_index, validation_sets
from ssd_depth_core.losses.agreement import agreement_weight
from ssd_depth_core.losses.depth_distribution import depth_histogram, distribution_divergence
from ssd_depth_core.losses.distillation import relative_difference
from ssd_depth_core.models.adapters import AdapterConfig, add_adapters, without_adapters
from ssd_depth_core.models.depth_net import DepthNet, DepthOutput, metric_scale
from ssd_depth_core.models.monodepth2_decoder import freeze_coarse_heads
import torch
from torch import nn

CLEAR = CONDITIONS.index('day-clear')


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptationLossConfig:
    """Weigh the parts of the objective; the defaults are Syn2Real-Depth's."""

    beta: float = 1.0
    """How fast a pseudo-label loses weight where the networks disagree; see `agreement_weight`."""
    floor: float = 1.0
    """What remains of its weight where they are worlds apart."""
    distribution_weight: float = 0.01
    """Of the divergence of the batch's depths from those by day; 0: not measured."""
    num_bins: int = 101
    """Of the distribution."""
    min_depth_m: float = 3.5
    """Centre of its first bin; what is nearer does not count."""
    max_depth_m: float = 80.0
    """Centre of its last bin; what is farther does not count."""
    confidence_weight: float = 0.1
    """Of how far the log scale strays from the student's, where the network has one: that two
    networks agree does not tell how sure to be. Not in the paper."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a value is outside its range.
        """
        for name in ('beta', 'floor', 'distribution_weight', 'confidence_weight'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} must be >= 0, got {getattr(self, name)}')
        self.histogram(torch.empty(0))  # whose rules for the bins are these

    def histogram(self, depth: torch.Tensor) -> torch.Tensor:
        """Count depths in the bins.

        Args:
            depth: Any shape [m].

        Returns:
            As `depth_histogram`, (num_bins,).
        """
        return depth_histogram(
            depth,
            num_bins=self.num_bins,
            min_depth_m=self.min_depth_m,
            max_depth_m=self.max_depth_m,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaptationConfig:
    """Hold everything that one adaptation needs but its folders and networks."""

    seed: int = 0
    """Of the adapters' first weights, order of samples and augmentation."""
    data: AdverseConfig = field(default_factory=AdverseConfig)
    """Which frames, and their augmentation."""
    adapters: AdapterConfig | None = None
    """How little of the network is trained; None: all of it."""
    num_daytime_frames: int = 100
    """Clear training frames whose depths are the distribution by day, spread evenly."""
    num_validation_frames: int = 100
    """Validation frames of each condition measured at each validation, spread evenly."""
    loss: AdaptationLossConfig = field(default_factory=AdaptationLossConfig)
    """The objective."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate the counts.

        Raises:
            ValueError: If there is no frame to take the distribution by day from.
        """
        if self.num_daytime_frames < 1:
            raise ValueError(f'num_daytime_frames must be >= 1, got {self.num_daytime_frames}')


class AdaptationTask(nn.Module):
    """Learn from what two frozen networks agree on; a `Task`."""

    daytime: torch.Tensor
    """Distribution of depths by day, (num_bins,)."""

    def __init__(
        self,
        network: DepthNet,
        student: DepthNet,
        teacher: DepthNet,
        daytime: torch.Tensor,
        loss: AdaptationLossConfig,
    ) -> None:
        """Take the networks.

        Args:
            network: Trained; begins as the student.
            student: Knows translated pictures; frozen here.
            teacher: Knows the day; frozen here.
            daytime: Distribution of depths by day, (num_bins,).
            loss: Weights of the parts.
        """
        super().__init__()
        # NHWC is faster on a CPU, and what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        freeze_coarse_heads(self.network.decoder)  # labels are of the finest map
        self.student = Frozen(student)
        self.teacher = Frozen(teacher)
        self.teacher_config = teacher.config
        self.register_buffer('daytime', daytime)
        self.loss = loss

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: Of `AdverseDataset`; B samples.

        Returns:
            `loss`; its parts before their weights, where they count: `label`, `distribution` (0
            in a batch of clear frames alone) and `confidence`; `agreement`, the mean exponential
            of `agreement_weight`, clear frames included.
        """
        scale = metric_scale(self.network.config, batch['K'], batch['image'].shape[2:])
        is_clear = batch['condition'] == CLEAR
        first, day = self._answers(batch)
        label = torch.where(is_clear[:, None, None, None], day, first.inverse_depth / scale)
        weight = agreement_weight(label, day, beta=self.loss.beta, floor=self.loss.floor)

        output = self.network(batch['image'].contiguous(memory_format=torch.channels_last))
        inverse_depth = output.inverse_depth / scale
        parts = {'label': (weight * relative_difference(inverse_depth, label)).mean()}
        loss = parts['label']
        if self.loss.distribution_weight:
            histogram = self.loss.histogram(1 / inverse_depth[~is_clear])
            divergence = distribution_divergence(histogram, self.daytime)
            parts['distribution'] = divergence * (~is_clear).any()
            loss = loss + self.loss.distribution_weight * parts['distribution']
        if output.log_scale is not None and self.loss.confidence_weight:
            parts['confidence'] = (output.log_scale - first.log_scale).abs().mean()
            loss = loss + self.loss.confidence_weight * parts['confidence']
        return {
            'loss': loss,
            **{name: part.detach() for name, part in parts.items()},
            'agreement': weight.mean() - self.loss.floor,
        }

    @torch.no_grad()
    def _answers(self, batch: dict[str, torch.Tensor]) -> tuple[DepthOutput, torch.Tensor]:
        """Ask the student, and the teacher for metric inverse depth at the student's size."""
        plain, taught = (
            batch[name].contiguous(memory_format=torch.channels_last)
            for name in ('plain_image', 'teacher_image')
        )
        day = resized(self.teacher.module(taught).inverse_depth, plain.shape[2:])
        scale = metric_scale(self.teacher_config, batch['K'], plain.shape[2:])
        first: DepthOutput = self.student.module(plain)
        return first, day / scale


def train_adaptation(
    config: AdaptationConfig,
    index: Path,
    out: Path,
    *,
    student: Path,
    teacher: Path,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Adapt a student to the real adverse frames of an index.

    Args:
        config: What to do.
        index: Folder that `training.index_data` wrote, with training frames under all conditions.
        out: Run folder.
        student: Run folder or checkpoint of `training.train_student`; what is adapted.
        teacher: Run folder or checkpoint of `training.train_teacher`.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder; its checkpoint is a plain network, with or without adapters.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If the index, the data set, a network or the state to resume is missing.
        ValueError: If one of these is damaged or does not fit, there are no adverse or no clear
            training frames, or adapters do not fit the network.
        FloatingPointError: If the loss stops being finite.
    """
    header, lines = read_header(index), read_lines(index, 'train')
    network, info = read_metric_network(student, 'student')
    day_network, _ = read_metric_network(teacher, 'teacher')
    dataset = AdverseDataset(
        lines,
        open_source(header),
        config.data,
        student=view_of(network.config),
        teacher=view_of(day_network.config),
    )
    validation = validation_sets(
        header,
        read_lines(index, 'validation'),
        network.config,
        config.data.triplets,
        config.num_validation_frames,
    )

    first = copy.deepcopy(network)
    torch.manual_seed(config.seed)
    if config.adapters is not None:
        add_adapters(network, config.adapters)
    daytime = torch.zeros(config.loss.num_bins)
    if config.loss.distribution_weight and not resume:  # the state to go on from holds it
        if not dataset.clear:
            raise ValueError(
                f'no training frame of {index} is clear, and loss.distribution_weight is '
                f'{config.loss.distribution_weight}; index clear frames as well, or set it to 0'
            )
        some = spread(dataset.clear, config.num_daytime_frames)
        plain = replace(dataset.config.plain(), **asdict(view_of(day_network.config)))
        frames = TripletDataset(some, open_source(header), plain)
        daytime = daytime_distribution(day_network, frames, config.loss, cpu=cpu)
    seen = [*dataset.lines, *dataset.clear] if dataset.p_clear else dataset.lines
    return run_training(
        AdaptationTask(network, first, day_network, daytime, config.loss),
        dataset,
        validation,
        config.loop,
        to_dict(config),
        {
            'index': index / 'train.jsonl',
            'student': checkpoint_of(student),
            'teacher': checkpoint_of(teacher),
        },
        out,
        seed=config.seed,
        command=command,
        data=(
            f'{info.training_data}; then {describe_index(header, index, seen)}; '
            f'no depth labels, teacher {teacher}'
        ),
        saved_as=None if config.adapters is None else without_adapters,
        resume=resume,
        cpu=cpu,
    )


def daytime_distribution(
    teacher: DepthNet,
    frames: TripletDataset,
    loss: AdaptationLossConfig,
    *,
    cpu: bool = False,
) -> torch.Tensor:
    """Measure how often which depth occurs by day.

    Args:
        teacher: Says the depths; left on the device on which it was asked.
        frames: Clear ones, without augmentation, at the teacher's size.
        loss: Gives the bins.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        Mean of the frames' distributions, (num_bins,), on the CPU.
    """
    predict = predictor_of(teacher.to('cpu' if cpu or not torch.cuda.is_available() else 'cuda'))
    total = torch.zeros(loss.num_bins)
    for number in range(len(frames)):
        sample = frames[number, 0]
        image, K = sample['image'][None], sample['K'][None]
        scale = metric_scale(teacher.config, K, image.shape[2:])
        total += loss.histogram(scale / predict(image).cpu())
    return total / len(frames)
