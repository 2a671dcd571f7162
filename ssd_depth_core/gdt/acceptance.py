"""The gate: which translated pictures a student may learn from, and how far to trust each.

A translation is of use only if the depth of its source is still the depth of what it shows. The
gate estimates depth anew on the picture that was made and compares it with the source's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import math

import numpy as np
from ssd_depth_core.gdt import geometry_scores, picture_scores
from ssd_depth_core.gdt.depth_estimator import DepthEstimator, EstimatedDepth
from ssd_depth_core.gdt.translator import Request, Translation


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Say what is asked of a translated picture; None leaves a score out of the verdict."""

    max_log_error: float | None = 0.5
    """Standard deviation of the difference of log depths, at most."""
    min_ordinal_agreement: float | None = 0.8
    """Share of pairs of pixels in the source's order, at least."""
    min_edge_f1: float | None = 0.2
    """Agreement of depth's edges, at least."""
    max_local_disagreement: float | None = 12.0
    """Difference of log depth of the worst region, over the picture's own typical one, at most."""
    min_trust: float | None = None
    """Joint score of geometry, at least."""
    edge_tolerance_px: float = 2.0
    """How far apart two edges of depth still count as one."""
    window_px: int = 16
    """Side of the regions of the local score."""
    max_black_share: float | None = 0.9
    """Share of black pixels, at most."""
    max_blown_share: float | None = 0.5
    """Share of blown-out pixels, at most."""
    min_sharpness: float | None = 0.1
    """Detail over the source's, at least."""
    min_source_distance: float | None = 0.01
    """Mean difference from the source in [0, 1], at least: less is no translation."""
    min_variant_distance: float | None = 0.002
    """Same from an earlier picture of the same frame and condition: less is the same twice."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a threshold is negative or no number, or the window is smaller than a
                pixel.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f'{name} must be a number >= 0, got {value}')
        if self.window_px < 1:
            raise ValueError(f'window_px must be >= 1, got {self.window_px}')


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what the gate says about one picture."""

    accepted: bool
    scores: dict[str, float]
    """By name, all finite; a score that could not be measured is missing, and a reason says so.
    `trust` in [0, 1] is always there: a student may weigh by it."""
    reasons: tuple[str, ...]
    """Why it was rejected; empty where it was accepted."""


class Gate:
    """Judge translated pictures."""

    def __init__(self, config: GateConfig, estimator: DepthEstimator) -> None:
        """Build the gate.

        Args:
            config: Its thresholds.
            estimator: Looks at the translated pictures.
        """
        self.config = config
        self._estimator = estimator

    def judge(
        self, requests: Sequence[Request], translations: Sequence[Translation]
    ) -> list[Verdict]:
        """Judge one batch.

        Args:
            requests: What was asked, pictures of one size.
            translations: What was made, in the same order.

        Returns:
            One verdict a translation. It depends on the rest of the batch only in that a picture
            must not repeat an earlier one of the same frame and condition.

        Raises:
            ValueError: If the numbers differ.
        """
        if len(requests) != len(translations):
            raise ValueError(f'{len(requests)} requests have {len(translations)} translations')
        if not requests:
            return []
        pictures = [translation.picture for translation in translations]
        estimates = self._estimator.estimate(pictures, [request.K for request in requests])
        verdicts = []
        for index, (request, estimate) in enumerate(zip(requests, estimates, strict=True)):
            scores, faults = self._geometry(request.depth, estimate)
            scores |= _picture_scores(request, pictures[index])
            earlier = [
                picture_scores.distance(pictures[other], pictures[index])
                for other in range(index)
                if _same_job(requests[other], request)
            ]
            if earlier:
                scores['variant_distance'] = min(earlier)
            reasons = (*faults, *self._broken(scores))
            verdicts.append(Verdict(not reasons, scores, reasons))
        return verdicts

    def _geometry(
        self, depth: EstimatedDepth, estimate: EstimatedDepth
    ) -> tuple[dict[str, float], tuple[str, ...]]:
        """Compare depth, or say why not."""
        config = self.config
        try:
            reference, found = geometry_scores.aligned_log_depths(
                depth.inverse_depth,
                estimate.inverse_depth,
                with_shift=not (depth.metric and estimate.metric),
            )
        except geometry_scores.UnusableDepthError as error:
            return {'trust': 0.0}, (f'depth cannot be compared: {error}',)
        measured = {
            'log_error': geometry_scores.log_error(reference, found),
            'ordinal_agreement': geometry_scores.ordinal_agreement(reference, found),
            'edge_f1': geometry_scores.edge_f1(reference, found, config.edge_tolerance_px),
            'local_disagreement': geometry_scores.local_disagreement(
                reference, found, config.window_px
            ),
        }
        scores = {name: value for name, value in measured.items() if value is not None}
        return scores | {'trust': math.exp(-scores['log_error'])}, ()

    def _broken(self, scores: dict[str, float]) -> list[str]:
        """Name every threshold that a score breaks."""
        reasons = []
        for name, value in scores.items():
            most = getattr(self.config, f'max_{name}', None)
            least = getattr(self.config, f'min_{name}', None)
            if most is not None and value > most:
                reasons.append(f'{name} {value:.3g} is above {most:g}')
            if least is not None and value < least:
                reasons.append(f'{name} {value:.3g} is below {least:g}')
        return reasons


def _picture_scores(request: Request, picture: picture_scores.Picture) -> dict[str, float]:
    return {
        'black_share': picture_scores.black_share(picture),
        'blown_share': picture_scores.blown_share(picture),
        'sharpness': picture_scores.sharpness(picture, request.picture),
        'source_distance': picture_scores.distance(picture, request.picture),
    }


def _same_job(request: Request, other: Request) -> bool:
    return request.condition == other.condition and np.array_equal(request.picture, other.picture)
