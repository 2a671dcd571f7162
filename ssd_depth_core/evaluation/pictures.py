"""Draw a frame beside what was predicted for it, what is true, and the error between both."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.evaluation.frame_score import FrameScore
from ssd_depth_core.evaluation.predictions import PredictionSource
from ssd_depth_core.evaluation.protocol import EvaluationConfig, scored_pixels
from ssd_depth_core.evaluation.resample import sample_aligned
from ssd_depth_core.evaluation.run import ReadTruth

WIDTH = 480
"""Pixels of each of the four pictures."""
NEAREST_M, FARTHEST_M = 2.0, 80.0
"""Ends of the depth colours, on a logarithmic scale."""
WORST_ERROR = 0.5
"""Relative error in the brightest colour."""
_SPARSE = 0.05  # below this share of pixels with truth, they are drawn as dots
_DOT_PX = 2
_GAP = 4
# Even steps of lightness, also to the colour-blind: bright is near, wrong, sure.
_DEPTH_MAP, _ERROR_MAP = cv2.COLORMAP_VIRIDIS, cv2.COLORMAP_INFERNO
_CONFIDENCE_MAP = cv2.COLORMAP_CIVIDIS


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFrame:
    """Hold a drawing and its caption."""

    caption: str
    """One line."""
    drawing: NDArray[np.uint8]
    """(H, W, 3) RGB, as `draw_frame` gives."""


def draw_worst(
    frames: Sequence[FrameScore],
    lines: Sequence[IndexLine],
    source: FrameSource,
    read_truth: ReadTruth,
    predictions: PredictionSource,
    config: EvaluationConfig,
) -> list[ShownFrame]:
    """Draw the frames with the largest errors.

    Args:
        frames: Scored.
        lines: Of the index.
        source: Of the pictures.
        read_truth: What predictions are held against.
        predictions: Of the method.
        config: Says how many and what counts.

    Returns:
        As `worst_frames` chooses.
    """
    line_of = {line.id: line for line in lines}
    shown = []
    for frame in worst_frames(frames, config.worst_frames):
        line = line_of[frame.id]
        prediction = predictions.predict(line)
        assert prediction is not None  # it was scored
        image = source.read_image(line)
        drawing = draw_frame(image, prediction.depth, read_truth(line), config)
        shown.append(ShownFrame(caption=_caption(frame), drawing=drawing))
    return shown


def worst_frames(frames: Sequence[FrameScore], count: int) -> list[FrameScore]:
    """Choose the frames to look at: the worst of each condition in turn.

    Args:
        frames: Scored.
        count: How many.

    Returns:
        At most `count`, by plain absRel at the main cap, in the order of conditions.
    """
    queues: dict[str, list[FrameScore]] = {}
    for frame in sorted(frames, key=lambda frame: frame.scores[0].metrics.abs_rel):
        queues.setdefault(frame.condition, []).append(frame)
    chosen: list[FrameScore] = []
    while len(chosen) < count and any(queues.values()):
        chosen += [queue.pop() for queue in queues.values() if queue]
    return sorted(chosen[:count], key=lambda frame: frame.condition)


def draw_frame(
    image: NDArray[np.uint8],
    depth: NDArray[np.floating],
    truth: NDArray[np.floating],
    config: EvaluationConfig,
) -> NDArray[np.uint8]:
    """Draw input, prediction, truth over the input, and relative error over the input.

    Args:
        image: (H, W, 3) RGB.
        depth: Predicted, (h, w) over the whole picture [m]; NaN beyond range.
        truth: (H, W) [m]; NaN or inf where unknown.
        config: Says which pixels are scored.

    Returns:
        (H', 4 * `WIDTH` + gaps, 3) RGB; black: beyond range.
    """
    size = (WIDTH, round(WIDTH * image.shape[0] / image.shape[1]))
    picture = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    predicted = cv2.resize(colour_depth(depth), size, interpolation=cv2.INTER_NEAREST)
    error = error_map(depth, truth, config)
    seen = ~np.isnan(error)
    overlay = _dots if seen.sum() < _SPARSE * truth.size else _area
    # Dim and grey, so that the colours are those of the values alone.
    grey = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None] // 2, 3, axis=2)
    cells = [
        picture,
        predicted,
        overlay(grey, seen, colour_depth(truth[seen])),
        overlay(grey, seen, colour_error(error[seen])),
    ]
    gap = np.full((size[1], _GAP, 3), 255, np.uint8)
    return np.hstack([part for cell in cells for part in (cell, gap)][:-1])


def error_map(
    depth: NDArray[np.floating], truth: NDArray[np.floating], config: EvaluationConfig
) -> NDArray[np.float64]:
    """Measure relative errors where they are scored.

    Args:
        depth: Predicted, (h, w) over the whole picture [m]; NaN beyond range.
        truth: (H, W) [m]; NaN or inf where unknown.
        config: Says which pixels are scored, and up to where.

    Returns:
        |d - d*| / d*, (H, W); NaN where nothing is scored. The mean of the others is the frame's
        plain absRel where the main cap is the largest.
    """
    rows, columns = scored_pixels(truth, config)
    t = truth[rows, columns].astype(np.float64)
    d = np.nan_to_num(sample_aligned(depth, rows, columns, truth.shape), nan=config.main_cap_m)
    d = np.clip(d, config.min_depth_m, config.main_cap_m)
    errors = np.full(truth.shape, np.nan)
    errors[rows, columns] = np.abs(d - t) / t
    return errors


def colour_depth(depth: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour depth, near bright and far dark.

    Args:
        depth: Any shape [m]; NaN or inf where beyond range.

    Returns:
        Same shape and 3 more, RGB; black where beyond range.
    """
    known = np.isfinite(depth)
    clipped = np.clip(np.where(known, depth, FARTHEST_M), NEAREST_M, FARTHEST_M)
    colours = _coloured(np.log(FARTHEST_M / clipped) / np.log(FARTHEST_M / NEAREST_M), _DEPTH_MAP)
    colours[~known] = 0
    return colours


def colour_error(error: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour relative errors, small dark and large bright.

    Args:
        error: Any shape, at least 0.

    Returns:
        Same shape and 3 more, RGB.
    """
    return _coloured(np.minimum(error / WORST_ERROR, 1.0), _ERROR_MAP)


def colour_confidence(confidence: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colour confidence, unsure dark and sure bright.

    Args:
        confidence: Any shape, in [0, 1].

    Returns:
        Same shape and 3 more, RGB.
    """
    return _coloured(confidence, _CONFIDENCE_MAP)


def _coloured(share: NDArray[np.floating], colour_map: int) -> NDArray[np.uint8]:
    levels = np.arange(256, dtype=np.uint8)[:, None]
    table = np.asarray(cv2.applyColorMap(levels, colour_map))[:, 0, ::-1]
    return np.asarray(table[np.rint(share * 255).astype(np.uint8)], np.uint8)


def _dots(
    picture: NDArray[np.uint8], seen: NDArray[np.bool_], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Draw sparse values, one colour a seen pixel, on a copy of a picture of another size."""
    canvas = picture.copy()
    scale = np.array(picture.shape[:2]) / seen.shape
    centres = ((np.argwhere(seen) + 0.5) * scale).astype(int)
    for (row, column), colour in zip(centres.tolist(), colours.tolist(), strict=True):
        cv2.circle(canvas, (column, row), _DOT_PX, colour, cv2.FILLED)
    return canvas


def _area(
    picture: NDArray[np.uint8], seen: NDArray[np.bool_], colours: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Do as `_dots` with values that lie pixel by pixel."""
    size = picture.shape[1::-1]
    spread = np.zeros((*seen.shape, 3), np.uint8)
    spread[seen] = colours
    spread = cv2.resize(spread, size, interpolation=cv2.INTER_NEAREST)
    shown = cv2.resize(seen.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return np.where(shown[..., None], spread, picture)


def _caption(frame: FrameScore) -> str:
    errors = frame.scores[0].metrics
    return (
        f'{frame.condition}: {frame.id}; absRel {errors.abs_rel:.3f}, RMSE {errors.rmse:.2f} m, '
        f'δ1 {errors.a1:.3f}, {frame.pixels} pixels'
    )
