"""Depth metrics by condition: while training, at export, and for tables."""

from collections.abc import Callable

import numpy as np
from ssd_depth_core.canonical_depth import metric_depth_of
from ssd_depth_core.metrics import depth_metrics, DepthMetrics, mean_metrics
from ssd_depth_core.preprocess import focal_of
import torch
from torch.utils.data import DataLoader, Dataset

Predict = Callable[[torch.Tensor], torch.Tensor]
"""From normalised images (B, 3, H, W) to canonical inverse depth (B, 1, H, W) [1/m]."""


def evaluate(
    predict: Predict,
    by_condition: dict[str, Dataset[dict[str, torch.Tensor]]],
    *,
    canonical_focal_px: float,
    max_depth_m: float,
    batch_size: int = 16,
) -> dict[str, dict[str, float]]:
    """Measure a network on every condition, on the depth that the runtime would give.

    Args:
        predict: The network.
        by_condition: Datasets of `image`, `depth` (NaN unknown, inf beyond) and `K`.
        canonical_focal_px: Of the network.
        max_depth_m: Of the network.
        batch_size: Images a call.

    Returns:
        By condition: `abs_rel`, `rmse`, `a1` (metric, truth up to 80 m), `abs_rel_scaled` (medians
        matched) and `n`, the number of images scored.

    Raises:
        ValueError: If a condition has no image with known depth.
    """
    rows = {}
    for condition, dataset in by_condition.items():
        metric: list[DepthMetrics] = []
        scaled: list[DepthMetrics] = []
        for batch in DataLoader(dataset, batch_size=batch_size):
            inverse_depth = predict(batch['image'])[:, 0].cpu().numpy()  # (B, H, W)
            for inverse, truth, K in zip(
                inverse_depth, batch['depth'][:, 0].numpy(), batch['K'].numpy(), strict=True
            ):
                depth = metric_depth_of(
                    inverse,
                    focal_px=focal_of(K),
                    canonical_focal_px=canonical_focal_px,
                    max_depth_m=max_depth_m,
                )
                measured = depth_metrics(depth, truth)
                rescaled = depth_metrics(depth, truth, median_scaled=True)
                if measured is not None and rescaled is not None:
                    metric.append(measured)
                    scaled.append(rescaled)
        mean, mean_scaled = mean_metrics(metric), mean_metrics(scaled)
        rows[condition] = {
            'abs_rel': mean.abs_rel,
            'rmse': mean.rmse,
            'a1': mean.a1,
            'abs_rel_scaled': mean_scaled.abs_rel,
            'n': float(len(metric)),
        }
    return {
        condition: {name: float(np.round(value, 5)) for name, value in row.items()}
        for condition, row in rows.items()
    }


def table(rows: dict[str, dict[str, float]]) -> str:
    """Lay metrics out for a terminal.

    Args:
        rows: What `evaluate` gave.

    Returns:
        A line of names and a line a condition.
    """
    names = list(next(iter(rows.values())))
    lines = [f'{"condition":12s}' + ''.join(f'{name:>16s}' for name in names)]
    for condition, row in rows.items():
        lines.append(f'{condition:12s}' + ''.join(f'{row[name]:16.4g}' for name in names))
    return '\n'.join(lines)
