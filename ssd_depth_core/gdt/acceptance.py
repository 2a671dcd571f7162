"""The gate: which translated pictures a student may learn from, and how far to trust each.

A translation is of use only if the depth of its source is still the depth of what it shows. The
gate estimates depth anew on the picture that was made, compares it with the source's, and looks
whether the picture still breaks where depth breaks.

`trust` comes of a critic that was fitted to metric depth of rendered streets
(`bench/gdt_gate.py`). On photographs, and with the relative depth of MiDaS or Depth Anything,
neither it nor the other scores of depth are measured: there `min_trust` is to be looked at anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
import math
import re
from typing import Literal

import numpy as np
from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt import condition_check, geometry_scores, picture_scores
from ssd_depth_core.gdt.depth_estimator import DepthEstimator, EstimatedDepth
from ssd_depth_core.gdt.evidence import evidence
from ssd_depth_core.gdt.translator import Request, Translation
from ssd_depth_core.gdt.trust import shipped_critic, trust_scores


@dataclass(frozen=True, kw_only=True, slots=True)
class GateConfig:
    """Say what is asked of a translated picture; None leaves a score out of the verdict.

    A picture of which something is asked that cannot be measured is rejected.
    """

    min_trust: float | None = 0.3
    """That the picture still shows its source's scene, at least; 19 of 20 faithful pictures on
    rendered streets that the critic was not fitted to reach 0.3, by metric depth."""
    max_log_error: float | None = 0.8
    """Standard deviation of the difference of log depths, at most."""
    min_ordinal_agreement: float | None = 0.85
    """Share of pairs of pixels in the source's order, at least."""
    min_edge_f1: float | None = None
    """Agreement of depth's edges, at least; not asked for: by night, networks' are too soft."""
    edge_tolerance_px: float = 2.0
    """How far apart two edges of depth still count as one, on a grid 320 pixels wide."""
    max_black_share: float | None = 0.9
    """Share of black pixels, at most."""
    max_blown_share: float | None = 0.5
    """Share of blown-out pixels, at most."""
    min_sharpness: float | None = 0.02
    """Detail over the source's, at least."""
    min_source_distance: float | None = 0.01
    """Mean difference from the source in [0, 1], at least: less is no translation."""
    min_variant_distance: float | None = 0.002
    """Same from an earlier picture of the same frame and condition: less is the same twice."""
    condition_check: Literal['statistics', 'clip', 'none'] = 'statistics'
    """What says whether a picture shows its condition: bounds on light and colours beside the
    source's, or CLIP."""
    clip_model: str | None = None
    """Hub id or folder of CLIP, for `clip` alone."""
    min_condition_probability: float | None = 0.3
    """What CLIP gives the condition among all, at least."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a threshold is negative or no number, or CLIP's model is missing or not
                asked for.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f'{field.name} must be a number >= 0, got {value}')
        if (self.condition_check == 'clip') != (self.clip_model is not None):
            raise ValueError(
                'clip_model must be given where condition_check is clip, and only there; got '
                f'{self.clip_model!r} and {self.condition_check}'
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Hold what the gate says about one picture."""

    accepted: bool
    scores: dict[str, float]
    """By name, all finite. `trust` in [0, 1] is always there: a student may weigh by it."""
    reasons: tuple[str, ...]
    """Why it was rejected; empty where it was accepted."""
    unmeasured: tuple[str, ...] = ()
    """Scores that this source leaves undefined, as a grey one does the ratio of chroma. What is
    asked of such a score is a reason too."""


class Gate:
    """Judge translated pictures.

    Args:
        config: Its thresholds.
        estimator: Looks at the translated pictures.
        device: Where CLIP runs, if it is asked.

    Raises:
        FileNotFoundError: If CLIP is asked and not on this machine.
    """

    def __init__(self, config: GateConfig, estimator: DepthEstimator, device: str = 'cpu') -> None:
        self.config = config
        self._estimator = estimator
        self._clip = (
            None
            if config.clip_model is None
            else condition_check.ClipJudge(config.clip_model, device)
        )

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
        asked = [request.condition for request in requests]
        shown = None if self._clip is None else self._clip.probabilities(pictures, asked)
        verdicts = []
        for index, (request, estimate) in enumerate(zip(requests, estimates, strict=True)):
            picture = pictures[index]
            measured, reasons = self._geometry(request, picture, estimate)
            measured |= _picture_scores(request, picture)
            earlier = [
                picture_scores.distance(pictures[other], picture)
                for other in range(index)
                if _same_job(requests[other], request)
            ]
            if earlier:
                measured['variant_distance'] = min(earlier)
            if shown is not None:
                measured['condition_probability'] = shown[index]
            if self.config.condition_check == 'statistics':
                light = condition_check.light_scores(picture, request.picture)
                reasons += _out_of_bounds(light, request.condition)
                measured |= light
            reasons += self._broken(measured)
            verdicts.append(
                Verdict(
                    accepted=not reasons,
                    scores={name: score for name, score in measured.items() if score is not None},
                    reasons=tuple(reasons),
                    unmeasured=tuple(name for name, score in measured.items() if score is None),
                )
            )
        return verdicts

    def _geometry(
        self, request: Request, picture: picture_scores.Picture, estimate: EstimatedDepth
    ) -> tuple[dict[str, float | None], list[str]]:
        """Compare depth, or say why not."""
        try:
            reference, found = geometry_scores.aligned_log_depths(
                geometry_scores.on_grid(request.depth.inverse_depth),
                geometry_scores.on_grid(estimate.inverse_depth),
                with_shift=not (request.depth.metric and estimate.metric),
            )
        except geometry_scores.UnusableDepthError as error:
            return {'trust': 0.0}, [f'depth cannot be compared: {error}']
        tolerance_px = self.config.edge_tolerance_px
        measured: dict[str, float | None] = {
            'log_error': geometry_scores.log_error(reference, found),
            'ordinal_agreement': geometry_scores.ordinal_agreement(reference, found),
            'edge_f1': geometry_scores.edge_f1(reference, found, tolerance_px),
        }
        facts = evidence(reference, found, request.picture, picture)
        return measured | trust_scores(shipped_critic(), facts), []

    def _broken(self, measured: dict[str, float | None]) -> list[str]:
        """Name every threshold that a score breaks, or that nothing can be held against."""
        reasons = []
        for name, value in measured.items():
            most = getattr(self.config, f'max_{name}', None)
            least = getattr(self.config, f'min_{name}', None)
            if value is None:
                if least is not None or most is not None:
                    reasons.append(_unmeasured(name))
            elif most is not None and value > most:
                reasons.append(f'{name} {value:.3g} is above {most:g}')
            elif least is not None and value < least:
                reasons.append(f'{name} {value:.3g} is below {least:g}')
        return reasons


def rule_of(reason: str) -> str:
    """Say which rule a rejected picture broke, for counting.

    Args:
        reason: Of a `Verdict`.

    Returns:
        The same without the picture's own score: `trust 0.12 is below 0.3` gives
        `trust is below 0.3`.
    """
    return re.sub(r'^(\w+) [-+.\de]+ (?=is )', r'\1 ', reason)


def _picture_scores(request: Request, picture: picture_scores.Picture) -> dict[str, float | None]:
    return {
        'black_share': picture_scores.black_share(picture),
        'blown_share': picture_scores.blown_share(picture),
        'sharpness': picture_scores.sharpness(picture, request.picture),
        'source_distance': picture_scores.distance(picture, request.picture),
    }


def _same_job(request: Request, other: Request) -> bool:
    return request.condition == other.condition and np.array_equal(request.picture, other.picture)


def _unmeasured(name: str) -> str:
    return f'{name} is asked for, and cannot be measured beside this source'


def _out_of_bounds(light: dict[str, float | None], condition: Condition) -> list[str]:
    """Name every bound of the condition that a picture breaks, or that cannot be looked at."""
    reasons = []
    for name, (least, most) in condition_check.BOUNDS.get(condition, {}).items():
        value = light[name]
        if value is None:
            reasons.append(_unmeasured(name))
        elif not least <= value <= most:
            reasons.append(
                f'{name} {value:.3g} is outside [{least:g}, {most:g}], which {condition} has'
            )
    return reasons
