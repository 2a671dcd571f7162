"""Pictures made coarse and fine again, so that wide blurs cost little and stay in place."""

import torch
from torch.nn import functional


def shrink(picture: torch.Tensor, cell: tuple[int, int]) -> torch.Tensor:
    """Average cells of pixels.

    Args:
        picture: (B, C, H, W).
        cell: Rows and columns of one; those at the lower and right border may be smaller.

    Returns:
        (B, C, ceil(H / rows), ceil(W / columns)).
    """
    return functional.avg_pool2d(picture, cell, ceil_mode=True)


def grow(small: torch.Tensor, cell: tuple[int, int], height: int, width: int) -> torch.Tensor:
    """Interpolate between the middles of cells.

    Args:
        small: (B, C, h, w) as `shrink` gives it.
        cell: As given to `shrink`.
        height: Of the fine picture, pixels.
        width: Likewise.

    Returns:
        (B, C, H, W), every cell where it was.
    """
    whole = (small.shape[2] * cell[0], small.shape[3] * cell[1])
    fine = functional.interpolate(small, whole, mode='bilinear')
    return fine[..., :height, :width]
