"""Draw what the node saw and said: input, depth, exact depth and error, side by side."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.runtime.colormap import colorize, legend

CELL_WIDTH = 340
GAP = 8
HEADER = 34
CAPTION = 24
INK, PAPER, FAINT = (30, 30, 30), (255, 255, 255), (110, 110, 110)
WORST_ERROR = 0.5
"""Relative error shown in the brightest colour: half the true distance."""
SCORED_TO_M = 80.0
"""Where `ssd_depth_core.metrics` stops scoring, and the depth it takes NaN for."""
_FONT = cv2.FONT_HERSHEY_DUPLEX
# Inferno runs from black (right) to pale yellow (wrong), so that errors are what catches the eye.
_INFERNO = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[
    :, 0, ::-1
].copy()
_UNSCORED = (70, 78, 92)


@dataclass(frozen=True, kw_only=True, slots=True)
class Instant:
    """Hold one row of the sheet."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB input."""
    depth: NDArray[np.float32]
    """(h, w) as published [m]; NaN where unknown."""
    truth: NDArray[np.float32]
    """(a, b) exact depth [m]; inf in the sky, NaN where unknown."""
    sampled: NDArray[np.float32]
    """(a, b) `depth` looked up at the pixels of the truth [m]."""
    caption: str
    """One line below the row."""


def draw_sheet(instants: list[Instant], title: str) -> NDArray[np.uint8]:
    """Draw rows of pictures with legends for metres and error.

    Args:
        instants: At least one; of one camera.
        title: One line on top.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    height, width = instants[0].image.shape[:2]
    cell = (CELL_WIDTH, round(CELL_WIDTH * height / width))
    body = np.vstack([_row(instant, cell) for instant in instants])
    table = np.vstack([_headers(), body])
    scales = _scales(table.shape[0] - HEADER)
    right = np.vstack([np.full((HEADER, scales.shape[1], 3), PAPER, np.uint8), scales])
    sheet = np.hstack([table, right])
    top = np.full((44, sheet.shape[1], 3), PAPER, np.uint8)
    _write(top, title, (GAP, 30), 0.7, INK)
    return np.vstack([top, sheet])


def relative_error(sampled: NDArray[np.float32], truth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Colour |d - d*| / d* from black (none) to pale yellow (`WORST_ERROR` and more).

    Args:
        sampled: Depth [m]; NaN is drawn as the `SCORED_TO_M` that the metrics take it for.
        truth: Exact depth of the same shape [m].

    Returns:
        Same shape and 3 more, uint8 RGB; slate grey where the metrics do not look.
    """
    with np.errstate(invalid='ignore'):
        scored = truth < SCORED_TO_M
        error = np.abs(np.nan_to_num(sampled, nan=SCORED_TO_M) - truth) / truth
    share = np.where(scored, np.clip(error / WORST_ERROR, 0.0, 1.0), 0.0)
    colours = _INFERNO[(share * 255.0).astype(np.uint8)]
    colours[~scored] = _UNSCORED
    return colours


def _row(instant: Instant, cell: tuple[int, int]) -> NDArray[np.uint8]:
    pictures = (
        cv2.resize(instant.image, cell, interpolation=cv2.INTER_AREA),
        *(
            cv2.resize(colours, cell, interpolation=cv2.INTER_NEAREST)
            for colours in (
                colorize(instant.depth),
                colorize(instant.truth),
                relative_error(instant.sampled, instant.truth),
            )
        ),
    )
    padded = [
        cv2.copyMakeBorder(picture, 0, CAPTION, GAP, 0, cv2.BORDER_CONSTANT, value=PAPER)
        for picture in pictures
    ]
    row = np.hstack(padded)
    _write(row, instant.caption, (GAP, cell[1] + 17), 0.45, FAINT)
    return row


def _headers() -> NDArray[np.uint8]:
    names = {
        'input': '',
        'depth of the node': 'black: beyond range',
        'exact depth': 'black: sky',
        'relative error': 'grey: not scored',
    }
    header = np.full((HEADER, len(names) * (CELL_WIDTH + GAP), 3), PAPER, np.uint8)
    for column, (name, note) in enumerate(names.items()):
        left = column * (CELL_WIDTH + GAP) + GAP
        _write(header, name, (left, 22), 0.6, INK)
        _write(header, note, (left + CELL_WIDTH - 8 * len(note), 22), 0.4, FAINT)
    return header


def _scales(height: int) -> NDArray[np.uint8]:
    """Draw both legends one above the other."""
    metres = legend(height // 2 - 4 * GAP)
    errors = np.full_like(metres, 255)
    errors[:, :20] = _INFERNO[np.linspace(255, 0, len(errors)).astype(np.uint8)][:, None]
    for percent in (0, 10, 20, 30, 40, 50):
        row = round((len(errors) - 1) * (1.0 - percent / 100 / WORST_ERROR))
        _write(errors, f'{percent} %', (24, min(max(row + 4, 10), len(errors) - 2)), 0.4, INK)
    scales = np.full((height, metres.shape[1] + 2 * GAP, 3), PAPER, np.uint8)
    scales[: len(metres), 2 * GAP :] = metres
    scales[-len(errors) - CAPTION : -CAPTION, 2 * GAP :] = errors
    return scales


def _write(
    canvas: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    size: float,
    colour: tuple[int, int, int],
) -> None:
    cv2.putText(canvas, text, origin, _FONT, size, colour, 1, cv2.LINE_AA)
