"""Score one frame: everything that is measured on it, kept apart until tables are made."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.evaluation.confidence import ConfidenceScore, score_confidence
from ssd_depth_core.evaluation.edges import EdgeScore, score_edges
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig, scored_pixels, Variant
from ssd_depth_core.evaluation.resample import sample_aligned
from ssd_depth_core.evaluation.temporal import flicker
from ssd_depth_core.metrics import depth_metrics, DepthMetrics, errors_of, scored_pairs

DISTANCES_M = (0.0, 10.0, 20.0, 40.0, 80.0)
"""Borders of the bins by true distance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VariantScore:
    """Hold the metrics of one frame under one variant of the protocol."""

    variant: Variant
    """How the prediction was treated."""
    cap_m: float
    """Range that was scored."""
    metrics: DepthMetrics
    """The errors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DistanceScore:
    """Hold the errors of one frame's pixels of one range of true distance; plain, main cap."""

    near_m: float
    """Where the bin begins."""
    far_m: float
    """Where it ends."""
    pixels: int
    """Pixels in it, at least one."""
    abs_rel: float
    """Mean |d - d*| / d*."""
    rmse: float
    """Root mean square of d - d* [m]."""
    a1: float
    """Share within a factor of 1.25."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameScore:
    """Hold one line of `frames.jsonl`."""

    id: str
    """Of the index's frame."""
    scene: str
    """What the bootstrap draws."""
    channel: str
    """The camera."""
    condition: Condition
    """Light and weather."""
    timestamp_us: int
    """Since the epoch, microseconds."""
    pixels: int
    """Scored for the main cap."""
    scores: tuple[VariantScore, ...]
    """Metrics by variant and cap."""
    distance: tuple[DistanceScore, ...]
    """Errors by distance; bins without a pixel are left out."""
    scale: float
    """median(truth) / median(depth), which the `scaled` variant multiplies by."""
    flicker: float | None
    """See `temporal.flicker`; None where the frame before has no prediction or no overlap."""
    confidence: ConfidenceScore | None
    """None where the method gives no confidence."""
    edges: EdgeScore | None
    """None without exact truth, or where it has no edge."""


def score_frame(
    line: IndexLine,
    truth: NDArray[np.floating],
    prediction: Prediction,
    config: EvaluationConfig,
    *,
    mirrored: NDArray[np.floating] | None = None,
    previous: NDArray[np.floating] | None = None,
) -> FrameScore | None:
    """Score one frame.

    Args:
        line: Of the index.
        truth: (H, W) [m]; NaN or inf where unknown.
        prediction: Depth on any grid over the whole picture, and confidence.
        config: The protocol.
        mirrored: Depth of the mirrored picture, mirrored back, (h, w) [m]; None: not known.
        previous: Depth of the frame before, (h, w) [m]; None: not known.

    Returns:
        The scores; None where no pixel of the truth is valid for the main cap.

    Raises:
        ValueError: If the prediction cannot be scaled by its median; the frame is named.
    """
    rows, columns = scored_pixels(truth, config)
    t = truth[rows, columns].astype(np.float64)
    d = sample_aligned(prediction.depth, rows, columns, truth.shape)
    depths: dict[bool, NDArray[np.float64]] = {False: d}
    if mirrored is not None:
        other = sample_aligned(mirrored, rows, columns, truth.shape)
        depths[True] = _fused(d, other, columns / max(truth.shape[1] - 1, 1))
    low, cap = config.min_depth_m, config.main_cap_m
    pairs = scored_pairs(d, t, min_depth_m=low, max_depth_m=cap)
    if pairs is None:
        return None
    in_main = t < cap
    confidence = None
    if prediction.confidence is not None:
        promised = sample_aligned(prediction.confidence, rows, columns, truth.shape)
        confidence = score_confidence(promised[in_main], *pairs)
    flickers = None
    before = line.previous
    if previous is not None and before is not None and before.T_source_target is not None:
        flickers = flicker(
            d[in_main],
            previous,
            rows=rows[in_main],
            columns=columns[in_main],
            truth=t[in_main],
            K=np.array(line.K),
            T_source_target=np.array(before.T_source_target),
            size=(truth.shape[0], truth.shape[1]),
            min_depth_m=low,
            max_depth_m=cap,
        )
    exact = config.truth == 'exact'
    return FrameScore(
        id=line.id,
        scene=line.scene,
        channel=line.channel,
        condition=line.condition,
        timestamp_us=line.timestamp_us,
        pixels=len(pairs[1]),
        scores=tuple(_variants(line.id, depths, t, config)),
        distance=tuple(_by_distance(*pairs)),
        scale=float(np.median(pairs[1]) / np.median(pairs[0])),
        flicker=flickers,
        confidence=confidence,
        edges=score_edges(prediction.depth, truth, min_depth_m=low, max_depth_m=cap)
        if exact
        else None,
    )


def _fused(
    d: NDArray[np.float64], mirrored: NDArray[np.float64], place: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Average inverse depths; towards a border, where `place` is 0 or 1, take but one of both.

    As monodepth's post-processing and md4all's `pp`: each picture's left border is left to the
    mirrored one, in which it lies on the right. Differs: md4all does so before it resizes.
    """
    left, right = (1 - np.clip(20 * side - 1, 0, 1) for side in (place, 1 - place))
    share = (1 + left - right) / 2
    # Beyond range is an inverse depth of 0, and where both are, so is their mean.
    own, other = (np.nan_to_num(1 / np.maximum(depth, 1e-6)) for depth in (d, mirrored))
    with np.errstate(divide='ignore'):
        return np.asarray(1 / ((1 - share) * own + share * other))


def _variants(
    name: str,
    depths: dict[bool, NDArray[np.float64]],
    truth: NDArray[np.float64],
    config: EvaluationConfig,
) -> list[VariantScore]:
    """Score every variant and cap; a cap without a valid pixel is left out."""
    names: dict[tuple[bool, bool], Variant] = {
        (False, False): 'plain',
        (True, False): 'flip',
        (False, True): 'scaled',
        (True, True): 'flip-scaled',
    }
    found = []
    for (flipped, scaled), variant in names.items():
        for cap_m in config.caps_m if flipped in depths else ():
            try:
                metrics = depth_metrics(
                    depths[flipped],
                    truth,
                    min_depth_m=config.min_depth_m,
                    max_depth_m=cap_m,
                    median_scaled=scaled,
                )
            except ValueError as error:
                raise ValueError(f'frame {name}: {error}') from None
            if metrics is not None:
                found.append(VariantScore(variant=variant, cap_m=cap_m, metrics=metrics))
    return found


def _by_distance(d: NDArray[np.float64], t: NDArray[np.float64]) -> list[DistanceScore]:
    found = []
    for near_m, far_m in pairwise(DISTANCES_M):
        inside = (t >= near_m) & (t < far_m)
        if inside.any():
            errors = errors_of(d[inside], t[inside])
            found.append(
                DistanceScore(
                    near_m=near_m,
                    far_m=far_m,
                    pixels=int(inside.sum()),
                    abs_rel=errors.abs_rel,
                    rmse=errors.rmse,
                    a1=errors.a1,
                )
            )
    return found
