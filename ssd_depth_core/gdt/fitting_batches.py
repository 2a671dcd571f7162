"""Batches that fit into the GPU's memory, found by trying."""

from collections.abc import Callable, Sequence
import logging
from typing import TypeVar

LOG = logging.getLogger(__name__)

Item = TypeVar('Item')
Result = TypeVar('Result')


class FittingBatches:
    """Run items through a network in batches, halved for good where memory ends.

    Networks sum in another order in a batch of another size: after a halving the last bits of
    the results may differ from those of a GPU with more memory.
    """

    def __init__(self, network: str, limit: int | None, field: str, remedy: str) -> None:
        """Start with a limit.

        Args:
            network: What it is called in messages.
            limit: Items in a batch; None: all that there are.
            field: Of the config that holds the limit, named when it is too high.
            remedy: What to do where not even one item fits, a clause of its own.
        """
        self._network = network
        self._limit = limit
        self._field = field
        self._remedy = remedy

    def run(
        self, items: Sequence[Item], infer: Callable[[Sequence[Item]], list[Result]]
    ) -> list[Result]:
        """Run.

        Args:
            items: Any number.
            infer: Runs one batch; one result an item.

        Returns:
            One result an item, in their order.

        Raises:
            MemoryError: If not even one item fits.
        """
        from torch import cuda, OutOfMemoryError  # recipes are read without waiting for torch

        results: list[Result] = []
        while rest := items[len(results) :]:
            batch = rest[: self._limit]
            try:
                results += infer(batch)
                continue
            except OutOfMemoryError as error:
                reason = str(error).partition('\n')[0]
            # Out of the handler, whose traceback kept the batch's tensors alive.
            if len(batch) == 1:
                raise MemoryError(
                    f'{self._network} does not fit into the GPU with one picture: {reason} '
                    f'{self._remedy}'
                )
            self._limit = len(batch) // 2  # for good: the next batch would fail as well
            LOG.warning(
                '%d pictures do not fit into the GPU with %s, going on with %d; set %s to that',
                len(batch),
                self._network,
                self._limit,
                self._field,
            )
            cuda.empty_cache()
        return results
