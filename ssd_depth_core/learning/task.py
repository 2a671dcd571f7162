"""What the loop asks of an objective."""

from typing import Protocol

from ssd_depth_core.models.depth_net import DepthNet
import torch


class Task(Protocol):
    """An `nn.Module` that owns the network to be trained, its criterion, and any teacher.

    The loop trains the parameters that require gradients, averages and saves `network`, and knows
    nothing else of the objective. A new objective is a new Task.
    """

    network: DepthNet
    """What is trained, averaged and saved."""

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective on one batch.

        Args:
            batch: As the task's dataset collates it.

        Returns:
            Scalars: `loss`, which is minimised, and any parts worth logging.
        """
        ...
