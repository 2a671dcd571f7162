"""Networks that a task asks and never changes."""

from collections.abc import Callable

import torch
from torch import nn


class Frozen(nn.Module):
    """Keep a network: it moves with the task, and is neither trained nor saved with it."""

    def __init__(self, module: nn.Module) -> None:
        """Take the network.

        Args:
            module: Put into evaluation mode; its parameters ask for no gradient any more.
        """
        super().__init__()
        # In a tuple torch does not see it, so that it is in no state, which it would double, and
        # in no optimizer; several processes read it from the same file.
        self._held = (module.eval().requires_grad_(False),)

    @property
    def module(self) -> nn.Module:
        """Give the network; ask it under `torch.no_grad`."""
        return self._held[0]

    def _apply(self, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> 'Frozen':
        """Move along when the task is moved."""
        self.module._apply(fn, recurse)
        return super()._apply(fn, recurse)
