"""The moving average of a network's weights, steadier than those of any one step."""

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the network.

    Args:
        average: Written to; buffers such as batch norm's statistics are averaged as well.
        network: Same architecture.
        step: Steps taken; the first ones forget faster, or the random start would linger.
        decay: In [0, 1).
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    for mean, value in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.is_floating_point():
            mean.lerp_(value, weight)
        else:
            mean.copy_(value)
