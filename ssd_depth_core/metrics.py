"""The field's depth metrics, per image, on plain arrays."""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthMetrics:
    """Hold the errors of one image, or their mean over images."""

    abs_rel: float
    """Mean of |d - d*| / d*."""
    sq_rel: float
    """Mean of (d - d*)^2 / d* [m]."""
    rmse: float
    """Root of the mean of (d - d*)^2 [m]."""
    rmse_log: float
    """Root of the mean of (ln d - ln d*)^2."""
    a1: float
    """Share of pixels with max(d / d*, d* / d) < 1.25, in [0, 1]."""
    a2: float
    """Same below 1.25^2."""
    a3: float
    """Same below 1.25^3."""


def depth_metrics(
    depth: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    min_depth_m: float = 0.1,
    max_depth_m: float = 80.0,
    median_scaled: bool = False,
) -> DepthMetrics | None:
    """Compare a predicted depth with the true one.

    The order is md4all's: choose valid truth, scale by the medians where asked, clamp the
    prediction, measure. A NaN in the prediction ('beyond range') counts as `max_depth_m` in the
    median and in the score, so that a method cannot raise its figures by leaving pixels out.

    Args:
        depth: Predicted, any shape [m].
        truth: True, same shape [m]; NaN or a value outside the range where unknown.
        min_depth_m: Truth at or below is not scored.
        max_depth_m: Truth at or above is not scored.
        median_scaled: Whether to multiply the prediction by median(truth) / median(depth).

    Returns:
        The metrics, or None where no pixel of the truth is valid.

    Raises:
        ValueError: If the shapes differ, or the median to scale by is not positive.
    """
    pairs = scored_pairs(
        depth,
        truth,
        min_depth_m=min_depth_m,
        max_depth_m=max_depth_m,
        median_scaled=median_scaled,
    )
    return None if pairs is None else errors_of(*pairs)


def scored_pairs(
    depth: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    min_depth_m: float = 0.1,
    max_depth_m: float = 80.0,
    median_scaled: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Bring depth and truth to the values that are compared; see `depth_metrics`.

    Args:
        depth: Predicted, any shape [m].
        truth: True, same shape [m]; NaN or a value outside the range where unknown.
        min_depth_m: Truth at or below is not scored.
        max_depth_m: Truth at or above is not scored.
        median_scaled: Whether to multiply the prediction by median(truth) / median(depth).

    Returns:
        Depth, scaled and clamped, and truth, (N,) each [m]; None where no pixel is valid.

    Raises:
        ValueError: If the shapes differ, or the median to scale by is not positive.
    """
    if depth.shape != truth.shape:
        raise ValueError(f'depth and truth must have one shape, got {depth.shape}, {truth.shape}')
    with np.errstate(invalid='ignore'):
        valid = (truth > min_depth_m) & (truth < max_depth_m)
    if not valid.any():
        return None
    d = depth[valid].astype(np.float64)
    t = truth[valid].astype(np.float64)
    beyond = np.isnan(d) | np.isposinf(d)
    d[beyond] = max_depth_m
    if median_scaled:
        median = np.median(d)
        if median <= 0:
            raise ValueError(f'depth must have a median > 0 m to be scaled by, got {median:g}')
        d *= np.median(t) / median
        d[beyond] = max_depth_m
    return np.clip(d, min_depth_m, max_depth_m), t


def errors_of(d: NDArray[np.float64], t: NDArray[np.float64]) -> DepthMetrics:
    """Measure depths that were brought to values to compare.

    Args:
        d: Predicted, (N,), at least one, positive [m].
        t: True, same shape, positive [m].

    Returns:
        The metrics over these values.
    """
    ratio = np.maximum(d / t, t / d)
    return DepthMetrics(
        abs_rel=float(np.mean(np.abs(d - t) / t)),
        sq_rel=float(np.mean((d - t) ** 2 / t)),
        rmse=float(np.sqrt(np.mean((d - t) ** 2))),
        rmse_log=float(np.sqrt(np.mean(np.log(d / t) ** 2))),
        a1=float(np.mean(ratio < 1.25)),
        a2=float(np.mean(ratio < 1.25**2)),
        a3=float(np.mean(ratio < 1.25**3)),
    )


def mean_metrics(per_image: list[DepthMetrics]) -> DepthMetrics:
    """Average metrics over images, each image counting once.

    Args:
        per_image: At least one.

    Returns:
        The plain mean of every field.

    Raises:
        ValueError: If the list is empty.
    """
    if not per_image:
        raise ValueError('no image had valid true depth, so there is nothing to average')
    names = [field.name for field in fields(DepthMetrics)]
    return DepthMetrics(
        **{name: float(np.mean([getattr(m, name) for m in per_image])) for name in names}
    )
