"""Are depth's edges where the objects end? Measured on exact depth alone: LiDAR sees no edges."""

from dataclasses import dataclass
import math

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.evaluation.resample import sample_aligned

GRID_WIDTH = 640
"""Pixels of the grid that edges are compared on, iBims-1's: distances then mean the same for every
method, whatever its own size."""
EDGE_RATIO = 1.1
"""Least ratio of the depths of two neighbouring pixels between which an edge runs. A flat road
seen from 1.5 m with nuScenes' lens reaches it only beyond 75 m."""
MAX_DISTANCE_PX = 10.0
"""Where distances are cut, as in iBims-1."""
TOLERANCE_PX = 2.0
"""How far apart two edges still count as one in the F-score."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EdgeScore:
    """Hold the depth boundary errors of one image.

    Reference: Koch et al. 2018, arXiv 1805.01328, Eq. 4 and 5.
    Differs: edges of both maps are steps in the ratio of depths, as in Bochkovskii et al. 2024
    (arXiv 2410.02073, Eq. 5), because Canny on depth scaled to [0, 1] sees only what is far.
    """

    accuracy_px: float
    """Mean distance of predicted edges to true ones, of those nearer than `MAX_DISTANCE_PX`; it
    grows with blur and with shifts."""
    completeness_px: float
    """Mean distance of true edges to predicted ones, cut at `MAX_DISTANCE_PX`; it grows with every
    edge that is missed."""
    f1: float
    """Harmonic mean of precision and recall within `TOLERANCE_PX`, in [0, 1]."""


def score_edges(
    depth: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    min_depth_m: float,
    max_depth_m: float,
) -> EdgeScore | None:
    """Compare depth's edges with the true ones.

    Args:
        depth: Predicted, (h, w) on any grid over the whole picture [m]; NaN beyond range.
        truth: Exact, (H, W) [m]; inf in the sky, NaN where unknown.
        min_depth_m: Both are clamped to it.
        max_depth_m: Both are clamped to it: no edges beyond.

    Returns:
        The score; None where the truth has no edge.
    """
    width = min(GRID_WIDTH, truth.shape[1])
    height = max(1, round(truth.shape[0] * width / truth.shape[1]))
    # Nearest: a depth between near and far would be an edge of its own. Both are read at the same
    # places, so that the truth itself has no boundary error.
    v, u = np.indices((height, width))
    v = (2 * v + 1) * truth.shape[0] // (2 * height)
    u = (2 * u + 1) * truth.shape[1] // (2 * width)
    exact = truth[v, u]
    sampled = sample_aligned(depth, v.ravel(), u.ravel(), (truth.shape[0], truth.shape[1]))
    predicted = np.nan_to_num(sampled, nan=max_depth_m).reshape(exact.shape)
    true_edges = depth_edges(np.clip(exact, min_depth_m, max_depth_m))
    edges = depth_edges(np.clip(predicted, min_depth_m, max_depth_m))
    if not true_edges.any():
        return None
    if not edges.any():
        return EdgeScore(accuracy_px=MAX_DISTANCE_PX, completeness_px=MAX_DISTANCE_PX, f1=0.0)
    to_true = _distance_to(true_edges)[edges]
    to_predicted = _distance_to(edges)[true_edges]
    near = to_true[to_true < MAX_DISTANCE_PX]
    precision = float(np.mean(to_true <= TOLERANCE_PX))
    recall = float(np.mean(to_predicted <= TOLERANCE_PX))
    return EdgeScore(
        accuracy_px=float(near.mean()) if near.size else MAX_DISTANCE_PX,
        completeness_px=float(np.minimum(to_predicted, MAX_DISTANCE_PX).mean()),
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    )


def depth_edges(depth: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Find the pixels whose right or lower neighbour is much nearer or farther.

    Args:
        depth: (H, W), positive [m]; NaN where unknown, beside which there is no edge.

    Returns:
        (H, W).
    """
    log_depth = np.log(depth)
    step = math.log(EDGE_RATIO)
    edges = np.zeros(depth.shape, bool)
    edges[:, :-1] |= np.abs(np.diff(log_depth, axis=1)) > step
    edges[:-1] |= np.abs(np.diff(log_depth, axis=0)) > step
    return edges


def _distance_to(edges: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give every pixel's distance to the nearest edge pixel [px]."""
    elsewhere = (~edges).astype(np.uint8)
    return np.asarray(
        cv2.distanceTransform(elsewhere, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
    )
