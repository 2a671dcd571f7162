"""Score recorded depth against a bag's exact depth, frame by frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.metrics import depth_metrics, DepthMetrics
from ssd_depth_ros.bag_depth import DepthGrid


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScore:
    """Hold the errors of one frame."""

    stamp_ns: int
    """Header stamp of its image."""
    metric: DepthMetrics
    """In metres as published."""
    median_scaled: DepthMetrics
    """After a scale that the truth gives: what is left when the absolute scale is forgiven."""


def sample_at(depth: DepthGrid, truth: DepthGrid) -> NDArray[np.float32]:
    """Look a depth up where the truth has its pixels.

    The ray through each pixel centre of the truth is followed into the other grid and the nearest
    pixel read, without interpolation, which would invent depth between near and far objects. Each
    K says where its pixel centres lie, so grids that were resized (the half-pixel rule) and grids
    that were strided meet alike.

    Args:
        depth: To look up, (h, w).
        truth: Says where, (H, W).

    Returns:
        (H, W) [m]; NaN outside the other grid.
    """
    rows = _nearest(truth, depth, axis=1)
    columns = _nearest(truth, depth, axis=0)
    h, w = depth.depth.shape
    seen = ((rows >= 0) & (rows < h))[:, None] & ((columns >= 0) & (columns < w))[None, :]
    looked_up = depth.depth[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)[None, :]]
    return np.where(seen, looked_up, np.float32(np.nan))


def score_frames(depth: dict[int, DepthGrid], truth: dict[int, DepthGrid]) -> list[FrameScore]:
    """Score every frame that both sides have.

    Args:
        depth: What was published, by stamp [ns].
        truth: Exact depth, by stamp [ns].

    Returns:
        In the order of time; frames without a scorable pixel (all sky) are left out.
    """
    scores = []
    for stamp in sorted(depth.keys() & truth.keys()):
        sampled, exact = sample_at(depth[stamp], truth[stamp]), truth[stamp].depth
        metric = depth_metrics(sampled, exact)
        scaled = depth_metrics(sampled, exact, median_scaled=True)
        if metric is not None and scaled is not None:
            scores.append(FrameScore(stamp_ns=stamp, metric=metric, median_scaled=scaled))
    return scores


def _nearest(source: DepthGrid, target: DepthGrid, axis: int) -> NDArray[np.intp]:
    """Map pixel centres along x (axis 0) or y (axis 1) to the nearest index of another grid."""
    pixels = np.arange(source.depth.shape[1 - axis])
    ray = (pixels - source.K[axis, 2]) / source.K[axis, axis]
    return np.floor(ray * target.K[axis, axis] + target.K[axis, 2] + 0.5).astype(np.intp)
