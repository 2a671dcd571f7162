"""What it gains to leave out the pixels of which a network is least confident."""

from collections.abc import Sequence

import numpy as np
from ssd_depth_core.data.nuscenes_splits import street_of
from ssd_depth_core.evaluation.confidence import NUM_COVERAGES
from ssd_depth_core.evaluation.experiment import (
    average_runs,
    cell,
    condition_groups,
    flat,
    grid,
    Row,
    ScoredMethod,
)
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.summary import ratios

LEFT_OUT_PERCENT = 20
"""Share of each image's pixels that is left out."""
_KEPT = NUM_COVERAGES * (100 - LEFT_OUT_PERCENT) // 100 - 1
"""Its place on a stored curve of risk."""


def rejection_rows(methods: Sequence[ScoredMethod], config: EvaluationConfig) -> list[Row]:
    """Make one row a method with confidence and condition, the last one of `ALL`.

    Args:
        methods: In the order of the table; those without a unit or without confidence have no
            rows, since risk is measured on depth as predicted.
        config: The protocol.

    Returns:
        `method`, `condition`, `frames`, `streets`, `seeds`, `left_out_percent`; then, with the
        ends `_low` and `_high` of their 95 % intervals by bootstrap over streets (None: one
        street), `abs_rel` of all pixels, `abs_rel_kept` without the least confident ones of each
        image, and by how many per cent this is lower, `gain_percent`; `oracle_gain_percent` where
        the largest errors themselves are left out.

    Raises:
        ValueError: If the trainings of a method were not scored on the same frames.

    Reference: Geifman and El-Yaniv 2017, arXiv 1705.08500 (risk at a coverage).
    """
    rows = []
    for method in methods:
        for condition, frames in condition_groups(average_runs(method.runs)):
            scores = [frame.confidence for frame in frames if frame.confidence is not None]
            if len(scores) < len(frames) or not method.metric:
                continue
            whole, kept, oracle = np.array(
                [(score.risk[-1], score.risk[_KEPT], score.risk_oracle[_KEPT]) for score in scores]
            ).T
            figures = {
                'abs_rel': (whole, np.ones(len(frames))),
                'abs_rel_kept': (kept, np.ones(len(frames))),
                'gain_percent': (100 * (whole - kept), whole),
                'oracle_gain_percent': (100 * (whole - oracle), whole),
            }
            scenes = [frame.scene for frame in frames]
            row: Row = {
                'method': method.name,
                'condition': condition,
                'frames': len(frames),
                'streets': len({street_of(scene) for scene in scenes}),
                'seeds': len(method.runs),
                'left_out_percent': LEFT_OUT_PERCENT,
            }
            rows.append(row | flat(ratios(figures, scenes, config)))
    return rows


def rejection_table(rows: Sequence[Row]) -> str:
    """Lay rows out for readers.

    Args:
        rows: Of `rejection_rows`.

    Returns:
        Markdown without a final line break; methods and figures down, conditions across.
    """
    lines = {
        'abs_rel': ('all pixels', 3),
        'abs_rel_kept': (f'the {100 - LEFT_OUT_PERCENT} % kept', 3),
        'gain_percent': ('lower by [%]', 1),
        'oracle_gain_percent': ('lower by [%], oracle', 1),
    }
    methods = dict.fromkeys(row['method'] for row in rows)
    cells = {
        (f'{method}, {words}', row['condition']): cell(row, name, decimals)
        for method in methods
        for name, (words, decimals) in lines.items()
        for row in rows
        if row['method'] == method
    }
    return (
        f'**absRel without the least confident {LEFT_OUT_PERCENT} % of the pixels of each image** '
        '(depth as predicted; oracle: without the largest errors themselves, the most that any '
        f'confidence can gain)\n\n{grid(cells)}'
    )
