"""Teaching a pose network what small rotations look like, before depth depends on it.

Where nothing is pre-trained, the photometric loss alone finds no rotation for thousands of steps:
a tenth of a degree between two frames moves the picture by less than a pixel, and as long as depth
is wrong, so are the other clues. Here a picture is taken for the inside of a drawn street, turned
by a known angle and brought nearer; large motions are learnt first, and small ones after. No label
is used: the pictures are the training frames, streets and motions are drawn.

This is not in the papers, whose pose networks begin with ImageNet's weights.
"""

from dataclasses import dataclass, field, replace
import json
import logging
import math
from pathlib import Path
from typing import Any

from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.data.index import read_header, read_lines
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset
from ssd_depth_core.geometry.rigid import invert, transform_from_axis_angle
from ssd_depth_core.geometry.warp import warp
from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.learning.tensor_file import load_strictly, read_tensors, write_tensors
from ssd_depth_core.learning.training import spread
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig
from ssd_depth_core.records import code_commit
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

logger = logging.getLogger(__name__)

METADATA_KEY = 'ssd_depth_pose'

ERROR_UNIT_RAD = math.radians(0.3)
"""Errors below it count as squares, larger ones by their size: the rare turn at a crossing shall
not drown what happens between all other frames."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnMotionConfig:
    """Say which motions are drawn between two pictures."""

    min_angle_deg: float = 0.05
    """Of the rotation; its logarithm is drawn evenly."""
    max_angle_deg: float = 3.0
    """Of the rotation."""
    upright: float = 0.3
    """Share of pitch and roll beside yaw: a car turns left and right."""
    max_step_m: float = 1.0
    """Of the way forward."""
    height_m: tuple[float, float] = (1.2, 2.0)
    """Of the camera above the drawn street."""
    side_m: tuple[float, float] = (3.0, 20.0)
    """How far its houses stand, to the left and to the right."""
    end_m: tuple[float, float] = (12.0, 60.0)
    """How far it goes."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a range is empty, or the car would drive through the street's end.
        """
        if not 0 < self.min_angle_deg < self.max_angle_deg < 90:
            raise ValueError(
                'angles must be 0 < min_angle_deg < max_angle_deg < 90, got '
                f'{self.min_angle_deg} and {self.max_angle_deg}'
            )
        for name in ('height_m', 'side_m', 'end_m'):
            near, far = getattr(self, name)
            if not 0 < near < far:
                raise ValueError(f'{name} must be 0 < {name}[0] < {name}[1], got {near} and {far}')
        if not 0 <= self.max_step_m < self.end_m[0]:
            raise ValueError(
                f'max_step_m must be in [0, end_m[0]), got {self.max_step_m} and {self.end_m}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class PosePretrainingConfig:
    """Hold everything that one pre-training needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples, augmentation and motions."""
    pose: PoseNetConfig = field(default_factory=PoseNetConfig)
    """The network."""
    data: TripletConfig = field(default_factory=TripletConfig)
    """Size, normalisation and augmentation of the pictures; the later training has the same."""
    motion: DrawnMotionConfig = field(default_factory=DrawnMotionConfig)
    """What is to be recognised."""
    num_validation_frames: int = 100
    """Frames whose real motion is compared, spread evenly."""
    loop: LoopConfig
    """Budget and optimizer."""


class PosePretrainingTask(nn.Module):
    """Recognise drawn rotations; a `Task`."""

    def __init__(self, network: PoseNet, motion: DrawnMotionConfig) -> None:
        """Take the network.

        Args:
            network: What is trained.
            motion: What is drawn.
        """
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.motion = motion

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: Of `TripletDataset` without neighbours: `image` (B, 3, H, W) normalised, `K`
                (B, 3, 3) of it.

        Returns:
            `loss`, and `rotation_error_deg`, the mean error of the rotation. The translation,
            which nothing in one picture can tell, is not taught.
        """
        image, K = batch['image'], batch['K']
        T_target_before, T_after_target = self._draw(K), self._draw(K)
        before = self._seen(image, K, T_target_before)
        after = self._seen(image, K, invert(T_after_target))
        predicted = self.network(torch.stack((before, image, after), 1))
        true = torch.stack((invert(T_target_before), T_after_target), 1)
        error = rotation_between(predicted, true)  # (B, 2, 3)
        loss = F.smooth_l1_loss(error / ERROR_UNIT_RAD, torch.zeros_like(error))
        angle = torch.rad2deg(error.detach().norm(dim=-1)).mean()
        return {'loss': loss, 'rotation_error_deg': angle}

    def _draw(self, K: torch.Tensor) -> torch.Tensor:
        """Draw motions from an earlier to a later picture, (B, 4, 4)."""
        motion, count = self.motion, len(K)
        low, high = math.log(motion.min_angle_deg), math.log(motion.max_angle_deg)
        angle = torch.deg2rad(torch.exp(low + (high - low) * torch.rand(count, 1)))
        axis = torch.randn(count, 3) * torch.tensor((motion.upright, 1.0, motion.upright))
        step = torch.zeros(count, 3)
        step[:, 2] = -motion.max_step_m * torch.rand(count)
        return transform_from_axis_angle(F.normalize(axis) * angle, step).to(K)

    def _seen(
        self, image: torch.Tensor, K: torch.Tensor, T_image_other: torch.Tensor
    ) -> torch.Tensor:
        """Show the picture from elsewhere, as if what is seen from there were a street."""
        height, width = image.shape[2:]
        return warp(image, self._street(K, height, width), K, T_image_other, padding='border')

    def _street(self, K: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """Draw the depth of a road between two walls and a third at its end, (B, 1, H, W) [m]."""
        motion = self.motion

        def drawn(limits: tuple[float, float]) -> torch.Tensor:
            near, far = limits
            return (near + (far - near) * torch.rand(len(K), 1, 1)).to(K)

        rows, columns = (torch.arange(n, device=K.device, dtype=K.dtype) for n in (height, width))
        down = (rows[:, None] - K[:, 1, 2, None, None]) / K[:, 1, 1, None, None]  # (B, H, 1)
        right = (columns - K[:, 0, 2, None, None]) / K[:, 0, 0, None, None]  # (B, 1, W)
        # A plane at distance d, along whose normal the ray (x, y, 1) goes n, is met at Z = d / n.
        nearness = torch.stack(
            torch.broadcast_tensors(
                down / drawn(motion.height_m),
                right / drawn(motion.side_m),
                -right / drawn(motion.side_m),
                1 / drawn(motion.end_m),
            )
        )
        return 1 / nearness.amax(0)[:, None]


def rotation_between(T_a: torch.Tensor, T_b: torch.Tensor) -> torch.Tensor:
    """Give the rotation from one pose to another.

    Args:
        T_a: (..., 4, 4).
        T_b: Same shape.

    Returns:
        (..., 3): axis times the sine of the angle, which for small ones is the angle [rad].
    """
    R = T_a[..., :3, :3].mT @ T_b[..., :3, :3]
    twist = (R - R.mT) / 2
    return torch.stack((twist[..., 2, 1], twist[..., 0, 2], twist[..., 1, 0]), -1)


def pretrain_pose(
    config: PosePretrainingConfig,
    index: Path,
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a pose network on single pictures of an index.

    Args:
        config: What to do.
        index: Folder that `training.index_data` wrote.
        out: Run folder; its checkpoint is what `initial_pose` of a later training names.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If the index, the data set or the state to resume is missing.
        ValueError: If one of these is damaged or does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    header, lines = read_header(index), read_lines(index, 'train')
    source = open_source(header)
    # A mirrored picture would need a mirrored K.
    data = replace(config.data, neighbours=False, flip=0.0)
    dataset = TripletDataset(lines, source, data)
    moving = [line for line in read_lines(index, 'validation') if line.previous and line.next]
    pairs = TripletDataset(
        spread(moving or lines, config.num_validation_frames), source, config.data.plain()
    )
    accelerator = make_accelerator(config.loop, cpu)
    torch.manual_seed(config.seed)
    network = PoseNet(replace(config.pose, encoder_weights=None) if resume else config.pose)
    commit = code_commit()

    def validate(average: nn.Module) -> Validation:
        metrics = rotation_errors(average, pairs) if pairs.has_poses else {}
        logger.info('%s', metrics)
        return Validation(metrics)

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        info = {
            'pose': to_dict(config.pose),
            'step': step,
            'metrics': metrics,
            'training_command': command,
            'training_config': to_dict(config),
            'training_commit': commit,
        }
        header = {METADATA_KEY: json.dumps(info)}
        write_tensors(run.checkpoint, average.state_dict(), header, 'pose checkpoint')

    values = to_dict(config)
    run = open_run(out, values, resume) if accelerator.is_main_process else RunFolder(out)
    task = PosePretrainingTask(network, config.motion)
    loop = config.loop
    train(task, dataset, validate, save, loop, run, accelerator, seed=config.seed, resume=resume)
    return run


def load_pose_net(path: Path, config: PoseNetConfig) -> PoseNet:
    """Build a pose network with pre-trained weights.

    Args:
        path: Checkpoint of `pretrain_pose`.
        config: What to build; it must be what was trained, but for where that began.

    Returns:
        The network in training mode.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, no such checkpoint, or of another network.
    """
    remedy = 'make one with `python -m training.pretrain_pose`'
    tensors, header = read_tensors(path, 'pose checkpoint', remedy)
    if METADATA_KEY not in header:
        raise ValueError(f'pose checkpoint {path} has no {METADATA_KEY} header; {remedy}')
    found = from_dict(PoseNetConfig, json.loads(header[METADATA_KEY])['pose'], str(path))
    if replace(found, encoder_weights=None) != replace(config, encoder_weights=None):
        raise ValueError(
            f'initial_pose {path} is of {found}, but the config asks for {config}; make them equal'
        )
    network = PoseNet(replace(config, encoder_weights=None))
    load_strictly(network, tensors, f'pose checkpoint {path}')
    return network


@torch.inference_mode()
def rotation_errors(network: nn.Module, pairs: Dataset[Any]) -> dict[str, float]:
    """Compare predicted rotations between real frames with those of the poses.

    Args:
        network: A `PoseNet` in evaluation mode.
        pairs: A `TripletDataset` with neighbours and poses.

    Returns:
        `rotation_error_deg`, the mean error, and `rotation_deg`, that of a guess of none.
    """
    device = next(network.parameters()).device
    draws = [(number, 0) for number in range(len(pairs))]  # type: ignore[arg-type]
    errors, rotations = [], []
    for batch in DataLoader(pairs, batch_size=16, sampler=draws):
        true = batch['T_source_target'].to(device)
        predicted = network(batch['pose_images'].to(device))
        errors.append(rotation_between(predicted, true).norm(dim=-1))
        rotations.append(
            rotation_between(torch.eye(4, device=device).expand_as(true), true).norm(dim=-1)
        )
    return {
        name: round(torch.rad2deg(torch.cat(values)).mean().item(), 4)
        for name, values in (('rotation_error_deg', errors), ('rotation_deg', rotations))
    }
