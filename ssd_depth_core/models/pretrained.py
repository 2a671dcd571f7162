"""Weights that others trained, into our encoders: strictly, key by key."""

from pathlib import Path

from safetensors.torch import load_file
from ssd_depth_core.checks import check_file
from torch import nn


def load_encoder_weights(backbone: nn.Module, weights: str) -> None:
    """Fill a timm network.

    Args:
        backbone: To be filled.
        weights: A `.safetensors` file with the network's own keys.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If its keys or shapes are not the network's.
    """
    check_file(Path(weights), 'encoder weights', 'download them first')
    try:
        backbone.load_state_dict(load_file(weights))
    except RuntimeError as error:
        raise ValueError(f'encoder weights {weights} do not fit: {error}') from None
