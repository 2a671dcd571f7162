"""Confidence intervals by drawing scenes, the only independent samples that a drive gives.

Frames of one scene show the same street and weather: drawing frames would take a scene of 40 for
40 witnesses and give intervals that are far too narrow.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.nuscenes_splits import street_of

LEVEL = 0.95
"""Share of the draws inside an interval."""


def mean_and_interval(
    values: NDArray[np.floating], scenes: Sequence[str], *, seed: int, replicates: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Average over frames, with percentile intervals by bootstrap over scenes.

    A draw takes as many scenes as there are, with replacement, and averages all their frames. The
    same seed draws the same scenes, whatever is averaged.

    Args:
        values: (N, M), M figures of N frames; NaN where a frame does not have one.
        scenes: N names; twins of one rendered street are drawn together.
        seed: Of the draws.
        replicates: Number of draws.

    Returns:
        Means, (M,), NaN where no frame has a value, and intervals, (2, M), low and high, NaN where
        fewer than two scenes have one; None instead of intervals where there is but one scene,
        from which no spread can be told.

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13 (percentile
    interval); Field and Welsh 2007, doi 10.1111/j.1467-9868.2007.00593.x (drawing clusters).
    """
    known = ~np.isnan(values)
    return ratio_and_interval(
        np.where(known, values, 0.0), known, scenes, seed=seed, replicates=replicates
    )


def ratio_and_interval(
    numerators: NDArray[np.floating],
    denominators: NDArray[np.generic],
    scenes: Sequence[str],
    *,
    seed: int,
    replicates: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Divide sums over frames, with percentile intervals by bootstrap over scenes.

    Scenes are drawn as for means, and each draw divides its own sums: numerator and denominator
    come from the same scenes.

    Args:
        numerators: (N, M), M figures of N frames, finite.
        denominators: (N, M), at least 0; 0 where a frame does not count.
        scenes: N names; twins of one rendered street are drawn together.
        seed: Of the draws.
        replicates: Number of draws.

    Returns:
        Ratios, (M,), NaN where the denominators sum to 0, and intervals, (2, M), low and high, NaN
        where fewer than two scenes have a denominator; None instead of intervals where there is
        but one scene.

    Reference: Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 13.
    """
    # The twins of a rendered street are one witness in several lights.
    streets = [street_of(scene) for scene in scenes]
    names, membership = np.unique(streets, return_inverse=True)
    above = _by_scene(numerators, membership, len(names))
    below = _by_scene(denominators, membership, len(names))
    ratios = _ratio(above.sum(axis=0), below.sum(axis=0))
    if len(names) < 2:
        return ratios, None
    uniform = np.full(len(names), 1.0 / len(names))
    draws = np.random.default_rng(seed).multinomial(len(names), uniform, size=replicates)
    drawn = _ratio(draws @ above, draws @ below)  # (replicates, M)
    intervals = np.full((2, above.shape[1]), np.nan)
    enough = (below > 0).sum(axis=0) >= 2
    tail = (1 - LEVEL) / 2
    # A draw may hold no scene that has the figure: it says nothing about it.
    intervals[:, enough] = np.nanquantile(drawn[:, enough], (tail, 1 - tail), axis=0)
    return ratios, intervals


def _by_scene(
    values: NDArray[np.generic], membership: NDArray[np.intp], num_scenes: int
) -> NDArray[np.float64]:
    sums = np.zeros((num_scenes, values.shape[1]))
    np.add.at(sums, membership, values)
    return sums


def _ratio(sums: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
