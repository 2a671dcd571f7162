"""Does a picture show the scene that a depth map says? Scores of two inverse depth maps, (H, W).

The reference comes first; the estimate is brought to its units before anything is compared.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]

FAR_RATIO = 20.0
"""What is this many times as far as the nearest twentieth of the scene is 'far', like the sky:
there a network's answer is noise."""
EDGE_RATIO = 1.1
"""Least ratio of the depths of two neighbouring pixels between which an edge runs, and of two
pixels whose order counts."""
NUM_PAIRS = 4096
"""Drawn once and for all, so that a score depends on the maps alone."""
GRID_WIDTH = 320
"""Pixels across at which depth is compared, so that windows and tolerances mean the same in every
picture."""
SHIFT_PX = 2
"""By which depth's edges may be misplaced: networks are not more exact."""
SLACK = 0.1
"""Difference of log depth that a network may be wrong by."""


class UnusableDepthError(ValueError):
    """Say why depth cannot be compared."""


def on_grid(inverse_depth: Float) -> NDArray[np.float32]:
    """Bring a map to the grid on which depth is compared.

    Args:
        inverse_depth: (H, W).

    Returns:
        (h, `GRID_WIDTH`) of the same aspect ratio; values are picked, not mixed: a depth between
        near and far would be an edge of its own.
    """
    return np.asarray(
        cv2.resize(
            inverse_depth.astype(np.float32, copy=False),
            grid_size(inverse_depth.shape),
            interpolation=cv2.INTER_NEAREST_EXACT,
        )
    )


def grid_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Give the size of the grid.

    Args:
        shape: Of the picture, beginning with (H, W).

    Returns:
        (width, height), as OpenCV has it.
    """
    return GRID_WIDTH, max(1, round(shape[0] * GRID_WIDTH / shape[1]))


def aligned_log_depths(
    reference: Float, estimate: Float, *, with_shift: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Bring two maps to common units.

    The scale is the ratio of the medians of what is not far. With a shift, scale and shift match
    medians and mean deviations from these.

    Args:
        reference: Inverse depth (H, W), near is large, 0 is infinitely far.
        estimate: Likewise.
        with_shift: Whether the estimate's zero is unknown too.

    Returns:
        Log depth of both, (H, W), cut where the reference is far; the reference's nearest
        twentieth begins at 0.

    Raises:
        UnusableDepthError: If the shapes differ, a map is not finite or constant, or the
            reference is nowhere near.

    Reference: Ranftl et al. 2022, arXiv 1907.01341, Eq. 5 and 6 (scale and shift).
    """
    if reference.shape != estimate.shape or reference.ndim != 2:
        raise UnusableDepthError(f'shapes {reference.shape} and {estimate.shape} differ')
    for name, depth in (('reference', reference), ('estimate', estimate)):
        if not np.isfinite(depth).all():
            raise UnusableDepthError(f'{name} has values that are not finite')
        if np.ptp(depth) <= 1e-6 * np.abs(depth).max():
            raise UnusableDepthError(f'{name} is constant')
    near = float(np.quantile(reference, 0.95))
    if near <= 0:
        raise UnusableDepthError('reference is far in 95 % of its pixels')
    reference = reference / near
    if with_shift:
        middle, spread = _middle_and_spread(estimate)
        wanted_middle, wanted_spread = _middle_and_spread(reference)
        estimate = (estimate - middle) * (wanted_spread / spread) + wanted_middle
    else:
        counted = reference > 1 / FAR_RATIO
        level = float(np.median(estimate[counted]))
        if level <= 0:
            raise UnusableDepthError('estimate is far where the reference is near')
        estimate = estimate * (float(np.median(reference[counted])) / level)
    floor = 1 / FAR_RATIO
    return (
        -np.log(np.maximum(reference, floor)).astype(np.float32),
        -np.log(np.maximum(estimate, floor)).astype(np.float32),
    )


def _middle_and_spread(depth: Float) -> tuple[float, float]:
    middle = float(np.median(depth))
    return middle, float(np.abs(depth - middle).mean())


def log_error(reference: Float, estimate: Float) -> float:
    """Measure how far log depths differ, whatever the scale.

    Args:
        reference: Log depth (H, W).
        estimate: Likewise.

    Returns:
        Standard deviation of their difference, >= 0.

    Reference: Eigen et al. 2014, arXiv 1406.2283, Eq. 1, its root.
    """
    return float(np.std(estimate - reference))


def ordinal_agreement(reference: Float, estimate: Float) -> float | None:
    """Measure how often two pixels are in the right order.

    Args:
        reference: Log depth (H, W).
        estimate: Likewise.

    Returns:
        Of the drawn pairs that the reference tells apart by `EDGE_RATIO`, the share that the
        estimate orders alike, in [0, 1]; a tie is half right. None where there is no such pair.

    Reference: Chen et al. 2016, arXiv 1604.03901 (pairs of pixels as the measure of depth).
    """
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, reference.size, (2, NUM_PAIRS))
    true = reference.ravel()[first] - reference.ravel()[second]
    found = estimate.ravel()[first] - estimate.ravel()[second]
    counted = np.abs(true) > math.log(EDGE_RATIO)
    if not counted.any():
        return None
    right = np.sign(true[counted]) * np.sign(found[counted])
    return float((1 + right.mean()) / 2)


def edge_f1(reference: Float, estimate: Float, tolerance_px: float) -> float | None:
    """Measure whether depth breaks at the same places.

    Args:
        reference: Log depth (H, W).
        estimate: Likewise.
        tolerance_px: How far apart two edges still count as one.

    Returns:
        Harmonic mean of precision and recall, in [0, 1]; None where the reference has no edge.
    """
    true, found = _edges(reference), _edges(estimate)
    if not true.any():
        return None
    if not found.any():
        return 0.0
    precision = float(np.mean(_distance_to(true)[found] <= tolerance_px))
    recall = float(np.mean(_distance_to(found)[true] <= tolerance_px))
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _edges(log_depth: Float) -> NDArray[np.bool_]:
    """Find the pixels whose right or lower neighbour is much nearer or farther."""
    step = math.log(EDGE_RATIO)
    edges = np.zeros(log_depth.shape, bool)
    edges[:, :-1] |= np.abs(np.diff(log_depth, axis=1)) > step
    edges[:-1] |= np.abs(np.diff(log_depth, axis=0)) > step
    return edges


def _distance_to(edges: NDArray[np.bool_]) -> NDArray[np.float32]:
    elsewhere = (~edges).astype(np.uint8)
    return np.asarray(
        cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )


def missed_depth(
    reference: Float, estimate: Float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Measure where depth is not what it should be, but for edges that are a little off.

    Args:
        reference: Log depth (H, W), on a grid `GRID_WIDTH` pixels wide.
        estimate: Likewise.

    Returns:
        By how much log depth is farther, and by how much it is nearer, than `SLACK` allows, (H, W)
        in [0, 1] each; a depth that is found within `SHIFT_PX` is in its place.
    """
    kernel = np.ones((2 * SHIFT_PX + 1, 2 * SHIFT_PX + 1), np.uint8)
    farther = np.maximum(
        estimate - cv2.dilate(reference, kernel), cv2.erode(estimate, kernel) - reference
    )
    nearer = np.maximum(
        cv2.erode(reference, kernel) - estimate, reference - cv2.dilate(estimate, kernel)
    )
    return np.clip(farther - SLACK, 0.0, 1.0), np.clip(nearer - SLACK, 0.0, 1.0)
