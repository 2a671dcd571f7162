"""Weights on disk with how they were made: safetensors and JSON, nothing that is unpickled."""

from dataclasses import dataclass, field, replace
import json
from pathlib import Path
from typing import Any

from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.learning.tensor_file import load_strictly, read_tensors, write_tensors
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig

METADATA_KEY = 'ssd_depth'
POSE_KEY = 'ssd_depth_pose'


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointInfo:
    """Say how weights were made."""

    model: DepthNetConfig
    """Builds the network that the weights fit."""
    step: int
    """Optimizer steps behind the weights."""
    training_command: str
    """The exact command; what it left to the config's file is in `training_config`."""
    training_config: dict[str, Any] = field(default_factory=dict)
    """The resolved config, seed included; empty: the file is older than this field."""
    training_commit: str = 'unknown'
    """Of the code, as `code_commit` gives it."""
    training_data: str
    """What the weights have seen; synthetic data is called synthetic."""
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of the last validation, by condition; empty: not measured."""


def save_checkpoint(path: Path, network: DepthNet, info: CheckpointInfo) -> None:
    """Write weights, replacing the old file at once.

    Args:
        path: `.safetensors`.
        network: Whose weights.
        info: Written into the file's header.

    Raises:
        OSError: If the file cannot be written whole; the old one is as it was then.
    """
    header = {METADATA_KEY: json.dumps(to_dict(info))}
    write_tensors(path, network.state_dict(), header, 'checkpoint')


def check_metric(info: CheckpointInfo, what: str) -> None:
    """Require that depth is in metres.

    Args:
        info: How the weights were made.
        what: Whose they are, for the message.

    Raises:
        ValueError: If the network gives relative depth, or learnt from pictures alone, which do
            not tell the metre.
    """
    if info.model.output == 'relu':
        raise ValueError(
            f'{what} has output relu: relative inverse depth, which no camera turns into metres; '
            'take one with another output, e.g. a metric Depth Anything'
        )
    loss = info.training_config.get('loss', {})
    if loss.get('velocity_weight') == 0 and loss.get('distance') != 'odometer':
        raise ValueError(
            f'{what} was trained with loss.velocity_weight 0, so its depth has no unit and would '
            'be taken for metres; take one that knows the speed'
        )


def load_checkpoint(path: Path) -> tuple[DepthNet, CheckpointInfo]:
    """Build the network that a checkpoint describes, with its weights.

    Args:
        path: What `save_checkpoint` wrote.

    Returns:
        The network in evaluation mode, on the CPU, and how it was made.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not such a checkpoint or the weights do not fit strictly.
    """
    remedy = 'train one with `python -m training.train_supervised`'
    tensors, header = read_tensors(path, 'checkpoint', remedy)
    if METADATA_KEY not in header:
        raise ValueError(
            f'checkpoint {path} has no {METADATA_KEY} header, so nothing says how to '
            'build its network; use one that this project wrote'
        )
    info = from_dict(CheckpointInfo, json.loads(header[METADATA_KEY]), str(path))
    # The file holds all weights: those that the encoder once started from need no download.
    network = build_depth_net(replace(info.model, encoder_weights=None))
    load_strictly(network, tensors, f'checkpoint {path}, against its own config,')
    return network.eval(), info


def save_pose_net(path: Path, pose_net: PoseNet) -> None:
    """Write the network that told the motion while depth was learnt; a student's teacher needs it.

    Args:
        path: `.safetensors`.
        pose_net: As it is, not averaged.

    Raises:
        OSError: If the file cannot be written whole; the old one is as it was then.
    """
    header = {POSE_KEY: json.dumps(to_dict(pose_net.config))}
    write_tensors(path, pose_net.state_dict(), header, 'pose network')


def load_pose_net(path: Path) -> PoseNet:
    """Build the network that `save_pose_net` wrote.

    Args:
        path: The file.

    Returns:
        The network in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such file or the weights do not fit strictly.
    """
    remedy = 'train a teacher with `python -m training.train_teacher`, which leaves one'
    tensors, header = read_tensors(path, 'pose network', remedy)
    if POSE_KEY not in header:
        raise ValueError(f'pose network {path} has no {POSE_KEY} header; {remedy}')
    config = from_dict(PoseNetConfig, json.loads(header[POSE_KEY]), str(path))
    pose_net = PoseNet(replace(config, encoder_weights=None))
    load_strictly(pose_net, tensors, f'pose network {path}, against its own config,')
    return pose_net.eval()
