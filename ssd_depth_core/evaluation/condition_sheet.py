"""A figure of two methods in good and bad light: one instant, a row a condition."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.evaluation.pictures import (
    colour_confidence,
    colour_depth,
    colour_error,
    error_map,
    FARTHEST_M,
)
from ssd_depth_core.evaluation.plots import (
    draw_confidence_scale,
    draw_depth_scale,
    draw_error_scale,
    STYLE,
)
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.resample import sample_aligned

COLUMNS = ('input', 'teacher', 'student', 'exact depth', "student's error", "student's confidence")
"""From the left."""
GREY = (212, 212, 212)
"""RGB of what has no depth to show or to be held against: the sky, and what is too far. It is in
none of the scales."""

# Inches. A README shows the figure at about half of its pixels, so that 11 pt reads as 12 px.
_WIDTH, _DPI = 12.0, 150
_LEFT, _HEAD, _GAP = 0.27, 0.27, 0.04
_SCALE, _SCALE_LABEL, _CAPTION = 0.12, 0.47, 0.33
_INSET = 0.14  # of a scale, or the numbers at its ends would meet those of the next
_CELL = (_WIDTH - _LEFT - (len(COLUMNS) - 1) * _GAP) / len(COLUMNS)
_LOOK: dict[Any, Any] = STYLE | {
    'font.size': 11,
    'axes.titlesize': 11,
    'axes.labelsize': 10,
    'axes.linewidth': 0.6,
    'axes.grid': False,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SheetRow:
    """Hold one condition of the instant."""

    condition: str
    """Written beside the row."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    teacher: Prediction
    """Of this image."""
    student: Prediction
    """Of this image."""
    truth: NDArray[np.floating]
    """(H, W) [m]; NaN or inf where there is none."""


def draw_condition_sheet(
    rows: Sequence[SheetRow], caption: str, path: Path, config: EvaluationConfig
) -> None:
    """Draw the figure; every depth in it has the same colours.

    Args:
        rows: From the top, at least one, all of one size.
        caption: What is shown and how it was chosen, one line.
        path: The PNG; parents are made.
        config: Says which pixels are scored.
    """
    height, width = rows[0].truth.shape
    cell_height = _CELL * height / width
    pictures = len(rows) * (cell_height + _GAP)
    total = _HEAD + pictures + _SCALE + _SCALE_LABEL + _CAPTION
    with rc_context(_LOOK):
        figure = Figure(figsize=(_WIDTH, total))

        def place(
            column: int, top: float, height: float, columns: int = 1, inset: float = 0
        ) -> Axes:
            left = _LEFT + column * (_CELL + _GAP) + inset
            span = columns * (_CELL + _GAP) - _GAP - 2 * inset
            bottom = total - top - height
            shares = (left / _WIDTH, bottom / total, span / _WIDTH, height / total)
            return figure.add_axes(shares)

        for number, row in enumerate(rows):
            for column, cell in enumerate(_cells(row, config)):
                top = _HEAD + number * (cell_height + _GAP)
                axes = place(column, top, cell_height)
                _show(axes, *cell)
                if number == 0:
                    axes.set_title(COLUMNS[column], pad=5)
                if column == 0:
                    axes.set_ylabel(row.condition, fontsize=11, labelpad=3)
        top = _HEAD + pictures + 2 * _GAP
        _grey_key(place(0, top, _SCALE))
        label = 'depth [m], one scale for all three'
        draw_depth_scale(place(1, top, _SCALE, columns=3, inset=_INSET), label)
        draw_error_scale(place(4, top, _SCALE, inset=_INSET), r'$|d - d^*|\,/\,d^*$')
        label = 'P(within a factor of 1.25)'
        draw_confidence_scale(place(5, top, _SCALE, inset=_INSET), label)
        figure.text(0.5, 0.05 / total, caption, ha='center', va='bottom', fontsize=10)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=_DPI, metadata={'Software': None})


def _cells(row: SheetRow, config: EvaluationConfig) -> list[tuple[NDArray[np.uint8] | None, str]]:
    """Colour a row's pictures, each with the words that are written into it."""
    errors = [error_map(said.depth, row.truth, config) for said in (row.teacher, row.student)]
    teacher, student = (f'absRel {np.nanmean(error):.3f}' for error in errors)
    scored = ~np.isnan(errors[1])
    error = np.full((*row.truth.shape, 3), GREY, np.uint8)
    error[scored] = colour_error(errors[1][scored])
    confidence = None
    if row.student.confidence is not None:
        rows, columns = np.nonzero(scored)
        sure = sample_aligned(row.student.confidence, rows, columns, scored.shape)
        confidence = np.full_like(error, GREY)
        confidence[rows, columns] = colour_confidence(sure)
    return [
        (row.image, ''),
        (_depth(row.teacher.depth), teacher),
        (_depth(row.student.depth), student),
        (_depth(row.truth), ''),
        (error, student),
        (confidence, '' if confidence is not None else 'this network\nsays nothing of it'),
    ]


def _depth(depth: NDArray[np.floating]) -> NDArray[np.uint8]:
    colours = colour_depth(depth)
    with np.errstate(invalid='ignore'):
        colours[~(depth < FARTHEST_M)] = GREY
    return colours


def _show(axes: Axes, picture: NDArray[np.uint8] | None, words: str) -> None:
    """Fill a cell: a picture and its figure, or the words that say why there is none."""
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if picture is None:
        axes.set_facecolor('#eeeeee')
        axes.text(0.5, 0.5, words, ha='center', va='center', transform=axes.transAxes)
        return
    axes.imshow(picture, aspect='auto', interpolation='antialiased')
    if words:
        box = {'facecolor': 'black', 'alpha': 0.65, 'linewidth': 0, 'pad': 2.5}
        place = axes.transAxes
        axes.text(0.02, 0.965, words, transform=place, color='white', size=10, va='top', bbox=box)


def _grey_key(axes: Axes) -> None:
    axes.axis('off')
    colour, place = f'#{bytes(GREY).hex()}', axes.transAxes
    axes.add_patch(Rectangle((0, 0), 0.12, 1, facecolor=colour, transform=place))
    axes.text(0.15, 0.5, f'sky, or beyond {FARTHEST_M:g} m', va='center', size=10, transform=place)
