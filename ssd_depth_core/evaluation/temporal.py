"""Does depth hold still where the world does? Measured on consecutive frames of a camera."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.evaluation.resample import sample_aligned

MAX_GAP_US = 750_000
"""Longest time between frames that count as consecutive: nuScenes' key frames are 0.5 s apart."""


def flicker(
    depth: NDArray[np.floating],
    previous_depth: NDArray[np.floating],
    *,
    rows: NDArray[np.integer],
    columns: NDArray[np.integer],
    truth: NDArray[np.floating],
    K: NDArray[np.floating],
    T_source_target: NDArray[np.floating],
    size: tuple[int, int],
    min_depth_m: float,
    max_depth_m: float,
) -> float | None:
    """Measure how much the relative error of the same points changes from frame to frame.

    Each true point is carried into the frame before by the exact motion of the car, so that both
    predictions are asked for the same place of a static world and their ratios to its true
    distances compared. A scale that is wrong but steady does not count. The median over points
    leaves out moving objects and what was hidden, as long as they are less than half.

    Args:
        depth: Predicted for this frame at the pixels, (N,) [m]; NaN beyond range.
        previous_depth: Predicted for the frame before, (h, w) on any grid [m]; NaN beyond range.
        rows: Of this frame's pixels with known truth, (N,).
        columns: Likewise.
        truth: True depth there, (N,) [m].
        K: (3, 3) of both frames, pixels.
        T_source_target: (4, 4), points in this camera to the camera before.
        size: (H, W) of both pictures, pixels.
        min_depth_m: Predictions are clamped to it.
        max_depth_m: Predictions are clamped to it, and NaN counts as it.

    Returns:
        Median of |ln(d / d*) - ln(d' / d'*)|; 0.02 is a change of 2 %. None where no point lies in
        both frames.
    """
    pixels = np.stack([columns, rows, np.ones(len(rows))])  # (3, N)
    points = np.linalg.inv(K) @ pixels * truth
    moved = T_source_target[:3, :3] @ points + T_source_target[:3, 3:]
    ahead = moved[2] > min_depth_m
    projected = K @ moved[:, ahead]
    u, v = projected[:2] / projected[2]
    inside = (u >= 0) & (u <= size[1] - 1) & (v >= 0) & (v <= size[0] - 1)
    if not inside.any():
        return None
    now = _clamped(depth[ahead][inside], min_depth_m, max_depth_m)
    sampled = sample_aligned(previous_depth, v[inside], u[inside], size)
    before = _clamped(sampled, min_depth_m, max_depth_m)
    ratio_now = now / truth[ahead][inside]
    ratio_before = before / moved[2, ahead][inside]
    return float(np.median(np.abs(np.log(ratio_now / ratio_before))))


def scale_changes(
    scales: Sequence[float], drives: Sequence[tuple[str, str]], stamps_us: Sequence[int]
) -> NDArray[np.float64]:
    """Measure how much the scale that fits a frame differs from the frame before's.

    Needs no poses, but tells a steady scale only, not whether parts of the picture flicker.

    Args:
        scales: median(truth) / median(depth) of N frames, positive.
        drives: Scene and camera of each frame.
        stamps_us: Of each frame, microseconds.

    Returns:
        (N,) |ln(scale / scale before)|; NaN for a frame without one before it within
        `MAX_GAP_US`.
    """
    changes = np.full(len(scales), np.nan)
    order = sorted(range(len(scales)), key=lambda i: (drives[i], stamps_us[i]))
    for before, now in pairwise(order):
        consecutive = stamps_us[now] - stamps_us[before] <= MAX_GAP_US
        if drives[before] == drives[now] and consecutive:
            changes[now] = abs(np.log(scales[now] / scales[before]))
    return changes


def _clamped(
    depth: NDArray[np.floating], min_depth_m: float, max_depth_m: float
) -> NDArray[np.floating]:
    return np.clip(np.nan_to_num(depth, nan=max_depth_m), min_depth_m, max_depth_m)
