"""The plots of an evaluation as SVG, in colours that colour-blind readers tell apart."""

from collections.abc import Sequence
import io
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
import numpy as np
from ssd_depth_core.evaluation.confidence import NUM_COVERAGES
from ssd_depth_core.evaluation.pictures import FARTHEST_M, NEAREST_M, WORST_ERROR
from ssd_depth_core.evaluation.protocol import Variant
from ssd_depth_core.evaluation.record import Estimate, Evaluation

COLOURS = ('#0072B2', '#E69F00', '#009E73', '#CC79A7', '#56B4E9', '#D55E00', '#000000', '#8C8C8C')
"""Okabe and Ito's palette, https://jfly.uni-koeln.de/color; one a row of the tables."""
MARKERS = 'osD^vPX*'
"""Beside the colours, for prints without colour."""
STYLE: dict[Any, Any] = {
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e4e4e4',
    'axes.axisbelow': True,
    'legend.frameon': False,
    'svg.hashsalt': 'evaluation',  # the same figures give the same file
}
"""Matplotlib's settings, for `rc_context`."""


def plots(evaluation: Evaluation) -> dict[str, str]:
    """Draw an evaluation.

    Args:
        evaluation: The figures.

    Returns:
        SVG by title; what was not measured is left out.
    """
    with rc_context(STYLE):
        drawn = {'Errors by condition': _by_condition(evaluation)}
        if evaluation.tables.distance:
            drawn['Error by true distance'] = _by_distance(evaluation)
        if evaluation.tables.confidence:
            drawn['Risk and coverage'] = _risk_coverage(evaluation)
            drawn['Reliability of the confidence'] = _reliability(evaluation)
        return {title: _svg(figure) for title, figure in drawn.items()}


def colour_scales() -> str:
    """Draw the legends of `pictures`: depth and relative error.

    Returns:
        SVG.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7, 0.8), layout='constrained')
        depth, error = figure.subplots(1, 2)
        draw_depth_scale(depth, 'depth [m]; black: beyond range')
        draw_error_scale(error, 'relative error')
        return _svg(figure)


def draw_depth_scale(axes: Axes, label: str) -> None:
    """Fill axes with the colours of `pictures.colour_depth`.

    Args:
        axes: To fill.
        label: Below them.
    """
    scale = LogNorm(NEAREST_M, FARTHEST_M)
    _draw_scale(axes, scale, 'viridis_r', label, (2, 5, 10, 20, 40, 80))
    axes.minorticks_off()


def draw_error_scale(axes: Axes, label: str) -> None:
    """Fill axes with the colours of `pictures.colour_error`.

    Args:
        axes: To fill.
        label: Below them.
    """
    ticks = [0, WORST_ERROR / 2, WORST_ERROR]
    _draw_scale(axes, Normalize(0, WORST_ERROR), 'inferno', label, ticks)
    # The brightest colour is of all that is worse, too.
    axes.set_xticks(ticks, ['0', f'{ticks[1]:g}', f'≥ {WORST_ERROR:g}'])


def draw_confidence_scale(axes: Axes, label: str) -> None:
    """Fill axes with the colours of `pictures.colour_confidence`.

    Args:
        axes: To fill.
        label: Below them.
    """
    _draw_scale(axes, Normalize(0, 1), 'cividis', label, (0, 0.5, 1))


def _draw_scale(
    axes: Axes, scale: Normalize, colours: str, label: str, ticks: Sequence[float]
) -> None:
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(
        ScalarMappable(scale, colours),
        cax=axes,
        orientation='horizontal',
        label=label,
        ticks=ticks,
        format='%g',
    )


def _by_condition(evaluation: Evaluation) -> Figure:
    """Draw bars of absRel and δ1, as predicted and median-scaled, with their intervals."""
    shown: tuple[tuple[Variant, str], ...] = (
        ('plain', 'as predicted'),
        ('scaled', 'median-scaled'),
    )
    figure = Figure(figsize=(11, 3.6), layout='constrained')
    for axes, (name, label) in zip(
        figure.subplots(1, 2),
        (('abs_rel', 'absRel'), ('a1', 'δ1 (share within a factor of 1.25)')),
        strict=True,
    ):
        for offset, (variant, words) in zip((-0.2, 0.2), shown, strict=True):
            rows = [
                row
                for row in evaluation.tables.metrics
                if (row.variant, row.cap_m) == (variant, evaluation.options.main_cap_m)
            ]
            places = np.arange(len(rows)) + offset
            figures = [row.figures[name] for row in rows]
            axes.bar(
                places,
                [value.mean for value in figures],
                width=0.38,
                color=COLOURS[0] if variant == 'plain' else COLOURS[4],
                label=words,
            )
            _whiskers(axes, places, figures)
        axes.set_xticks(range(len(rows)), [f'{row.condition}\nn = {row.frames}' for row in rows])
        axes.grid(axis='x', visible=False)
        axes.set_ylabel(label)
    axes.set_ylim(0, 1)
    figure.legend(*axes.get_legend_handles_labels(), loc='outside upper center', ncols=len(shown))
    return figure


def _by_distance(evaluation: Evaluation) -> Figure:
    """Draw absRel over the bins of distance, a line a condition."""
    figure, axes = _one(evaluation, 'true distance [m]', 'absRel, as predicted')
    bins = sorted({(row.near_m, row.far_m) for row in evaluation.tables.distance})
    conditions = list(dict.fromkeys(row.condition for row in evaluation.tables.distance))
    for index, condition in enumerate(conditions):
        rows = [row for row in evaluation.tables.distance if row.condition == condition]
        # Side by side, or the whiskers would hide each other.
        offset = 0.08 * (index - (len(conditions) - 1) / 2)
        places = np.array([bins.index((row.near_m, row.far_m)) for row in rows]) + offset
        figures = [row.figures['abs_rel'] for row in rows]
        axes.plot(places, [value.mean for value in figures], label=condition, **_look(index))
        _whiskers(axes, places, figures)
    axes.set_xticks(range(len(bins)), [f'{near:g}-{far:g}' for near, far in bins])
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _risk_coverage(evaluation: Evaluation) -> Figure:
    """Draw the error of the pixels kept over their share, beside the best order there is."""
    figure, axes = _one(
        evaluation, 'coverage: share of pixels kept, most confident first [%]', 'absRel of these'
    )
    coverage = 100 * np.arange(1, NUM_COVERAGES + 1) / NUM_COVERAGES
    for index, row in enumerate(evaluation.tables.confidence):
        look = _look(index)
        normalised = 'n/a' if row.normalised_aurc is None else f'{row.normalised_aurc:.2f}'
        label = f'{row.condition} (normalised AURC {normalised})'
        axes.plot(coverage, row.risk, label=label, markevery=3, **look)
        axes.plot(coverage, row.risk_oracle, color=look['color'], linestyle=':', linewidth=1.2)
    axes.plot([], [], color='#555555', linestyle=':', label='ordered by the errors themselves')
    axes.set_xlim(0, 101)
    axes.set_ylim(bottom=0)
    axes.legend()
    return figure


def _reliability(evaluation: Evaluation) -> Figure:
    """Draw the measured share of good pixels over the promised one."""
    figure, axes = _one(
        evaluation, 'promised P(error below factor 1.25)', 'measured share of pixels'
    )
    axes.plot((0, 1), (0, 1), color='#555555', linestyle='--', linewidth=1, label='calibrated')
    for index, row in enumerate(evaluation.tables.confidence):
        # Bins of a few pixels are chance, not calibration.
        least = 0.001 * sum(row.bin_pixels)
        bins = [
            (promised, measured)
            for promised, measured, pixels in zip(
                row.bin_confidence, row.bin_correct, row.bin_pixels, strict=True
            )
            if promised is not None and measured is not None and pixels >= least
        ]
        label = f'{row.condition} (ECE {row.ece:.2f})'
        axes.plot(*zip(*bins, strict=True), label=label, **_look(index))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend()
    return figure


def _one(evaluation: Evaluation, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4), layout='constrained')
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(f'{y} (up to {evaluation.options.main_cap_m:g} m)')
    return figure, axes


def _look(index: int) -> dict[str, Any]:
    return {
        'color': COLOURS[index % len(COLOURS)],
        'marker': MARKERS[index % len(MARKERS)],
        'markersize': 5,
        'linewidth': 1.6,
    }


def _whiskers(axes: Axes, places: np.ndarray, figures: Sequence[Estimate]) -> None:
    known = [
        (place, value.low, value.high)
        for place, value in zip(places, figures, strict=True)
        if value.low is not None and value.high is not None
    ]
    for place, low, high in known:
        axes.plot((place, place), (low, high), color='#333333', linewidth=1.2)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None})
    return buffer.getvalue()
