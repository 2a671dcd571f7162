"""A network's maps, brought to where losses compare them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F


def unflipped(values: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Mirror back what was predicted for mirrored inputs.

    Args:
        values: (B, C, h, w).
        flip: (B,) bool, True = the input was mirrored.

    Returns:
        Same shape.
    """
    return torch.where(flip[:, None, None, None], values.flip(-1), values)


def resized(values: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring maps to a size; SSD's transformer sees larger pictures than its losses do.

    Args:
        values: (B, C, h, w).
        size: (H, W).

    Returns:
        (B, C, H, W), bilinear; the input itself where it has the size.
    """
    if values.shape[2:] == torch.Size(size):
        return values
    return F.interpolate(values, list(size), mode='bilinear', align_corners=False)
