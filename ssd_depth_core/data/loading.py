"""Worker processes that read ahead, and do nothing but that."""

from collections.abc import Iterable
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader, Dataset


def make_loader(
    dataset: Dataset[dict[str, torch.Tensor]],
    draws: Iterable[tuple[int, int]],
    batch_size: int,
    num_workers: int,
) -> DataLoader[dict[str, torch.Tensor]]:
    """Batch the samples of a stream of draws.

    Args:
        dataset: Takes a draw, gives a sample.
        draws: Which samples, in order; asked again for every epoch.
        batch_size: Samples a batch; an epoch's incomplete last batch is left out.
        num_workers: Processes that read; 0 reads in this one. No number changes any sample.

    Returns:
        Batches by sample names, in the order of the draws.
    """
    options: dict[str, Any] = {}
    if num_workers:
        options = {'worker_init_fn': _use_one_thread, 'persistent_workers': True}
    return DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=draws,
        num_workers=num_workers,
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        # Of its own, or starting the workers would draw from the training's noise, and a resumed
        # run, which starts them once more, would go another way.
        generator=torch.Generator(),
        **options,
    )


def _use_one_thread(_: int) -> None:
    """Keep OpenCV from starting a thread a core in every worker; torch does so by itself."""
    cv2.setNumThreads(0)
