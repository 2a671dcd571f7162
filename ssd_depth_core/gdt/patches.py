"""High-resolution depth: a network looks at patches one by one, and their answers are joined.

A network sees a whole picture at a few hundred pixels. Cut into patches, it sees every pixel, but
each answer has a scale and a shift of its own. The answer for the whole picture, coarse but of one
piece, tells what they are.

Reference: Li, Bhat, Wonka, PatchFusion, 2023, arXiv 2312.02284, for the tilings.
Differs: the paper joins coarse and fine by a trained network; here a fit and a blend do, which
needs no weights of its own. `Fusion` is where such a network takes their place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.depth_estimator import DepthEstimator, EstimatedDepth

Tiling = Literal['p16', 'p49']

PATCHES_PER_SIDE = {'p16': 4, 'p49': 7}
"""Each a quarter of the picture's side. `p16` lie side by side; `p49` adds those shifted by half a
patch across (12), down (12) and both ways (9), which is a grid at half a patch's stride."""

RAMP = {'p16': 1 / 8, 'p49': 1 / 2}
"""Share of a patch's side over which its weight rises from 0 to 1. Half: the weights of patches at
half a stride sum to one. Patches side by side leave their borders to the coarse map, and an eighth
keeps that strip narrow."""

MIN_SIDE = 32
"""Pixels of a picture that can be cut: patches of fewer than 8 say little of scale and shift."""

CELL_PX = 4
"""Side of the cells over which patches are averaged for the fit. The coarse map is a quarter as
fine; averaged to what both resolve, the two differ by scale and shift alone."""

FIT_ROUNDS = 5
FIT_KEPT = 0.8
"""Share of the cells that are fitted: a fifth may be wrong, such as an edge that lies elsewhere
in the coarse map, or a pole that it lacks."""

MIN_CORRELATION = 0.7
"""Between patch and coarse map, in the cells kept. Below, the patch explains less than half of the
coarse map's variance, as noise does, whose best four fifths reach 0.5; below 0, it has near and
far the wrong way round."""

MAX_SCALE_CHANGE = 4.0
"""Between the first guess, from all cells, and the fit. Beyond, what was kept is next to flat and
its scale would blow up what was left out."""

Estimate = Callable[
    [Sequence[NDArray[np.uint8]], Sequence[NDArray[np.float64]]], list[EstimatedDepth]
]
"""As `DepthEstimator.estimate`."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Hold where a patch lies in its picture, pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, to index (H, W, ...) with."""
        return (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )


class Fusion(Protocol):
    """Join a coarse map and the estimates of patches, by computing as here or by a network."""

    def __call__(
        self,
        picture: NDArray[np.uint8],
        coarse: NDArray[np.float32],
        patches: Sequence[NDArray[np.float32]],
        tiling: Tiling,
    ) -> NDArray[np.float32]:
        """Join.

        `picture` is (H, W, 3), `coarse` its (H, W) inverse depth; `patches` are those of
        `tiles_of`, in that order, each with a scale and a shift of its own. Gives (H, W) inverse
        depth in the coarse map's unit.
        """
        ...


def estimate_in_patches(
    estimate: Estimate,
    pictures: Sequence[NDArray[np.uint8]],
    K: Sequence[NDArray[np.float64]],
    tiling: Tiling,
    fuse: Fusion | None = None,
) -> list[EstimatedDepth]:
    """Estimate depth of the whole pictures and of their patches, and join the two.

    Args:
        estimate: The network, asked for all the pictures first, then for each one's patches.
        pictures: (H, W, 3) RGB, all of one size.
        K: (3, 3) each, pixels of the pictures.
        tiling: `p16` or `p49`; so many patches a picture.
        fuse: How they are joined; None: `fuse_aligned`.

    Returns:
        One a picture, metric where the network's answer for the whole picture is.

    Raises:
        ValueError: If a picture is smaller than 32 pixels a side.
    """
    fuse = fuse or fuse_aligned
    fused = []
    for picture, matrix, coarse in zip(pictures, K, estimate(pictures, K), strict=True):
        tiles = tiles_of((picture.shape[0], picture.shape[1]), tiling)
        patches = estimate(
            [picture[tile.slices] for tile in tiles], [_cropped(matrix, tile) for tile in tiles]
        )
        inverse_depth = fuse(
            picture, coarse.inverse_depth, [patch.inverse_depth for patch in patches], tiling
        )
        fused.append(EstimatedDepth(inverse_depth, metric=coarse.metric))
    return fused


class InPatches:
    """Estimate high-resolution depth with another estimator; a `DepthEstimator`."""

    def __init__(self, estimator: DepthEstimator, tiling: Tiling) -> None:
        """Wrap it.

        Args:
            estimator: Looks at whole pictures and at patches.
            tiling: How pictures are cut.
        """
        self.models = estimator.models
        self._estimate = estimator.estimate
        self._tiling: Tiling = tiling

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels.

        Returns:
            One a picture.
        """
        return estimate_in_patches(self._estimate, pictures, K, self._tiling)


def tiles_of(size: tuple[int, int], tiling: Tiling) -> list[Tile]:
    """Cut a picture into patches of one size.

    Args:
        size: (H, W), pixels.
        tiling: `p16` or `p49`.

    Returns:
        Row by row. They cover the picture; sides that are no multiple of 8 pixels are met by
        patches that overlap by a pixel more or less.

    Raises:
        ValueError: If a side is shorter than 32 pixels.
    """
    if min(size) < MIN_SIDE:
        raise ValueError(
            f'pictures cut into patches must have at least {MIN_SIDE}x{MIN_SIDE} pixels, got '
            f'{size[0]}x{size[1]}; set depth.tiling to null'
        )
    height, width = (_patch_side(side) for side in size)
    return [
        Tile(top, left, height, width)
        for top in _starts(size[0], tiling)
        for left in _starts(size[1], tiling)
    ]


def blend_weights(side: int, tiling: Tiling) -> NDArray[np.float64]:
    """Weigh the patches along one side of the picture; a patch's weight is rows times columns.

    Args:
        side: Of the picture, pixels.
        tiling: `p16` or `p49`.

    Returns:
        (patches a side, pixels of a patch), in [0, 1]. At every pixel of the side they sum to at
        most 1; what is missing is the coarse map's share, nothing for `p49` where the side is a
        multiple of 8. They fall smoothly to 0 at a patch's borders, except at the picture's.
    """
    patch = _patch_side(side)
    starts = _starts(side, tiling)
    progress = (np.arange(patch) + 0.5) / (RAMP[tiling] * patch)
    rise = np.sin(np.pi / 2 * progress.clip(0, 1)) ** 2
    weights = np.tile(rise * rise[::-1], (len(starts), 1))
    # What has no neighbour need not make room for one.
    weights[0] = rise[::-1]
    weights[-1] = rise
    total = np.zeros(side)
    for start, weight in zip(starts, weights, strict=True):
        total[start : start + patch] += weight
    for start, weight in zip(starts, weights, strict=True):
        weight /= np.maximum(total[start : start + patch], 1)
    return weights


def fuse_aligned(
    picture: NDArray[np.uint8],
    coarse: NDArray[np.float32],
    patches: Sequence[NDArray[np.float32]],
    tiling: Tiling,
) -> NDArray[np.float32]:
    """Bring every patch to the coarse map's scale and shift, and blend them into it.

    Args:
        picture: (H, W, 3); nothing is read from it here.
        coarse: (H, W) inverse depth of the whole picture.
        patches: Inverse depth of each of `tiles_of`, in its order.
        tiling: `p16` or `p49`.

    Returns:
        (H, W) inverse depth in the coarse map's unit, not below 0. The coarse map stays where a
        patch cannot be aligned with it.
    """
    tiles = tiles_of((coarse.shape[0], coarse.shape[1]), tiling)
    rows, columns = (blend_weights(side, tiling) for side in coarse.shape)
    fused = coarse.astype(np.float64)
    weights = (row[:, None] * column for row in rows for column in columns)
    for tile, patch, weight in zip(tiles, patches, weights, strict=True):
        aligned = align(patch, coarse[tile.slices])
        if aligned is not None:
            fused[tile.slices] += weight * (aligned - coarse[tile.slices])
    return fused.clip(min=0).astype(np.float32)


def align(patch: NDArray[np.floating], coarse: NDArray[np.floating]) -> NDArray[np.float64] | None:
    """Bring a patch to the scale and the shift of the coarse map under it.

    By least squares over averaged cells, refitted to those that agree best; the first guess are
    MiDaS's medians and mean deviations, which a few wild cells do not turn round.

    Args:
        patch: (h, w) inverse depth with a scale and a shift of its own.
        coarse: (h, w) inverse depth of the same pixels.

    Returns:
        (h, w) in the coarse map's unit; None where the two have too little in common: either is
        flat, or nearly so; near and far are swapped; they hardly correlate; or either is not
        finite.
    """
    cells = (patch.shape[1] // CELL_PX, patch.shape[0] // CELL_PX)
    x, y = (
        cv2.resize(values.astype(np.float64), cells, interpolation=cv2.INTER_AREA).ravel()
        for values in (patch, coarse)
    )
    if not np.isfinite(x + y).all() or _is_flat(x) or _is_flat(y):
        return None
    guess = scale = _mean_deviation(y) / _mean_deviation(x)
    shift = np.median(y) - scale * np.median(x)
    num_kept = math.ceil(FIT_KEPT * x.size)
    for _ in range(FIT_ROUNDS):
        kept = np.argsort(np.abs(scale * x + shift - y), kind='stable')[:num_kept]
        if _is_flat(x[kept]) or _is_flat(y[kept]):
            return None
        (x_variance, covariance), (_, y_variance) = np.cov(x[kept], y[kept])
        scale = covariance / x_variance
        shift = y[kept].mean() - scale * x[kept].mean()
    if covariance < MIN_CORRELATION * np.sqrt(x_variance * y_variance):
        return None
    if not 1 / MAX_SCALE_CHANGE <= scale / guess <= MAX_SCALE_CHANGE:
        return None
    return scale * patch.astype(np.float64) + shift


def _mean_deviation(values: NDArray[np.float64]) -> float:
    return float(np.abs(values - np.median(values)).mean())


def _is_flat(values: NDArray[np.float64]) -> bool:
    """Say whether values differ by no more than float32 rounds."""
    return bool(np.ptp(values) <= 1e-6 * np.abs(values).max())


def _patch_side(side: int) -> int:
    return math.ceil(side / PATCHES_PER_SIDE['p16'])


def _starts(side: int, tiling: Tiling) -> list[int]:
    last = PATCHES_PER_SIDE[tiling] - 1
    return [round(i * (side - _patch_side(side)) / last) for i in range(last + 1)]


def _cropped(K: NDArray[np.float64], tile: Tile) -> NDArray[np.float64]:
    """Give the intrinsics of a patch: its focal lengths are the picture's."""
    cropped = np.array(K, np.float64)
    cropped[0, 2] -= tile.left
    cropped[1, 2] -= tile.top
    return cropped
