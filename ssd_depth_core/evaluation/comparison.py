"""Compare two methods frame by frame, which tells apart what two intervals may not."""

from collections.abc import Sequence
from dataclasses import asdict, replace

from ssd_depth_core.evaluation.frame_score import FrameScore, VariantScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.record import MetricRow
from ssd_depth_core.evaluation.summary import metric_rows
from ssd_depth_core.metrics import DepthMetrics


def difference_rows(
    frames: Sequence[FrameScore], others: Sequence[FrameScore], config: EvaluationConfig
) -> list[MetricRow]:
    """Average the differences of two methods' errors on the same frames.

    Args:
        frames: Of this method.
        others: Of the other, for the same frames in any order.
        config: The protocol.

    Returns:
        This method minus the other by condition, variant and cap that both have; the intervals
        draw the same scenes for both.

    Raises:
        ValueError: If they do not hold the same frames.
    """
    return metric_rows(
        [replace(frame, scores=_minus(frame, other)) for frame, other in paired(frames, others)],
        config,
    )


def paired(
    frames: Sequence[FrameScore], others: Sequence[FrameScore]
) -> list[tuple[FrameScore, FrameScore]]:
    """Put two methods' scores of each frame together.

    Args:
        frames: Of this method.
        others: Of the other, for the same frames in any order.

    Returns:
        Both, in this method's order.

    Raises:
        ValueError: If they do not hold the same frames.
    """
    other_of = {other.id: other for other in others}
    apart = {frame.id for frame in frames} ^ other_of.keys()
    if apart:
        raise ValueError(
            f'results to compare must score the same frames, but {len(apart)} are in one only, '
            f'e.g. {min(apart)}; evaluate both on one index and split'
        )
    return [(frame, other_of[frame.id]) for frame in frames]


def _minus(frame: FrameScore, other: FrameScore) -> tuple[VariantScore, ...]:
    theirs = {(score.variant, score.cap_m): asdict(score.metrics) for score in other.scores}
    return tuple(
        replace(score, metrics=DepthMetrics(**_differences(asdict(score.metrics), their)))
        for score in frame.scores
        if (their := theirs.get((score.variant, score.cap_m)))
    )


def _differences(own: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    return {name: own[name] - other[name] for name in own}
