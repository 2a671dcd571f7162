"""How well a network names surfaces."""

from collections.abc import Sequence
from typing import Any

import torch


def confusion_of(
    predicted: torch.Tensor, truth: torch.Tensor, num_classes: int, unknown: int
) -> torch.Tensor:
    """Count which class was taken for which.

    Args:
        predicted: Class numbers, any shape.
        truth: Class numbers of that shape.
        num_classes: Classes are below it.
        unknown: Number in the truth of pixels that do not count.

    Returns:
        (num_classes, num_classes) int64, pixels by true class and predicted class.
    """
    known = truth != unknown
    pairs = truth[known].long() * num_classes + predicted[known].long()
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_scores(confusion: torch.Tensor, names: Sequence[str]) -> dict[str, Any]:
    """Measure overlap and accuracy, as the Cityscapes benchmark does.

    Args:
        confusion: What `confusion_of` gave, or a sum of such.
        names: Of the classes.

    Returns:
        `iou` by class, in [0, 1], of the classes that the truth has; `mean_iou` over these, and
        `accuracy`, the share of pixels that are right. Without a known pixel, 0 and 0.
    """
    right, there = confusion.diag(), confusion.sum(1)
    union = there + confusion.sum(0) - right
    iou = {
        name: right[number].item() / union[number].item()
        for number, name in enumerate(names)
        if there[number]
    }
    return {
        'mean_iou': round(sum(iou.values()) / max(len(iou), 1), 5),
        'accuracy': round(right.sum().item() / max(there.sum().item(), 1), 5),
        'iou': {name: round(value, 5) for name, value in iou.items()},
    }
