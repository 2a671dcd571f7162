"""Networks that a training is given to learn from, or to go on with."""

from pathlib import Path

from ssd_depth_core.data.translated import NetworkView
from ssd_depth_core.learning.checkpoint import check_metric, CheckpointInfo, load_checkpoint
from ssd_depth_core.learning.run_folder import checkpoint_of
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig


def read_metric_network(path: Path, role: str) -> tuple[DepthNet, CheckpointInfo]:
    """Load a network whose depth has a unit.

    Args:
        path: Its run folder, or its checkpoint.
        role: What it is called in messages.

    Returns:
        The network in evaluation mode, on the CPU, and how it was made.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no such checkpoint, or depth has no unit.
    """
    network, info = load_checkpoint(checkpoint_of(path))
    check_metric(info, f'{role} {path}')
    return network, info


def view_of(model: DepthNetConfig) -> NetworkView:
    """Say what a network sees.

    Args:
        model: Its config.

    Returns:
        Size, mean and std of its input.
    """
    return NetworkView(
        size=(model.input_height, model.input_width), mean=model.mean, std=model.std
    )
