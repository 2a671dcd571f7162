"""The mean over windows of 3x3 pixels, at the speed of a few additions."""

from typing import Any

import torch


def window_mean(x: torch.Tensor) -> torch.Tensor:
    """Average around each pixel, over 3x3; pictures go on beyond their border as in a mirror.

    Equal to `avg_pool2d` of a picture padded by reflection. Rows and then columns are shifted and
    added, which is 20 times as fast on a CPU, and in the backward pass too: the derivative is
    written out, since autograd would fill a picture with zeros for each shift.

    Args:
        x: (..., H, W), H and W at least 2.

    Returns:
        Same shape.
    """
    mean: torch.Tensor = _WindowMean.apply(x)
    return mean


class _WindowMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        for dim in (-2, -1):
            total = _with_neighbours(x, dim)
            total.select(dim, 0).add_(x.select(dim, 1))
            total.select(dim, -1).add_(x.select(dim, -2))
            x = total
        return x.div_(9)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:
        # The transpose: what the border took from its neighbour, its neighbour is given.
        for dim in (-2, -1):
            total = _with_neighbours(grad, dim)
            total.select(dim, 1).add_(grad.select(dim, 0))
            total.select(dim, -2).add_(grad.select(dim, -1))
            grad = total
        return grad.div_(9)


def _with_neighbours(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Add to each value the one before and the one after it, where there is one."""
    length = x.shape[dim] - 1
    total = x.clone()
    total.narrow(dim, 1, length).add_(x.narrow(dim, 0, length))
    total.narrow(dim, 0, length).add_(x.narrow(dim, 1, length))
    return total
