"""Which pictures are to be made, in which batches, and which of them are missing.

A batch is the unit of work: some frames of one size, whose captions and depth are made once, and
their pictures under every condition. Its frames are the same whatever was made before and however
the work is shared out, so that no picture's bytes depend on it.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
import hashlib

from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.data.manifest import ManifestLine

SEED_BYTES = 6
"""Seeds below 2^48: exact in every reader of JSON, and no two of a data set's are likely equal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """Hold one picture to be made."""

    frame: IndexLine
    """The clear one."""
    condition: Condition
    """What it is to become."""
    variant: int
    """Number of the picture among those of one frame and condition."""
    seed: int
    """Of everything random in the making."""

    @property
    def path(self) -> str:
        """Where the picture lies, from the manifest's folder."""
        # No id holds an @, so that no two pictures share a name.
        variant = f'@{self.variant}' if self.variant else ''
        return f'{self.condition}/{self.frame.id}{variant}.png'


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Hold frames that are worked on together, and what is to be made of them."""

    frames: tuple[IndexLine, ...]
    """All of one size."""
    jobs: tuple[Job, ...]
    """By condition, then by variant, then by frame."""
    missing: frozenset[str]
    """Paths of the pictures that are not there yet."""
    captions: dict[str, str] = field(default_factory=dict)
    """What frames show, by id, as far as it is known."""


def plan_batches(
    frames: Iterable[IndexLine],
    conditions: Sequence[Condition],
    variants: int,
    batch_size: int,
    seed: int,
) -> list[Batch]:
    """Share out frames and list their pictures, as though none was there.

    Args:
        frames: The clear ones.
        conditions: What each is to become.
        variants: Pictures a frame and condition.
        batch_size: Frames a batch.
        seed: What every picture's own seed hangs on.

    Returns:
        Sizes in the order in which they first come; frames of one size in theirs.
    """
    by_size = defaultdict(list)
    for frame in frames:
        by_size[frame.size].append(frame)
    batches = []
    for same in by_size.values():
        for start in range(0, len(same), batch_size):
            together = tuple(same[start : start + batch_size])
            jobs = tuple(
                Job(
                    frame=frame,
                    condition=condition,
                    variant=variant,
                    seed=seed_of(seed, frame.id, condition, variant),
                )
                for condition in conditions
                for variant in range(variants)
                for frame in together
            )
            missing = frozenset(job.path for job in jobs)
            batches.append(Batch(frames=together, jobs=jobs, missing=missing))
    return batches


def missing_batches(
    batches: Iterable[Batch], made: Sequence[ManifestLine], unusable: frozenset[str] = frozenset()
) -> list[Batch]:
    """Keep what is still to be done.

    A condition of which one picture is missing stays whole: its pictures are computed together.

    Args:
        batches: All, as `plan_batches` gives them.
        made: The manifest, which tells captions too.
        unusable: Paths of pictures that are not worth another try.

    Returns:
        Batches with a missing picture.
    """
    done = {line.path for line in made} | unusable
    captions = {line.source_id: line.caption for line in made if line.caption is not None}
    left = []
    for batch in batches:
        missing = batch.missing - done
        conditions = {job.condition for job in batch.jobs if job.path in missing}
        if missing:
            left.append(
                replace(
                    batch,
                    jobs=tuple(job for job in batch.jobs if job.condition in conditions),
                    missing=missing,
                    captions={
                        frame.id: captions[frame.id]
                        for frame in batch.frames
                        if frame.id in captions
                    },
                )
            )
    return left


def seed_of(seed: int, frame_id: str, condition: Condition, variant: int) -> int:
    """Give a picture a seed that hangs on nothing but what it is.

    Args:
        seed: Of the config.
        frame_id: Id of the index line.
        condition: What the frame becomes.
        variant: Number of the picture.

    Returns:
        In [0, 2^48).
    """
    text = f'{seed}/{frame_id}/{condition}/{variant}'
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=SEED_BYTES).digest(), 'big')
