"""The table of an experiment: methods by conditions, over seeds, with intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.evaluation.confidence import ConfidenceScore
from ssd_depth_core.evaluation.frame_score import FrameScore, VariantScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig, Variant
from ssd_depth_core.evaluation.record import Estimate, MetricRow
from ssd_depth_core.evaluation.summary import metric_rows
from ssd_depth_core.evaluation.table import estimate
from ssd_depth_core.metrics import DepthMetrics

SCALINGS: dict[Variant, str] = {'plain': 'metric', 'scaled': 'median-scaled'}
"""What a table tells apart: depth as predicted, and times median(truth) / median(depth)."""
FIGURES = {'abs_rel': 'absRel', 'rmse': 'RMSE [m]', 'a1': 'δ1'}
"""Metrics in a table, and their headings."""

ALL = 'all'
"""The frames of all conditions together."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoredMethod:
    """Hold one line of the table: a method, and the scores of each of its trainings."""

    name: str
    """As the table calls it."""
    runs: tuple[Sequence[FrameScore], ...]
    """Frames of each training; a guess that is not trained has one run."""
    metric: bool = True
    """Whether its depth has a unit; without one only the median-scaled figures mean anything."""


def average_runs(runs: Sequence[Sequence[FrameScore]]) -> list[FrameScore]:
    """Average the metrics and the confidence's scores of several trainings frame by frame.

    Args:
        runs: Frames of each training, at least one run.

    Returns:
        The first run's frames in its order, averaged so.

    Raises:
        ValueError: If the runs are not of the same frames, variants and caps.
    """
    by_id = [{frame.id: frame for frame in run} for run in runs]
    for one, other in pairwise(by_id):
        if apart := one.keys() ^ other.keys():
            raise ValueError(
                f'trainings of one method must be scored on the same frames, but {len(apart)} are '
                f'in one only, e.g. {min(apart)}; evaluate them on one index'
            )
    averaged = []
    for first in runs[0]:
        same = [frames[first.id] for frames in by_id]
        averaged.append(
            replace(first, scores=_averaged(same), confidence=_averaged_confidence(same))
        )
    return averaged


def table_rows(methods: Sequence[ScoredMethod], config: EvaluationConfig) -> list[Row]:
    """Make one row a method, scaling and condition, the last one of `ALL` where there are several.

    Args:
        methods: In the order of the table.
        config: The protocol; the main cap is reported.

    Returns:
        `method`, `scaling`, `condition`, `frames`, `streets`, `seeds`; then, of each of `FIGURES`,
        the mean over seeds and frames, the ends `_low` and `_high` of its 95 % interval by
        bootstrap over streets (None: one street), and `_sd`, the standard deviation over seeds
        (None: one seed).

    Raises:
        ValueError: If the trainings of a method were not scored on the same frames.
    """
    rows = []
    for method in methods:
        frames = average_runs(method.runs)
        for variant, scaling in SCALINGS.items():
            if variant == 'plain' and not method.metric:
                continue
            for condition, chosen in condition_groups(frames):
                found = _main_row(metric_rows(chosen, config), variant, config)
                row: Row = {
                    'method': method.name,
                    'scaling': scaling,
                    'condition': condition,
                    'frames': found.frames,
                    'streets': found.scenes,
                    'seeds': len(method.runs),
                }
                for name in FIGURES:
                    spread = _spread(method.runs, condition, variant, name, config)
                    row |= flat({name: found.figures[name]}) | {f'{name}_sd': spread}
                rows.append(row)
    return rows


def tables(rows: Sequence[Row]) -> str:
    """Lay rows out for readers, a table a scaling and figure.

    Args:
        rows: Of `table_rows`.

    Returns:
        Markdown without a final line break; methods down, conditions across.
    """
    parts = []
    for scaling in SCALINGS.values():
        for name, heading in FIGURES.items():
            cells = {
                (row['method'], row['condition']): cell(row, name)
                for row in rows
                if row['scaling'] == scaling
            }
            parts.append(f'**{heading}, {scaling}**\n\n{grid(cells)}')
    return '\n\n'.join(parts)


def condition_groups(frames: Sequence[FrameScore]) -> list[tuple[str, Sequence[FrameScore]]]:
    """Give each condition its own frames; the field's row `night` would hold night-rain too.

    Args:
        frames: Of all conditions.

    Returns:
        Conditions that are there and their frames, then `ALL` where there are several.
    """
    groups: list[tuple[str, Sequence[FrameScore]]] = [
        (condition, chosen)
        for condition in CONDITIONS
        if (chosen := [frame for frame in frames if frame.condition == condition])
    ]
    return [*groups, (ALL, frames)] if len(groups) > 1 else groups


def flat(figures: Mapping[str, Estimate | None]) -> Row:
    """Spread estimates over the columns of a row.

    Args:
        figures: By name; None where there is none.

    Returns:
        Of each, the mean under its name and the ends of its interval as `_low` and `_high`.
    """
    row: Row = {}
    for name, figure in figures.items():
        ends = (None, None, None) if figure is None else (figure.mean, figure.low, figure.high)
        row |= dict(zip((name, f'{name}_low', f'{name}_high'), ends, strict=True))
    return row


def cell(row: Row, name: str, decimals: int = 3) -> str:
    """Write a figure of a row.

    Args:
        row: As `flat` makes it, and the spread over seeds as `_sd` where it is told.
        name: Of the figure.
        decimals: Digits behind the point.

    Returns:
        `0.123 ± 0.004 (0.110 to 0.140)`, without what is not known; n/a where nothing is.
    """
    if row[name] is None:
        return 'n/a'
    figure = Estimate(mean=row[name], low=row[f'{name}_low'], high=row[f'{name}_high'])
    mean, _, interval = estimate(figure, decimals).partition(' ')
    sd = row.get(f'{name}_sd')
    spread = '' if sd is None else f'± {sd:.{decimals}f}'
    return ' '.join(filter(None, (mean, spread, interval)))


def grid(cells: dict[tuple[str, str], str]) -> str:
    """Lay cells out as a table.

    Args:
        cells: By line and column; lines and columns come in the order of their first cell.

    Returns:
        Markdown without a final line break.
    """
    columns = list(dict.fromkeys(column for _, column in cells))
    lines = [['', *columns], ['---', *['---:'] * len(columns)]]
    for line in dict.fromkeys(line for line, _ in cells):
        lines.append([line, *(cells.get((line, column), 'n/a') for column in columns)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _averaged(frames: Sequence[FrameScore]) -> tuple[VariantScore, ...]:
    """Average one frame's metrics over runs."""
    averaged = []
    for scores in zip(*(frame.scores for frame in frames), strict=True):
        if len({(score.variant, score.cap_m) for score in scores}) > 1:
            raise ValueError(
                f'frame {frames[0].id} was scored by several protocols; evaluate all trainings of '
                'a method by one'
            )
        figures = [asdict(score.metrics) for score in scores]
        means = {name: float(np.mean([own[name] for own in figures])) for name in figures[0]}
        averaged.append(replace(scores[0], metrics=DepthMetrics(**means)))
    return tuple(averaged)


def _averaged_confidence(frames: Sequence[FrameScore]) -> ConfidenceScore | None:
    """Average one frame's risk over runs; None where a run gives no confidence."""
    scores = [asdict(frame.confidence) for frame in frames if frame.confidence is not None]
    if len(scores) < len(frames):
        return None
    means = {name: np.mean([own[name] for own in scores], axis=0).tolist() for name in scores[0]}
    averaged: dict[str, Any] = {
        name: tuple(mean) if isinstance(mean, list) else mean for name, mean in means.items()
    }
    return ConfidenceScore(**averaged)


def _main_row(rows: Sequence[MetricRow], variant: Variant, config: EvaluationConfig) -> MetricRow:
    """Take the row of all frames at the main cap."""
    wanted = ('all', variant, config.main_cap_m)
    (row,) = (row for row in rows if (row.condition, row.variant, row.cap_m) == wanted)
    return row


def _spread(
    runs: Sequence[Sequence[FrameScore]],
    condition: str,
    variant: Variant,
    name: str,
    config: EvaluationConfig,
) -> float | None:
    """Give the standard deviation of a figure over trainings."""
    if len(runs) < 2:
        return None
    means = [
        np.mean(
            [
                getattr(score.metrics, name)
                for frame in run
                for score in frame.scores
                if condition in (ALL, frame.condition)
                and (score.variant, score.cap_m) == (variant, config.main_cap_m)
            ]
        )
        for run in runs
    ]
    return float(np.std(means, ddof=1))
