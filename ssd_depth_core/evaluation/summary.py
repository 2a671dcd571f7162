"""From frames to tables: means by condition, with intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.nuscenes_splits import street_of
from ssd_depth_core.evaluation.bootstrap import mean_and_interval, ratio_and_interval
from ssd_depth_core.evaluation.confidence import expected_calibration_error, normalised_aurc
from ssd_depth_core.evaluation.frame_score import DISTANCES_M, FrameScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig, rows_of, Variant
from ssd_depth_core.evaluation.record import (
    ConfidenceRow,
    DistanceRow,
    Estimate,
    FurtherRow,
    MetricRow,
    Tables,
)
from ssd_depth_core.evaluation.temporal import scale_changes
from ssd_depth_core.metrics import DepthMetrics

VARIANTS: tuple[Variant, ...] = ('plain', 'flip', 'scaled', 'flip-scaled')
Figures = dict[str, float]
"""One frame's values by name; a name that it lacks does not count."""


def summarize(frames: Sequence[FrameScore], config: EvaluationConfig) -> Tables:
    """Make all tables.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        The tables.
    """
    return Tables(
        metrics=tuple(metric_rows(frames, config)),
        distance=tuple(distance_rows(frames, config)),
        confidence=tuple(confidence_rows(frames, config)),
        further=tuple(further_rows(frames, config)),
    )


def by_condition(frames: Sequence[FrameScore]) -> Iterator[tuple[str, list[FrameScore]]]:
    """Part frames into a table's rows.

    Args:
        frames: Of all conditions.

    Yields:
        Name of the row and its frames, at least one; a frame may be in several rows.
    """
    for name, held in rows_of(frame.condition for frame in frames).items():
        if chosen := [frame for frame in frames if frame.condition in held]:
            yield name, chosen


def metric_rows(frames: Sequence[FrameScore], config: EvaluationConfig) -> list[MetricRow]:
    """Make the field's table.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        By condition, variant, cap; variants that no frame has are left out.
    """
    rows = []
    for condition, chosen in by_condition(frames):
        for variant, cap_m, found, figures in by_variant(chosen, config):
            scenes = [frame.scene for frame in found]
            rows.append(
                MetricRow(
                    condition=condition,
                    variant=variant,
                    cap_m=cap_m,
                    frames=len(found),
                    scenes=len({street_of(scene) for scene in scenes}),
                    figures=estimates([asdict(metrics) for metrics in figures], scenes, config),
                )
            )
    return rows


def distance_rows(frames: Sequence[FrameScore], config: EvaluationConfig) -> list[DistanceRow]:
    """Make the table of errors by true distance.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        By condition and bin; empty bins are left out.
    """
    rows = []
    for condition, chosen in by_condition(frames):
        for near_m, far_m in pairwise(DISTANCES_M):
            found = [
                (frame.scene, score)
                for frame in chosen
                for score in frame.distance
                if score.near_m == near_m
            ]
            if found:
                figures = [
                    {'abs_rel': score.abs_rel, 'rmse': score.rmse, 'a1': score.a1}
                    for _, score in found
                ]
                rows.append(
                    DistanceRow(
                        condition=condition,
                        near_m=near_m,
                        far_m=far_m,
                        frames=len(found),
                        pixels=sum(score.pixels for _, score in found),
                        figures=estimates(figures, [scene for scene, _ in found], config),
                    )
                )
    return rows


def confidence_rows(frames: Sequence[FrameScore], config: EvaluationConfig) -> list[ConfidenceRow]:
    """Make the table of confidence.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        A row a condition; none where no frame has confidence.
    """
    rows = []
    for condition, chosen in by_condition(frames):
        found = [(frame.scene, frame.confidence) for frame in chosen if frame.confidence]
        if not found:
            continue
        scores = [score for _, score in found]
        names = ('aurc', 'aurc_oracle', 'aurc_random')
        figures = estimates(
            [{name: getattr(score, name) for name in names} for score in scores],
            [scene for scene, _ in found],
            config,
        )
        pixels, confidence, correct = (
            np.sum([getattr(score, name) for score in scores], axis=0)
            for name in ('bin_pixels', 'bin_confidence', 'bin_correct')
        )
        rows.append(
            ConfidenceRow(
                condition=condition,
                frames=len(found),
                figures=figures,
                normalised_aurc=normalised_aurc(*(figures[name].mean for name in names)),
                ece=expected_calibration_error(pixels, confidence, correct),
                risk=tuple(np.mean([score.risk for score in scores], axis=0).tolist()),
                risk_oracle=tuple(
                    np.mean([score.risk_oracle for score in scores], axis=0).tolist()
                ),
                bin_pixels=tuple(int(count) for count in pixels),
                bin_confidence=_shares(confidence, pixels),
                bin_correct=_shares(correct, pixels),
            )
        )
    return rows


def further_rows(frames: Sequence[FrameScore], config: EvaluationConfig) -> list[FurtherRow]:
    """Make the table of steadiness and edges.

    Args:
        frames: Scored.
        config: The protocol.

    Returns:
        A row a condition; none where nothing of this was measured.
    """
    changes = scale_changes(
        [frame.scale for frame in frames],
        [(frame.scene, frame.channel) for frame in frames],
        [frame.timestamp_us for frame in frames],
    )
    change_of = {frame.id: float(change) for frame, change in zip(frames, changes, strict=True)}
    rows = []
    for condition, chosen in by_condition(frames):
        figures: list[Figures] = []
        for frame in chosen:
            own: Figures = {}
            if frame.flicker is not None:
                own['flicker'] = frame.flicker
            if not np.isnan(change_of[frame.id]):
                own['scale_change'] = change_of[frame.id]
            if frame.edges is not None:
                own |= {f'edge_{name}': value for name, value in asdict(frame.edges).items()}
            figures.append(own)
        names = list(dict.fromkeys(name for own in figures for name in own))
        if names:
            rows.append(
                FurtherRow(
                    condition=condition,
                    frames={name: sum(name in own for own in figures) for name in names},
                    figures=estimates(figures, [frame.scene for frame in chosen], config),
                )
            )
    return rows


def by_variant(
    frames: Sequence[FrameScore], config: EvaluationConfig
) -> Iterator[tuple[Variant, float, list[FrameScore], list[DepthMetrics]]]:
    """Part frames by what was measured on them.

    Args:
        frames: Scored.
        config: The protocol.

    Yields:
        Each variant and cap that a frame has, those frames, and their metrics.
    """
    for variant in VARIANTS:
        for cap_m in config.caps_m:
            found = [
                (frame, score.metrics)
                for frame in frames
                for score in frame.scores
                if (score.variant, score.cap_m) == (variant, cap_m)
            ]
            if found:
                yield variant, cap_m, [pair[0] for pair in found], [pair[1] for pair in found]


def estimates(
    figures: Sequence[Figures], scenes: Sequence[str], config: EvaluationConfig
) -> dict[str, Estimate]:
    """Average values over frames, with intervals.

    Args:
        figures: Of each frame.
        scenes: Of each frame.
        config: Seed and number of draws.

    Returns:
        By the names that at least one frame has.
    """
    names = list(dict.fromkeys(name for own in figures for name in own))
    values = np.array([[own.get(name, np.nan) for name in names] for own in figures])
    means, intervals = mean_and_interval(
        values, scenes, seed=config.seed, replicates=config.replicates
    )
    return _estimates(names, means, intervals)


def ratios(
    parts: dict[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    scenes: Sequence[str],
    config: EvaluationConfig,
) -> dict[str, Estimate | None]:
    """Divide sums over frames, with intervals; the same draws make them all.

    Args:
        parts: By name, what is divided and by what, (N,) each; the latter at least 0.
        scenes: Of each of the N frames.
        config: Seed and number of draws.

    Returns:
        By name; None where there is only 0 to divide by.
    """
    above, below = (np.stack(side, axis=1) for side in zip(*parts.values(), strict=True))
    found = ratio_and_interval(
        above, below, scenes, seed=config.seed, replicates=config.replicates
    )
    return {
        name: None if np.isnan(figure.mean) else figure
        for name, figure in _estimates(list(parts), *found).items()
    }


def _estimates(
    names: Sequence[str], means: NDArray[np.float64], intervals: NDArray[np.float64] | None
) -> dict[str, Estimate]:
    ends = np.full((2, len(names)), np.nan) if intervals is None else intervals
    return {
        name: Estimate(mean=float(mean), low=_known(low), high=_known(high))
        for name, mean, low, high in zip(names, means, *ends, strict=True)
    }


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _shares(sums: np.ndarray, counts: np.ndarray) -> tuple[float | None, ...]:
    return tuple(
        float(total / count) if count else None for total, count in zip(sums, counts, strict=True)
    )
