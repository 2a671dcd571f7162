"""The tables of an evaluation as Markdown, frame counts in every one."""

from collections.abc import Iterator, Sequence

from ssd_depth_core.evaluation.record import Estimate, Evaluation, MetricRow

WITH_INTERVALS = ('abs_rel', 'rmse', 'a1')
"""Metrics shown with their intervals; `metrics.json` has those of the others."""
Cell = str | int
Table = tuple[list[str], list[list[Cell]]]
"""Headings and rows."""

HEADINGS = {
    'abs_rel': 'absRel',
    'sq_rel': 'sqRel [m]',
    'rmse': 'RMSE [m]',
    'rmse_log': 'RMSElog',
    'a1': 'δ1',
    'a2': 'δ2',
    'a3': 'δ3',
    'flicker': 'flicker',
    'scale_change': 'scale change',
    'edge_accuracy_px': 'edge accuracy [px]',
    'edge_completeness_px': 'edge completeness [px]',
    'edge_f1': 'edge F1',
}


def estimate(value: Estimate | None, decimals: int = 3) -> str:
    """Write a mean with its interval.

    Args:
        value: The estimate; None where it was not measured.
        decimals: Digits behind the point.

    Returns:
        `0.123 (0.110 to 0.140)`; without an interval where none is known.
    """
    if value is None:
        return 'n/a'
    mean = f'{value.mean:.{decimals}f}'
    if value.low is None or value.high is None:
        return mean
    return f'{mean} ({value.low:.{decimals}f} to {value.high:.{decimals}f})'


def tables(evaluation: Evaluation) -> Iterator[tuple[str, str, Table]]:
    """Lay an evaluation out.

    Args:
        evaluation: The figures.

    Yields:
        Title, an explaining sentence, and the table; empty tables are left out.
    """
    cap = f'{evaluation.options.main_cap_m:g} m'
    yield (
        'Errors by condition',
        'Per image, then the plain mean over images; 95 % intervals by bootstrap over scenes. '
        '`scaled`: times median(truth) / median(depth) per image. `flip`: mean inverse depth with '
        "the mirrored picture's prediction.",
        _metric_table(evaluation.tables.metrics),
    )
    if evaluation.comparison:
        yield (
            f'Difference to {evaluation.compared_with}',
            'This method minus the other on the same frames; an interval that excludes 0 is a '
            'difference. Below 0 is better for errors, above 0 for δ.',
            _metric_table(evaluation.comparison),
        )
    if evaluation.tables.distance:
        yield (
            'Errors by true distance',
            f'As predicted, cap {cap}.',
            (
                ['condition', 'distance', 'frames', 'pixels', 'absRel', 'RMSE [m]', 'δ1'],
                [
                    [
                        row.condition,
                        f'{row.near_m:g}-{row.far_m:g} m',
                        row.frames,
                        row.pixels,
                        *(estimate(row.figures[name]) for name in ('abs_rel', 'rmse', 'a1')),
                    ]
                    for row in evaluation.tables.distance
                ],
            ),
        )
    if evaluation.tables.confidence:
        yield (
            'Confidence',
            f'Risk is absRel of the pixels kept, as predicted, cap {cap}; AURC its area over the '
            'share kept. Normalised: 0 is the order of the errors themselves, 1 no order. ECE: '
            'expected gap between the promised and the measured share within a factor of 1.25.',
            (
                [
                    *('condition', 'frames', 'AURC', 'oracle', 'random'),
                    *('normalised AURC', 'ECE'),
                ],
                [
                    [
                        row.condition,
                        row.frames,
                        *(estimate(figure) for figure in row.figures.values()),
                        'n/a' if row.normalised_aurc is None else f'{row.normalised_aurc:.3f}',
                        f'{row.ece:.3f}',
                    ]
                    for row in evaluation.tables.confidence
                ],
            ),
        )
    if evaluation.tables.further:
        names = list(
            dict.fromkeys(name for row in evaluation.tables.further for name in row.figures)
        )
        yield (
            'Steadiness and edges',
            'Flicker: median |change of ln(d / d*)| of the same static points from the frame '
            'before, carried over by the exact motion of the car. Scale change: |change of '
            'ln(median(d*) / median(d))| between consecutive frames of the index. Edges: iBims-1 '
            'boundary errors on exact depth, at most 640 pixels wide. Frames in brackets.',
            (
                ['condition', *(HEADINGS[name] for name in names)],
                [
                    [
                        row.condition,
                        *(
                            f'{estimate(row.figures[name])} [{row.frames[name]}]'
                            if name in row.figures
                            else 'n/a'
                            for name in names
                        ),
                    ]
                    for row in evaluation.tables.further
                ],
            ),
        )


def counts(evaluation: Evaluation) -> str:
    """Say how many frames stand behind the figures.

    Args:
        evaluation: The figures.

    Returns:
        One sentence.
    """
    return (
        f'{evaluation.frames_scored} of {evaluation.frames_indexed} frames scored; '
        f'{evaluation.frames_missing} without a prediction left out, '
        f'{evaluation.frames_without_truth} without valid truth skipped.'
    )


def markdown(evaluation: Evaluation) -> str:
    """Write everything as one page.

    Args:
        evaluation: The figures.

    Returns:
        Markdown, ending in a line break.
    """
    parts = [f'# {evaluation.method}, {evaluation.split} split', counts(evaluation)]
    for title, text, (headings, rows) in tables(evaluation):
        ruler = ['---', *['---:'] * (len(headings) - 1)]
        lines = [_line(headings), _line(ruler), *map(_line, rows)]
        parts += [f'## {title}', text, '\n'.join(lines)]
    if evaluation.absent:
        parts += ['## Not measured', '\n'.join(f'- {reason}' for reason in evaluation.absent)]
    origin = f'{evaluation.commit}, {evaluation.date}, {evaluation.machine}'
    parts.append(
        f'Data: {evaluation.data}. Truth: {evaluation.options.truth}. '
        f'`{evaluation.command}`, seed {evaluation.options.seed}: {origin}.'
    )
    return '\n\n'.join(parts) + '\n'


def _metric_table(rows: Sequence[MetricRow]) -> Table:
    names = list(rows[0].figures)
    headings = ['condition', 'variant', 'cap', 'frames', 'scenes']
    return (
        [*headings, *(HEADINGS[name] for name in names)],
        [
            [
                row.condition,
                row.variant,
                f'{row.cap_m:g} m',
                row.frames,
                row.scenes,
                *(
                    estimate(row.figures[name])
                    if name in WITH_INTERVALS
                    else f'{row.figures[name].mean:.3f}'
                    for name in names
                ),
            ]
            for row in rows
        ],
    )


def _line(cells: Sequence[Cell]) -> str:
    return f'| {" | ".join(str(cell).replace("|", chr(92) + "|") for cell in cells)} |'
