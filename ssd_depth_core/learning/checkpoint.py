"""Weights on disk with how they were made: safetensors and JSON, nothing that is unpickled."""

from dataclasses import dataclass, field, replace
import json
from pathlib import Path
from typing import Any

from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.learning.tensor_file import load_strictly, read_tensors, write_tensors
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net

METADATA_KEY = 'ssd_depth'


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
