"""The picture of an experiment: absRel by condition, a mark a method, with intervals."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
import numpy as np
from ssd_depth_core.evaluation.experiment import FIGURES, Row, SCALINGS
from ssd_depth_core.evaluation.plots import COLOURS, MARKERS, STYLE

_GREYS = ('#8C8C8C', '#5A5A5A', '#B8B8B8')  # guesses stay in the background
_SHARE = 0.7  # of the room of a condition that its marks fill; the rest parts conditions
_DPI = 150


def draw_experiment(rows: Sequence[Row], guesses: Sequence[str], path: Path) -> None:
    """Draw absRel by condition, as predicted and median-scaled.

    Args:
        rows: Of `experiment.table_rows`.
        guesses: Methods that are not trained; drawn hollow and grey.
        path: The PNG; parents are made.
    """
    methods = list(dict.fromkeys(row['method'] for row in rows))
    trained = [method for method in methods if method not in guesses]
    conditions = list(dict.fromkeys(row['condition'] for row in rows))
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), layout='constrained')
        panels: Sequence[Axes] = figure.subplots(1, len(SCALINGS), sharey=True)
        for axes, scaling in zip(panels, SCALINGS.values(), strict=True):
            for number, method in enumerate(methods):
                found = [r for r in rows if (r['method'], r['scaling']) == (method, scaling)]
                offset = _SHARE * ((number + 0.5) / len(methods) - 0.5)
                places = np.array([conditions.index(row['condition']) for row in found]) + offset
                means = np.array([row['abs_rel'] for row in found])
                # Without an interval (one street) the mark stands alone.
                low, high = (
                    [row['abs_rel'] if row[end] is None else row[end] for row in found]
                    for end in ('abs_rel_low', 'abs_rel_high')
                )
                if method in guesses:
                    colour, fill = _GREYS[guesses.index(method) % len(_GREYS)], 'white'
                else:
                    colour = fill = COLOURS[trained.index(method) % len(COLOURS)]
                axes.errorbar(
                    places,
                    means,
                    # An interval by percentiles need not hold the mean.
                    yerr=np.maximum((means - low, high - means), 0),
                    fmt=MARKERS[number % len(MARKERS)],
                    color=colour,
                    markerfacecolor=fill,
                    markersize=6,
                    linewidth=1.4,
                    label=method,
                )
            axes.set_title(f'{scaling} depth')
            axes.set_xticks(range(len(conditions)), conditions)
            for border in np.arange(len(conditions) - 1) + 0.5:
                axes.axvline(border, color='#e4e4e4', linewidth=0.8)
            axes.grid(axis='x', visible=False)
            axes.set_ylim(bottom=0)
        panels[0].set_ylabel(f'{FIGURES["abs_rel"]}, mean and 95 % interval over streets')
        figure.legend(*panels[-1].get_legend_handles_labels(), loc='outside lower center', ncols=2)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=_DPI, metadata={'Software': None})
