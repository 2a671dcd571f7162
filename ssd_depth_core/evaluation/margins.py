"""By how much one method beats another: differences of absRel on the same frames."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.data.nuscenes_splits import street_of
from ssd_depth_core.evaluation.comparison import paired
from ssd_depth_core.evaluation.experiment import (
    ALL,
    average_runs,
    cell,
    flat,
    grid,
    Row,
    SCALINGS,
    ScoredMethod,
)
from ssd_depth_core.evaluation.frame_score import FrameScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig, Variant
from ssd_depth_core.evaluation.summary import ratios


def margin_rows(
    pairs: Iterable[tuple[ScoredMethod, ScoredMethod]], config: EvaluationConfig
) -> list[Row]:
    """Compare absRel on the same frames, which tells apart what two intervals may not.

    Args:
        pairs: A method and what it is compared with.
        config: The protocol; the main cap is reported.

    Returns:
        One row a pair and condition, then `ALL` where there are several conditions, which in a
        set of twins is the mean of the conditions: `method`, `compared_with`, `scaling` (as
        predicted where both have a unit, else median-scaled), `condition`, `metric`, `frames`,
        `streets`, `seeds`, `compared_seeds`; then `difference`, this method's mean minus the
        other's, and `difference_percent`, the same in per cent of the other's mean, with the ends
        `_low` and `_high` of their 95 % intervals by bootstrap over streets (None: one street).
        Below 0 the method is better.

    Raises:
        ValueError: If two methods were not scored on the same frames.
    """
    rows = []
    for method, other in pairs:
        variant: Variant = 'plain' if method.metric and other.metric else 'scaled'
        both = paired(average_runs(method.runs), average_runs(other.runs))
        own, theirs = (
            np.array([_abs_rel(frame, variant, config) for frame in side])
            for side in zip(*both, strict=True)
        )
        frames = [frame for frame, _ in both]
        for condition, inside in _groups(frames).items():
            scenes = [frames[place].scene for place in inside]
            apart, theirs_inside = (own - theirs)[inside], theirs[inside]
            figures = {
                'difference': (apart, np.ones(len(inside))),
                'difference_percent': (100 * apart, theirs_inside),
            }
            row: Row = {
                'method': method.name,
                'compared_with': other.name,
                'scaling': SCALINGS[variant],
                'condition': condition,
                'metric': 'abs_rel',
                'frames': len(scenes),
                'streets': len({street_of(scene) for scene in scenes}),
                'seeds': len(method.runs),
                'compared_seeds': len(other.runs),
            }
            rows.append(row | flat(ratios(figures, scenes, config)))
    return rows


def margin_tables(rows: Sequence[Row]) -> str:
    """Lay rows out for readers.

    Args:
        rows: Of `margin_rows`.

    Returns:
        Markdown without a final line break; pairs down, conditions across.
    """
    headings = {
        'difference': (
            '**absRel: difference on the same frames** (below 0 is better; an interval without 0 '
            'is a difference of these trainings on other streets, and tells nothing of other '
            'seeds)'
        ),
        'difference_percent': (
            "**absRel: the same difference in % of the other row's mean** (the interval is that "
            'of the quotient, by the same draws of streets)'
        ),
    }
    parts = []
    for name, heading in headings.items():
        cells = {
            (
                f'{row["method"]} minus {row["compared_with"]}, {row["scaling"]}',
                row['condition'],
            ): cell(row, name, decimals=3 if name == 'difference' else 1)
            for row in rows
        }
        parts.append(f'{heading}\n\n{grid(cells)}')
    return '\n\n'.join(parts)


def _abs_rel(frame: FrameScore, variant: Variant, config: EvaluationConfig) -> float:
    wanted = (variant, config.main_cap_m)
    (score,) = (score for score in frame.scores if (score.variant, score.cap_m) == wanted)
    return score.metrics.abs_rel


def _groups(frames: Sequence[FrameScore]) -> dict[str, NDArray[np.intp]]:
    """Place the frames of each condition, and of all of them."""
    shown = np.array([frame.condition for frame in frames])
    held: dict[str, NDArray[np.intp]] = {
        name: np.flatnonzero(shown == name) for name in CONDITIONS if name in shown
    }
    return held if len(held) < 2 else {**held, ALL: np.arange(len(frames))}
