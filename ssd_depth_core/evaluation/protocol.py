"""The protocol of a comparison: which pixels count, up to where, and which rows a table has."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition, CONDITIONS

Variant = Literal['plain', 'flip', 'scaled', 'flip-scaled']
"""As predicted; inverse depth averaged with the mirrored picture's; times median(truth) /
median(depth); both. md4all writes all four (its `pp` and `gt`)."""

GARG_ROWS = (0.40810811, 0.99189189)
"""Shares of the height between which KITTI's results are scored (Garg et al. 2016, as everybody
since monodepth has them)."""
GARG_COLUMNS = (0.03594771, 0.96405229)
"""Shares of the width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationConfig:
    """Say how predictions are scored."""

    seed: int = 0
    """Of the bootstrap."""
    min_depth_m: float = 0.1
    """Truth at or below is not scored; predictions are clamped to it."""
    caps_m: tuple[float, ...] = (80.0, 50.0)
    """Truth at or above is not scored and predictions are clamped; the first is the main one, for
    which everything besides the metrics is measured."""
    garg_crop: bool = False
    """Whether only the pixels of Garg's crop count, as on KITTI."""
    truth: Literal['lidar', 'exact'] = 'lidar'
    """Sparse LiDAR returns, or the exact depth of a rendered set."""
    flip: bool = True
    """Whether the mirrored picture is predicted too, for the variants that average both."""
    flicker: bool = True
    """Whether the frame before is predicted too; each of the two costs a prediction a frame."""
    replicates: int = 2000
    """Draws of scenes behind each confidence interval."""
    worst_frames: int = 8
    """Pictures of the largest errors on the page."""

    def __post_init__(self) -> None:
        """Validate ranges.

        Raises:
            ValueError: If a value is out of its range.
        """
        if not self.caps_m or not 0 < self.min_depth_m < min(self.caps_m):
            raise ValueError(
                f'0 < min_depth_m < caps_m must hold, got {self.min_depth_m} and {self.caps_m}'
            )
        if len(set(self.caps_m)) < len(self.caps_m):
            raise ValueError(f'caps_m must differ from each other, got {self.caps_m}')
        if self.replicates < 100:
            raise ValueError(
                f'replicates must be >= 100 for a 95 % interval, got {self.replicates}'
            )
        if self.worst_frames < 0:
            raise ValueError(f'worst_frames must be >= 0, got {self.worst_frames}')

    @property
    def main_cap_m(self) -> float:
        """The range that everything besides the metrics is measured in."""
        return self.caps_m[0]

    @property
    def what_counts(self) -> str:
        """Which pixels are measured, and how, in words: alike for results that compare."""
        crop = "Garg's crop" if self.garg_crop else 'whole picture'
        return f'{self.truth} truth from {self.min_depth_m:g} to {self.main_cap_m:g} m, {crop}'


def scored_pixels(
    truth: NDArray[np.floating], config: EvaluationConfig
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Choose the pixels that count for at least one cap.

    Args:
        truth: (H, W) [m]; NaN or inf where unknown.
        config: The ranges and the crop.

    Returns:
        Rows and columns, (N,) each, row by row.
    """
    # False where NaN, without a warning.
    valid = (truth > config.min_depth_m) & (truth < max(config.caps_m))
    if config.garg_crop:
        # Cut to whole pixels, as monodepth2's `astype(np.int32)`.
        top, bottom = (int(share * truth.shape[0]) for share in GARG_ROWS)
        left, right = (int(share * truth.shape[1]) for share in GARG_COLUMNS)
        valid[:top] = valid[bottom:] = False
        valid[:, :left] = valid[:, right:] = False
    # Several times as fast as `np.nonzero`, which was half of all scoring.
    rows, columns = np.divmod(np.flatnonzero(valid), truth.shape[1])
    return rows, columns


def rows_of(conditions: Iterable[Condition]) -> dict[str, frozenset[Condition]]:
    """Name a table's rows and say which conditions each holds.

    A row holds every condition that its name is part of, as md4all groups: `night` holds night and
    night-rain. Where that differs, `night-clear` is the nights without rain, in md4all's words.

    Args:
        conditions: Of the frames, in any order and number.

    Returns:
        `all`, then a row a condition; rows without a frame are left out.
    """
    present = frozenset(conditions)
    rows = {'all': present}
    for name in CONDITIONS:
        if held := frozenset(condition for condition in present if name in condition):
            rows[name] = held
    if {'night', 'night-rain'} <= present:
        rows['night-clear'] = frozenset({'night'})
    return rows
