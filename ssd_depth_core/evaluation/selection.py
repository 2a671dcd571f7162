"""Choose a checkpoint by its results, on the validation split alone."""

from collections.abc import Mapping

from ssd_depth_core.evaluation.protocol import Variant
from ssd_depth_core.evaluation.record import Evaluation, MetricRow

HIGHER_IS_BETTER = ('a1', 'a2', 'a3')


def choose_best(
    evaluations: Mapping[str, Evaluation],
    *,
    metric: str = 'abs_rel',
    condition: str = 'all',
    variant: Variant = 'plain',
) -> str:
    """Name the best of several results.

    Args:
        evaluations: By the name to give back.
        metric: A field of `DepthMetrics`.
        condition: A row of the tables.
        variant: How predictions were treated.

    Returns:
        The winner's name; the first of equals.

    Raises:
        ValueError: If a result is of another split than validation, the results are not of the
            same frames and protocol, one lacks predictions, or one lacks the figure.
    """
    if not evaluations:
        raise ValueError('there are no results to choose from; name at least one')
    for name, evaluation in evaluations.items():
        if evaluation.split != 'validation':
            raise ValueError(
                f'{name} was measured on the {evaluation.split} split; what is chosen on it would '
                'be reported on it: evaluate with --split validation and choose by that'
            )
        if evaluation.frames_missing:
            raise ValueError(
                f'{name} lacks the predictions of {evaluation.frames_missing} frames, so that it '
                'is not of the same frames as the others; predict them all'
            )
    measured = {
        f'{each.frames_scored} frames of {each.data}, {each.options.what_counts}'
        for each in evaluations.values()
    }
    if len(measured) > 1:
        raise ValueError(
            'results must be of the same frames under the same protocol, got '
            + ' and '.join(sorted(measured))
        )
    figures = {
        name: figure_of(evaluation, metric, condition, variant)
        for name, evaluation in evaluations.items()
    }
    best = max if metric in HIGHER_IS_BETTER else min
    return best(figures, key=lambda name: figures[name])


def figure_of(evaluation: Evaluation, metric: str, condition: str, variant: Variant) -> float:
    """Look up a mean at the main cap.

    Args:
        evaluation: The result.
        metric: A field of `DepthMetrics`.
        condition: A row of its tables.
        variant: How predictions were treated.

    Returns:
        The mean.

    Raises:
        ValueError: If there is none; what there is, is named.
    """
    rows: list[MetricRow] = [
        row
        for row in evaluation.tables.metrics
        if (row.variant, row.cap_m) == (variant, evaluation.options.main_cap_m)
    ]
    for row in rows:
        if row.condition == condition and metric in row.figures:
            return row.figures[metric].mean
    known = ', '.join(row.condition for row in rows)
    metrics = ', '.join(rows[0].figures) if rows else ''
    raise ValueError(
        f'{evaluation.method} has no {metric} of {condition}, {variant}; '
        f'its conditions are {known or "none"}, its metrics {metrics or "none"}'
    )
