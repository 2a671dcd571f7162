"""What the loop asks of an objective, and of its validation."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
import torch
from torch import nn


class Task(Protocol):
    """An `nn.Module` that owns the network to be trained, its criterion, and any teacher.

    The loop trains every parameter that requires gradients, those of further modules such as a
    `pose_net` included, and its state holds them all. It averages and hands out `network` alone,
    and knows nothing else of the objective. A new objective is a new Task.
    """

    network: nn.Module
    """What is trained, averaged and saved."""

    def __call__(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective on one batch.

        Args:
            batch: As the task's dataset collates it.

        Returns:
            Scalars: `loss`, which is minimised, and any parts worth logging.
        """
        ...


@dataclass(frozen=True, slots=True)
class Validation:
    """Hold what a network was found to do on held-out frames."""

    metrics: dict[str, Any]
    """Numbers that JSON can hold, nested as one likes, e.g. by condition."""
    pictures: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    """RGB (H, W, 3) by a name that a file can have, e.g. one a condition."""
