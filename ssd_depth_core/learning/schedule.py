"""How the learning rate goes over a training, as a share of its peak."""

from collections.abc import Sequence
import math
from typing import Literal

Schedule = Literal['cosine', 'linear', 'step']


def learning_rate_share(
    fraction: float,
    schedule: Schedule,
    *,
    warmup_fraction: float,
    decay_factor: float,
    decay_fractions: Sequence[float],
) -> float:
    """Follow the schedule: a linear rise from 0, then the way down.

    Args:
        fraction: Of the budget that is spent, at least 0.
        schedule: `cosine` and `linear` end at 0; `step` falls at `decay_fractions`.
        warmup_fraction: Share of the budget in which the rate rises, in [0, 1).
        decay_factor: What each fall of `step` multiplies the rate by.
        decay_fractions: Shares of the whole budget at which `step` falls.

    Returns:
        In [0, 1], to be multiplied by the peak.
    """
    if fraction < warmup_fraction:
        return fraction / warmup_fraction
    if schedule == 'step':
        return float(decay_factor ** sum(fraction >= fall for fall in decay_fractions))
    annealed = min(1.0, (fraction - warmup_fraction) / (1 - warmup_fraction))
    return 1 - annealed if schedule == 'linear' else 0.5 * (1 + math.cos(math.pi * annealed))
