"""Which sample comes next: a stream that can be entered anywhere, so that runs resume exactly."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EndlessDraws(Sampler[tuple[int, int]]):
    """Draw (frame number, seed) for ever, epoch after epoch, from any point of the stream."""

    def __init__(self, num_frames: int, seed: int, start: int = 0) -> None:
        """Set the stream.

        Args:
            num_frames: Of the set; every epoch visits each once.
            seed: Of the whole stream.
            start: Number of draws to skip, to go on where a run stopped.
        """
        self.num_frames = num_frames
        self.seed = seed
        self.start = start

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Draw.

        Yields:
            Frame number and the sample's own seed.
        """
        epoch, skip = divmod(self.start, self.num_frames)
        while True:
            generator = torch.Generator().manual_seed((self.seed << 24) + epoch)
            order = torch.randperm(self.num_frames, generator=generator)
            seeds = torch.randint(2**62, (self.num_frames,), generator=generator)
            yield from zip(order[skip:].tolist(), seeds[skip:].tolist(), strict=True)
            epoch, skip = epoch + 1, 0
