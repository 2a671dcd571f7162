"""Learning depth from clear-day video alone: monodepth2, md4all's baseline and SSD's teacher.

The three are one objective under three configs. A neighbour frame, warped into the target frame
with the predicted depth and motion, looks like the target frame where both are right; the length
of the motion, known from the car's speed, gives the metre.

References: Godard et al., 2019, arXiv 1806.01260 (monodepth2); Gasperini et al., 2023,
arXiv 2308.09711 (md4all); Mao et al., 2024, arXiv 2403.05056 (SSD).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from ssd_depth_core.config import to_dict
from ssd_depth_core.data.index import read_header, read_lines
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.data.triplets import check_left_alone, TripletConfig, TripletDataset
from ssd_depth_core.learning.checkpoint import save_pose_net
from ssd_depth_core.learning.loop import LoopConfig
from ssd_depth_core.learning.maps import resized, unflipped
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.training import initial_network, run_training
from ssd_depth_core.learning.validation_sets import describe_index, validation_sets
from ssd_depth_core.losses.photometric import reprojection_loss
from ssd_depth_core.losses.smoothness import edge_aware_smoothness
from ssd_depth_core.losses.velocity import velocity_loss
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig, metric_scale
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig
import torch
from torch import nn
import torch.nn.functional as F


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfSupervisedLossConfig:
    """Weigh the parts of the objective; the defaults are md4all's."""

    ssim_weight: float = 0.85
    """Of 1 - SSIM in the photometric error, against the absolute difference; in [0, 1]."""
    automask: bool = True
    """Whether pixels drop out that look more alike before warping than after."""
    padding: Literal['zeros', 'border'] = 'zeros'
    """What lies outside a source frame; monodepth2: `border`."""
    upsampling: Literal['nearest', 'bilinear'] = 'nearest'
    """How coarse inverse depth is brought to full size; monodepth2: `bilinear`."""
    smoothness_weight: float = 1e-3
    """Of the edge-aware smoothness at full size; half as much at each coarser scale."""
    velocity_weight: float = 0.02
    """Of the length of the predicted motion against the car's; 0: depth has no unit."""
    rotation: Literal['predicted', 'poses'] = 'predicted'
    """Whose rotation the pictures are warped with: the pose network's, as in the papers, or that
    of the data set's poses, which on a robot is the gyroscope's. The way is predicted in both."""
    distance: Literal['predicted', 'odometer'] = 'predicted'
    """How long the predicted way is: as the network says, held to the car's speed by the velocity
    term alone, as in the papers; or as far as the car went, so that its direction alone is learnt
    and the velocity term is nil."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a weight is outside its range.
        """
        if not 0 <= self.ssim_weight <= 1:
            raise ValueError(f'ssim_weight must be in [0, 1], got {self.ssim_weight}')
        for name in ('smoothness_weight', 'velocity_weight'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} must be >= 0, got {getattr(self, name)}')


@dataclass(frozen=True, kw_only=True, slots=True)
class SelfSupervisedConfig:
    """Hold everything that one self-supervised training needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples, augmentation and tie-breaking noise."""
    model: DepthNetConfig = field(default_factory=DepthNetConfig)
    """The depth network; its confidence is off, for no photometric term trains it."""
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    """The network that predicts the camera's motion; kept for the teacher of a student."""
    initial_checkpoint: Path | None = None
    """Weights of the depth network to start from, of the same architecture; None: fresh ones."""
    data: TripletConfig = field(default_factory=TripletConfig)
    """Size of the losses and augmentation. Size, mean and std of what the depth network sees are
    the model's and are not given here."""
    num_validation_frames: int = 100
    """Validation frames of each condition measured at each validation, spread evenly."""
    loss: SelfSupervisedLossConfig = field(default_factory=SelfSupervisedLossConfig)
    """The objective."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate what concerns several parts.

        Raises:
            ValueError: If the network predicts a confidence that nothing would train, frames come
                without neighbours, or `data` gives what is the model's.
        """
        if self.model.confidence:
            raise ValueError('model.confidence must be false: no photometric term trains it')
        if not self.data.neighbours:
            raise ValueError('data.neighbours must be true: the objective compares frames in time')
        check_left_alone(
            self.data,
            TripletConfig(),
            ('input_size', 'mean', 'std'),
            'data',
            'set model.input_height, model.input_width, model.mean and model.std instead',
        )


class SelfSupervisedTask(nn.Module):
    """Learn depth and motion by predicting frames from their neighbours; a `Task`."""

    def __init__(
        self, network: DepthNet, pose_net: PoseNet, loss: SelfSupervisedLossConfig
    ) -> None:
        """Take the networks.

        Args:
            network: Predicts depth; what is kept.
            pose_net: Predicts the motion between frames.
            loss: Weights of the parts.
        """
        super().__init__()
        # NHWC is faster on a CPU, and what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.pose_net = pose_net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = loss

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: Of `TripletDataset`; B samples.

        Returns:
            `loss`; its parts `photometric`, `smoothness`, and `velocity` where it counts, each
            before its weight, means over scales; `motion_m`, the mean length of the predicted
            motion.
        """
        output = self.network(batch['image'].contiguous(memory_format=torch.channels_last))
        T_source_target = self.pose_net(
            batch['pose_images'],
            batch['T_source_target'][..., :3, :3] if self.loss.rotation == 'poses' else None,
            batch['distance_m'] if self.loss.distance == 'odometer' else None,
        )
        target = batch['target']

        inverse_depths = [
            unflipped(inverse_depth, batch['flip'])
            for inverse_depth in (resized(output.inverse_depth, target.shape[2:]), *output.coarse)
        ]
        scale = metric_scale(self.network.config, batch['K'], target.shape[2:])

        photometric = reprojection_loss(
            target,
            batch['sources'],
            [scale / inverse_depth for inverse_depth in inverse_depths],
            batch['K'],
            T_source_target,
            ssim_weight=self.loss.ssim_weight,
            automask=self.loss.automask,
            padding=self.loss.padding,
            upsampling=self.loss.upsampling,
        ).mean()
        smoothness = self._smoothness(inverse_depths, target)
        loss = photometric + self.loss.smoothness_weight * smoothness
        motion_m = T_source_target[..., :3, 3].norm(dim=-1)
        parts = {'photometric': photometric, 'smoothness': smoothness, 'motion_m': motion_m.mean()}
        if self.loss.velocity_weight:
            parts['velocity'] = velocity_loss(T_source_target, batch['distance_m'])
            loss = loss + self.loss.velocity_weight * parts['velocity']
        return {'loss': loss, **{name: part.detach() for name, part in parts.items()}}

    def _smoothness(
        self, inverse_depths: Sequence[torch.Tensor], target: torch.Tensor
    ) -> torch.Tensor:
        """Average over scales, each weighted by half of the finer one's weight."""
        terms = []
        for number, inverse_depth in enumerate(inverse_depths):
            image = F.interpolate(target, inverse_depth.shape[2:], mode='area')
            terms.append(edge_aware_smoothness(inverse_depth, image) / 2**number)
        return torch.stack(terms).mean()


def train_self_supervised(
    config: SelfSupervisedConfig,
    index: Path,
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a depth network on the frames of an index.

    Args:
        config: What to do.
        index: Folder that `training.index_data` wrote.
        out: Run folder.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If the index, the data set, the initial checkpoint or the state to
            resume is missing.
        ValueError: If one of these is damaged or does not fit, no frame has neighbours, or the
            velocity term, the rotation or the distance asks for poses that frames do not have.
        FloatingPointError: If the loss stops being finite.
    """
    header, lines = read_header(index), read_lines(index, 'train')
    model = config.model
    data = replace(
        config.data,
        input_size=(model.input_height, model.input_width),
        mean=model.mean,
        std=model.std,
    )
    dataset = TripletDataset(lines, open_source(header), data)
    if config.loss.velocity_weight and not dataset.has_poses:
        raise ValueError(
            f'loss.velocity_weight is {config.loss.velocity_weight}, but frames in {index} have '
            'no poses to take the speed from; index a data set with poses, or set '
            'loss.velocity_weight to 0 for depth without a unit'
        )
    for name, source in (('rotation', 'poses'), ('distance', 'odometer')):
        if getattr(config.loss, name) == source and not dataset.has_poses:
            raise ValueError(
                f'loss.{name} is {source}, but frames in {index} have no poses to take it from; '
                f'index a data set with poses, or set loss.{name} to predicted'
            )
    validation = validation_sets(
        header, read_lines(index, 'validation'), model, data, config.num_validation_frames
    )

    torch.manual_seed(config.seed)
    network = initial_network(model, config.initial_checkpoint, resume)
    pose_net = PoseNet(replace(config.pose, encoder_weights=None) if resume else config.pose)
    return run_training(
        SelfSupervisedTask(network, pose_net, config.loss),
        dataset,
        validation,
        config.loop,
        to_dict(config),
        {'index': index / 'train.jsonl'},
        out,
        seed=config.seed,
        command=command,
        data=f'{describe_index(header, index, dataset.lines)}; no depth labels',
        save_also=lambda run: save_pose_net(run.pose_net, pose_net),
        resume=resume,
        cpu=cpu,
    )
