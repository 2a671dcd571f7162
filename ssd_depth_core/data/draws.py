"""Which sample comes next: a stream that can be entered anywhere, so that runs resume exactly."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import torch
from torch.utils.data import Sampler


class EndlessDraws(Sampler[tuple[int, int]]):
    """Draw (frame number, seed) for ever, epoch after epoch, from any point of the stream."""

    def __init__(
        self, num_frames: int, seed: int, start: int = 0, *, rank: int = 0, world_size: int = 1
    ) -> None:
        """Set the stream.

        Args:
            num_frames: Of the set; every epoch visits each once.
            seed: Of the whole stream.
            start: Draws to skip, of all processes together, to go on where a run stopped.
            rank: Of this process, which takes draws rank, rank + world_size, ... from there.
            world_size: Number of processes; together they take the stream of one.
        """
        self.num_frames = num_frames
        self.seed = seed
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Draw.

        Yields:
            Frame number and the sample's own seed.
        """
        yield from islice(self._stream(), self.rank, None, self.world_size)

    def _stream(self) -> Iterator[tuple[int, int]]:
        """Draw for all processes."""
        epoch, skip = divmod(self.start, self.num_frames)
        while True:
            generator = torch.Generator().manual_seed((self.seed << 24) + epoch)
            order = torch.randperm(self.num_frames, generator=generator)
            seeds = torch.randint(2**62, (self.num_frames,), generator=generator)
            yield from zip(order[skip:].tolist(), seeds[skip:].tolist(), strict=True)
            epoch, skip = epoch + 1, 0


class EpochOrder(Protocol):
    """Say which frames an epoch visits, and in which order."""

    def __len__(self) -> int:
        """Count the draws of an epoch, the same in each."""
        ...

    def __call__(self, generator: torch.Generator) -> torch.Tensor:
        """Draw an epoch's frame numbers, (len,) int64."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Shuffled:
    """Visit every frame equally often."""

    num_frames: int
    """Of the set."""
    repeat: int = 1
    """Visits of each frame in an epoch; md4all makes two."""

    def __post_init__(self) -> None:
        """Validate the counts.

        Raises:
            ValueError: If one is below 1.
        """
        if self.num_frames < 1 or self.repeat < 1:
            raise ValueError(
                f'num_frames and repeat must be >= 1, got {self.num_frames} and {self.repeat}'
            )

    def __len__(self) -> int:
        """Count the draws of an epoch."""
        return self.num_frames * self.repeat

    def __call__(self, generator: torch.Generator) -> torch.Tensor:
        """Draw an epoch.

        Args:
            generator: Source of randomness.

        Returns:
            (len,) int64 frame numbers.
        """
        return torch.randperm(len(self), generator=generator) % self.num_frames


@dataclass(frozen=True, kw_only=True, slots=True)
class Balanced:
    """Visit every condition equally often, so that a rare one is seen as much as daylight."""

    conditions: tuple[str, ...]
    """One a frame of the set."""
    num_draws: int
    """In an epoch; where conditions do not divide it, the first ones get one more."""

    def __post_init__(self) -> None:
        """Validate the counts.

        Raises:
            ValueError: If there is no frame, or fewer draws than conditions.
        """
        kinds = set(self.conditions)
        if not kinds or self.num_draws < len(kinds):
            raise ValueError(
                f'num_draws must be >= the number of conditions and that >= 1, '
                f'got {self.num_draws} draws of {len(kinds)} conditions'
            )

    def __len__(self) -> int:
        """Count the draws of an epoch."""
        return self.num_draws

    def __call__(self, generator: torch.Generator) -> torch.Tensor:
        """Draw an epoch; a condition's frames all come once before any comes again.

        Args:
            generator: Source of randomness.

        Returns:
            (len,) int64 frame numbers.
        """
        kinds = sorted(set(self.conditions))
        parts = []
        for rank, kind in enumerate(kinds):
            frames = torch.tensor([n for n, name in enumerate(self.conditions) if name == kind])
            count = (self.num_draws - rank - 1) // len(kinds) + 1
            rounds = -(-count // len(frames))
            passes = [
                frames[torch.randperm(len(frames), generator=generator)] for _ in range(rounds)
            ]
            parts.append(torch.cat(passes)[:count])
        return torch.cat(parts)[torch.randperm(self.num_draws, generator=generator)]


class EpochDraws(Sampler[tuple[int, int]]):
    """Draw (frame number, seed) for one epoch, or for one process's share of it.

    Process r of n takes draws r, r + n, r + 2 n, ...: n processes with batches of B take together,
    step by step, what one process with batches of n B takes.
    """

    def __init__(
        self, order: EpochOrder, seed: int, *, rank: int = 0, world_size: int = 1
    ) -> None:
        """Set the draws, and stand at the first epoch's beginning.

        Args:
            order: Which frames an epoch visits.
            seed: Of all epochs.
            rank: Of this process.
            world_size: Number of processes; an epoch's last draws that do not go round are left
                out, for a process with a step more would wait for the others for ever.

        Raises:
            ValueError: If the rank is none of the processes'.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f'rank must be in [0, {world_size}), got {rank}')
        self.order = order
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.go_to(epoch=0)

    def go_to(self, epoch: int, start: int = 0) -> None:
        """Choose what the next iteration gives; without it, every iteration is the same epoch.

        Args:
            epoch: Which.
            start: Draws of this process to skip: steps taken times the batch size.
        """
        self.epoch = epoch
        self.start = start

    def __len__(self) -> int:
        """Count the draws that are left in the epoch for this process."""
        return max(0, len(self.order) // self.world_size - self.start)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Draw.

        Yields:
            Frame number and the sample's own seed.
        """
        generator = torch.Generator().manual_seed((self.seed << 24) + self.epoch)
        numbers = self.order(generator)
        seeds = torch.randint(2**62, (len(self.order),), generator=generator)
        first = self.start * self.world_size + self.rank
        share = slice(first, first + len(self) * self.world_size, self.world_size)
        yield from zip(numbers[share].tolist(), seeds[share].tolist(), strict=True)
