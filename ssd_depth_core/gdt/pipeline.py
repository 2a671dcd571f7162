"""From a batch of clear frames to translated pictures that the gate has judged, all in memory.

What comes out hangs on the batch alone: not on what was made before, nor on who else works.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.frame_reader import BrokenFrameError, FrameReader, Size
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.data.manifest import ManifestLine
from ssd_depth_core.gdt.acceptance import Gate
from ssd_depth_core.gdt.captioner import Captioner
from ssd_depth_core.gdt.depth_estimator import DepthEstimator, EstimatedDepth
from ssd_depth_core.gdt.exact_frames import ExactDepth
from ssd_depth_core.gdt.jobs import Batch, Job
from ssd_depth_core.gdt.translator import Request, Translation, Translator
from ssd_depth_core.preprocess import resize_image, resize_intrinsics

DEPTH_IS_NOT_FINITE = (
    "its frame's depth has values that are not finite; depth.dtype float32 or bfloat16 has the "
    'range that float16 lacks'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """Hold a picture that the gate has judged, accepted or not."""

    line: ManifestLine
    """What the manifest is to say."""
    png: bytes
    """The picture's file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Hold why a picture was not made."""

    source_id: str
    """Id of the index line."""
    condition: Condition
    """What it was to become."""
    path: str
    """Where the picture would lie."""
    unreadable: bool
    """Whether its source could not be read; else what was made of it was of no use."""
    reason: str
    """In words."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Hold a frame with all that its pictures share, of their size."""

    picture: NDArray[np.uint8]
    depth: EstimatedDepth
    K: NDArray[np.float64]
    caption: str | None


class Pipeline:
    """Join captioner, depth, translator and gate."""

    def __init__(
        self,
        *,
        reader: FrameReader,
        captioner: Captioner,
        depth: DepthEstimator | ExactDepth,
        translator: Translator,
        gate: Gate,
        models: dict[str, str],
        size: Size | None,
    ) -> None:
        """Join the parts.

        Args:
            reader: Of the data set.
            captioner: Says what frames show.
            depth: Of the clear frames.
            translator: Makes the pictures.
            gate: Judges them.
            models: Hub id, folder or file of every network in these, by its part.
            size: (H, W) of the pictures, pixels; None: each frame's own.
        """
        self._reader = reader
        self._captioner = captioner
        self._depth = depth
        self._translator = translator
        self._gate = gate
        self._size = size
        self._models = models

    def make(self, batch: Batch) -> list[Made | Failure]:
        """Make what is missing of a batch.

        Args:
            batch: What there is to do.

        Returns:
            One a missing picture, in the order of the batch's jobs.
        """
        # 1. Read the frames; what hangs on a broken one fails, the others are made without it.
        pictures, exact, broken = self._read(batch.frames)
        results: dict[str, Made | Failure] = {
            job.path: _failure(job, broken[job.frame.id], unreadable=True)
            for job in batch.jobs
            if job.frame.id in broken
        }
        if batch.missing - results.keys():
            # 2. Make what all pictures of a frame share; without depth none can be made.
            frames = self._frames(batch, pictures, exact)
            results |= {
                job.path: _failure(job, DEPTH_IS_NOT_FINITE, unreadable=False)
                for job in batch.jobs
                if job.frame.id in pictures and job.frame.id not in frames
            }
            # 3. Make the pictures, one condition after the other.
            jobs = [job for job in batch.jobs if job.frame.id in frames]
            for condition in dict.fromkeys(job.condition for job in jobs):
                same = [job for job in jobs if job.condition == condition]
                results |= self._make_condition(same, frames)
        return [results[job.path] for job in batch.jobs if job.path in batch.missing]

    def _read(
        self, frames: Sequence[IndexLine]
    ) -> tuple[dict[str, NDArray[np.uint8]], dict[str, EstimatedDepth], dict[str, str]]:
        """Give pictures, rendered depth where that is asked for, and what is broken, by id."""
        pictures, exact, broken = {}, {}, {}
        for frame in frames:
            try:
                (picture,) = self._reader.read(frame, frame.size, frame.size)
                if isinstance(self._depth, ExactDepth):
                    exact[frame.id] = self._depth.read(frame)
            except BrokenFrameError as error:
                broken[frame.id] = str(error)
            else:
                pictures[frame.id] = picture
        return pictures, exact, broken

    def _frames(
        self,
        batch: Batch,
        pictures: dict[str, NDArray[np.uint8]],
        exact: dict[str, EstimatedDepth],
    ) -> dict[str, _Frame]:
        """Caption the readable frames and estimate their depth, by id; only where it is finite."""
        frames = [frame for frame in batch.frames if frame.id in pictures]
        shown = [pictures[frame.id] for frame in frames]
        Ks = [np.array(frame.K) for frame in frames]
        captions: dict[str, str | None] = dict(batch.captions)
        if any(frame.id not in captions for frame in frames):
            # All of them, so that who shares a captioner's batch never changes.
            said = self._captioner.caption(shown)
            captions = dict(zip(pictures, said, strict=True)) | captions
        depths = exact
        if not isinstance(self._depth, ExactDepth):
            depths = dict(zip(pictures, self._depth.estimate(shown, Ks), strict=True))
        return {
            frame.id: self._at_written_size(
                pictures[frame.id], depths[frame.id], K, captions[frame.id]
            )
            for frame, K in zip(frames, Ks, strict=True)
            if np.isfinite(depths[frame.id].inverse_depth).all()
        }

    def _at_written_size(
        self,
        picture: NDArray[np.uint8],
        depth: EstimatedDepth,
        K: NDArray[np.float64],
        caption: str | None,
    ) -> _Frame:
        """Bring what was seen at full size to the size of the pictures, before any is made."""
        own = picture.shape[:2]
        size = self._size
        if size is None or size == own:
            return _Frame(picture, depth, K, caption)
        # Picked, not mixed: a depth between near and far would be an edge of its own.
        resized = cv2.resize(
            depth.inverse_depth, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        )
        return _Frame(
            resize_image(picture, size),
            replace(depth, inverse_depth=np.asarray(resized)),
            resize_intrinsics(K, own, size),
            caption,
        )

    def _make_condition(
        self, jobs: Sequence[Job], frames: dict[str, _Frame]
    ) -> dict[str, Made | Failure]:
        """Make the pictures of one condition, by path."""
        results: dict[str, Made | Failure] = {}
        finished: list[tuple[Job, Request, Translation]] = []
        for variant in dict.fromkeys(job.variant for job in jobs):
            same = [job for job in jobs if job.variant == variant]
            requests = [_request(job, frames[job.frame.id]) for job in same]
            said = self._translator.translate(requests)
            for job, request, translation in zip(same, requests, said, strict=True):
                if isinstance(translation, str):
                    results[job.path] = _failure(job, translation, unreadable=False)
                else:
                    finished.append((job, request, translation))
        verdicts = self._gate.judge(
            [request for _, request, _ in finished], [made for _, _, made in finished]
        )
        for (job, request, translation), verdict in zip(finished, verdicts, strict=True):
            line = ManifestLine(
                source_id=job.frame.id,
                condition=job.condition,
                path=job.path,
                translator=self._translator.name,
                models=self._models,
                seed=job.seed,
                caption=request.caption,
                prompt=translation.prompt,
                image_prompt=translation.image_prompt,
                scores=verdict.scores,
                accepted=verdict.accepted,
                reasons=verdict.reasons,
                unmeasured=verdict.unmeasured,
            )
            results[job.path] = Made(line=line, png=_encode(translation.picture))
        return results


def _request(job: Job, frame: _Frame) -> Request:
    return Request(
        picture=frame.picture,
        depth=frame.depth,
        K=frame.K,
        condition=job.condition,
        caption=frame.caption,
        seed=job.seed,
    )


def _failure(job: Job, reason: str, *, unreadable: bool) -> Failure:
    return Failure(
        source_id=job.frame.id,
        condition=job.condition,
        path=job.path,
        unreadable=unreadable,
        reason=reason,
    )


def _encode(picture: NDArray[np.uint8]) -> bytes:
    """Write a PNG in memory; the same pixels give the same bytes."""
    encoded = cv2.imencode('.png', picture[..., ::-1])[1]
    return encoded.tobytes()
