"""What speaks for and against a picture showing its source's scene, window by window.

A depth network overlooks poles, and by night far more; so the pictures are compared too. Where
depth breaks, the source's picture breaks, and a faithful translation breaks there again, whatever
the light; what stands upright keeps its texture; on the road nothing new appears. Every figure is
taken in windows around the points of a coarse grid; some belong to the whole picture and are the
same everywhere, so that what the light does to all of it can be told from what is gone.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.geometry_scores import grid_size, missed_depth

Float = NDArray[np.float32]
Picture = NDArray[np.uint8]

STRIDE_PX = 8
"""Between the points, on the grid of `geometry_scores`."""
SMALL_PX, LARGE_PX, TALL_PX = (24, 24), (64, 48), (16, 48)
"""(width, height) of windows: of a sign or a far car, of a near car, of a pole."""
OUTLINE_RATIO = 1.25
"""Least ratio of depths across an outline."""
NEAR_RATIO, MIDDLE_RATIO, UPRIGHT_RATIO = 6.0, 12.0, 8.0
"""Times as far as the nearest twentieth of the scene, up to which outlines, and what stands
upright, count: fog and night hide the rest."""
UPRIGHT = 0.29
"""What depth grows by from row to row, as a share of what the road's grows by at the picture's
lower edge, at most: walls and cars stand, the road lies."""
DARKNESS = 16.0
"""Added to 8-bit brightness before its logarithm, so that noise in the dark is no edge."""
VISIBLE, FULL, MOST = 1.0, 2.0, 3.0
"""Times the usual gradient: from which on there is an edge, beyond which it is no clearer for a
loss, and where edges are cut."""
FLAT_PX = 9
"""From the road's edges at least half of it, to look for what is new on the road."""
EVIDENCE = {SMALL_PX: 12.0, TALL_PX: 12.0, LARGE_PX: 30.0}
"""Edge pixels of a window of which none is believed: a few lost ones are chance."""


def evidence(
    reference: Float, estimate: Float, source: Picture, picture: Picture
) -> dict[str, Float]:
    """Collect the evidence.

    Args:
        reference: Log depth of the source, on the grid of `geometry_scores`, (h, w).
        estimate: Log depth estimated in the picture, likewise.
        source: (H, W, 3) RGB, of any size.
        picture: Likewise.

    Returns:
        By name, (rows, columns) each, one value every `STRIDE_PX` pixels.
    """
    farther, nearer = missed_depth(reference, estimate)
    maps: dict[str, Float] = {}
    for name, missed in (('farther', farther), ('nearer', nearer)):
        maps[f'{name}, all'] = np.full_like(missed, missed.mean())
        maps[f'{name}, small'] = cv2.blur(missed, SMALL_PX)
        maps[f'{name}, large'] = cv2.blur(missed, LARGE_PX)
    before, after = _gradients(source), _gradients(picture)
    maps |= _lost_edges(reference, before, after)
    maps |= _new_on_road(reference, before, after)
    grey = cv2.cvtColor(_small(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    light = np.log(grey / 8 + 1)
    maps['light'] = cv2.blur(light, SMALL_PX)
    maps['light, all'] = np.full_like(light, light.mean())
    maps['contrast'] = 10 * cv2.blur(np.hypot(*after), SMALL_PX)
    maps['depth'] = cv2.blur(reference, SMALL_PX)
    half = STRIDE_PX // 2
    return {name: maps[name][half::STRIDE_PX, half::STRIDE_PX] for name in sorted(maps)}


def _lost_edges(reference: Float, before: list[Float], after: list[Float]) -> dict[str, Float]:
    """Compare edges where depth explains them: how many there are, and what share is lost."""
    near, middle, of_upright = (_outlines(reference, ratio) for ratio in _RATIOS)
    upright = _upright(reference) & (reference < math.log(UPRIGHT_RATIO))
    groups = {
        'near': (near, (SMALL_PX, TALL_PX, LARGE_PX)),
        'middle': (middle, (SMALL_PX, LARGE_PX)),
        'upright': ([upright | outline for outline in of_upright], (SMALL_PX, LARGE_PX)),
    }
    maps: dict[str, Float] = {}
    for unit in ('picture', 'place'):
        shown, left = (_edges(gradients, local=unit == 'place') for gradients in (before, after))
        for group, (places, windows) in groups.items():
            counted = [place & (edge > VISIBLE) for place, edge in zip(places, shown, strict=True)]
            count = np.sum(counted, 0, dtype=np.float32)
            gone = [
                one * np.maximum(np.minimum(edge, FULL) - rest, 0.0) / FULL
                for one, edge, rest in zip(counted, shown, left, strict=True)
            ]
            lost = np.sum(gone, 0, dtype=np.float32)
            share = float(lost.sum()) / max(float(count.sum()), 1.0)
            maps[f'{group}, {unit}, all'] = np.full_like(lost, share)
            for window in windows:
                # Texture is many times more than outlines.
                doubt = EVIDENCE[window] * (2.5 if group == 'upright' else 1.0)
                edges, losses = (
                    cv2.boxFilter(m, -1, window, normalize=False) for m in (count, lost)
                )
                name = f'{group}, {unit}, {_NAMES[window]}'
                maps[name] = losses / (edges + doubt)
                maps[f'{name}, excess'] = (losses - share * edges) / (edges + doubt)
                if unit == 'picture':
                    maps[f'{group}, number, {_NAMES[window]}'] = edges / (edges + doubt)
    return maps


_RATIOS = (NEAR_RATIO, MIDDLE_RATIO, UPRIGHT_RATIO)
_NAMES = {SMALL_PX: 'small', TALL_PX: 'tall', LARGE_PX: 'large'}


def _new_on_road(reference: Float, before: list[Float], after: list[Float]) -> dict[str, Float]:
    """Look for edges that the source does not have, on near surfaces that have no outline."""
    breaks = np.logical_or(*_steps(reference, 1.1)).astype(np.uint8)
    flat = cv2.dilate(breaks, np.ones((FLAT_PX, FLAT_PX), np.uint8)) == 0
    flat &= reference < math.log(UPRIGHT_RATIO)
    gained = [
        flat * np.maximum(edge - VISIBLE - 2 * old, 0.0)
        for old, edge in zip(_edges(before, local=False), _edges(after, local=False), strict=True)
    ]
    new = np.sum(gained, 0, dtype=np.float32)
    return {
        'new, all': np.full_like(new, new.mean()),
        'new, small': cv2.blur(new, SMALL_PX),
        'new, large': cv2.blur(new, LARGE_PX),
    }


def _steps(log_depth: Float, ratio: float) -> list[NDArray[np.bool_]]:
    """Find the pixels beyond which depth breaks, to the right and below."""
    return [
        np.abs(np.diff(log_depth, axis=axis, append=np.take(log_depth, [-1], axis)))
        > math.log(ratio)
        for axis in (1, 0)
    ]


def _outlines(log_depth: Float, nearer_than: float) -> list[NDArray[np.bool_]]:
    """Find the outlines of what is near, to the right and below."""
    near = log_depth < math.log(nearer_than)
    return [
        step & (near | np.roll(near, -1, axis))
        for step, axis in zip(_steps(log_depth, OUTLINE_RATIO), (1, 0), strict=True)
    ]


def _upright(log_depth: Float) -> NDArray[np.bool_]:
    """Find what stands: its depth hardly changes from row to row."""
    steepest = UPRIGHT * 2 / len(log_depth)  # the road's, half a picture below the horizon
    upright = np.zeros(log_depth.shape, bool)
    upright[2:-2] = np.abs(log_depth[4:] - log_depth[:-4]) < 4 * steepest
    return upright


def _small(picture: Picture) -> Picture:
    return np.asarray(
        cv2.resize(picture, grid_size(picture.shape), interpolation=cv2.INTER_AREA), np.uint8
    )


def _gradients(picture: Picture) -> list[Float]:
    """Measure how the logarithm of brightness changes to the right and below."""
    grey = cv2.cvtColor(_small(picture), cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(np.log(grey + DARKNESS), (0, 0), 1.0)
    return [cv2.Scharr(grey, -1, dx, 1 - dx) / 32 for dx in (1, 0)]


def _edges(gradients: list[Float], *, local: bool) -> list[Float]:
    """Count gradients in units of the picture's usual one, or of the place's.

    The greatest of 3 x 3 pixels counts, so that an edge may be misplaced by one.
    """
    size = np.hypot(*gradients)
    usual = cv2.blur(size, (41, 41)) + 0.01 if local else max(float(np.median(size)), 0.01)
    kernel = np.ones((3, 3), np.uint8)
    return [cv2.dilate(np.minimum(np.abs(g) / usual, MOST), kernel) for g in gradients]
