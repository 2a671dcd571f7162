"""Weights and training state on disk: safetensors and JSON, nothing that is unpickled."""

from dataclasses import dataclass, field, replace
import json
import os
from pathlib import Path
from typing import Any

from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file, save_file
from ssd_depth_core.checks import check_file
from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
import torch
from torch import nn

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
    """Write weights, replacing the file at once so that a crash leaves the old one.

    Args:
        path: `.safetensors`.
        network: Whose weights.
        info: Written into the file's header.
    """
    metadata = {METADATA_KEY: json.dumps(to_dict(info))}
    _save(network.state_dict(), path, metadata)


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
    check_file(path, 'checkpoint', 'train one with `python -m training.train_supervised`')
    try:
        with safe_open(path, framework='pt') as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise ValueError(f'checkpoint {path} is damaged or no safetensors: {error}') from None
    if METADATA_KEY not in metadata:
        raise ValueError(
            f'checkpoint {path} has no {METADATA_KEY} header, so nothing says how to '
            'build its network; use one that this project wrote'
        )
    info = from_dict(CheckpointInfo, json.loads(metadata[METADATA_KEY]), str(path))
    # The file holds all weights: those that the encoder once started from need no download.
    network = build_depth_net(replace(info.model, encoder_weights=None))
    try:
        network.load_state_dict(load_file(path), strict=True)
    except RuntimeError as error:
        raise ValueError(f'checkpoint {path} does not fit its own config: {error}') from None
    return network.eval(), info


def save_state(
    folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer, progress: Any
) -> None:
    """Write what resuming needs.

    Args:
        folder: Made if missing.
        modules: By name, e.g. the task and the averaged network.
        optimizer: Whose moments.
        progress: What JSON can hold, e.g. step and seconds.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        f'{name}/{key}': value
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    state = optimizer.state_dict()
    for index, moments in state['state'].items():
        tensors |= {f'optimizer/{index}/{key}': value for key, value in moments.items()}
    tensors['rng/cpu'] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors['rng/cuda'] = torch.cuda.get_rng_state()
    # The progress travels in the same file, so that it can never belong to other tensors.
    _save(tensors, folder / 'state.safetensors', {'progress': json.dumps(progress)})


def load_state(
    folder: Path, modules: dict[str, nn.Module], optimizer: torch.optim.Optimizer
) -> Any:
    """Read back what `save_state` wrote, into objects built alike.

    Args:
        folder: Holds `state.safetensors`.
        modules: Same names as saved; loaded strictly.
        optimizer: Over the same parameters; its hyper-parameters are kept.

    Returns:
        The progress.

    Raises:
        FileNotFoundError: If there is no state.
        ValueError: If the state is damaged or belongs to another model or optimizer.
    """
    path = folder / 'state.safetensors'
    check_file(path, 'training state', 'start without --resume')
    try:
        with safe_open(path, framework='pt') as file:
            progress = json.loads(file.metadata()['progress'])
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f'training state {path} is damaged or no safetensors: {error}; copy it again, or '
            'start without --resume in another folder'
        ) from None
    for name, module in modules.items():
        weights = {
            key.removeprefix(f'{name}/'): value
            for key, value in tensors.items()
            if key.startswith(f'{name}/')
        }
        try:
            module.load_state_dict(weights, strict=True)
        except RuntimeError as error:
            raise ValueError(
                f'{path} holds another {name} than the config builds: {error}'
            ) from None
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith('optimizer/'):
            _, index, name = key.split('/')
            moments.setdefault(int(index), {})[name] = value
    state = optimizer.state_dict()
    optimizer.load_state_dict({'state': moments, 'param_groups': state['param_groups']})
    torch.set_rng_state(tensors['rng/cpu'])
    if torch.cuda.is_available() and 'rng/cuda' in tensors:
        torch.cuda.set_rng_state(tensors['rng/cuda'])
    return progress


def _save(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
    # safetensors refuses the strides of channels_last.
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    part = path.with_suffix('.part')
    save_file(contiguous, part, metadata)
    os.replace(part, path)
