"""How far to trust that a translated picture still shows its source's scene, and where not."""

from dataclasses import dataclass
from functools import lru_cache
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.config import load_yaml

Float = NDArray[np.float32]

SHIPPED = Path(__file__).parents[1] / 'weights' / 'gate.json'
"""Fitted by `python -m bench.gdt_gate --calibrate`."""
MOST_SPREADS = 5.0
"""Where evidence is cut, in standard deviations: nothing rare may count without end."""
SHARPNESS = 2.0
"""Of the soft maximum over places: the suspicions of a few neighbours add up."""
OUTLINES = 'near, picture, tall, excess'
"""Evidence that alone tells most about poles, and speaks for itself beside the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Critic:
    """Hold a network of one hidden layer that judges the evidence at one place."""

    names: tuple[str, ...]
    """F names of evidence."""
    mean: tuple[float, ...]
    """(F,) over the pictures that it was fitted to."""
    spread: tuple[float, ...]
    """(F,) standard deviations."""
    hidden: tuple[tuple[float, ...], ...]
    """(H, F)."""
    hidden_bias: tuple[float, ...]
    """(H,)."""
    output: tuple[float, ...]
    """(H,)."""
    typical: dict[str, tuple[float, float]]
    """Median and 95 % quantile of faithful pictures, for `suspicion` and `lost_outlines`."""
    slope: float
    half: float
    """How fast trust falls, and at how many units of `typical` it is 0.5."""
    fitted_to: str
    """What pictures."""


@lru_cache(maxsize=1)
def shipped_critic() -> Critic:
    """Read the critic that comes with the package.

    Returns:
        The critic.
    """
    return load_yaml(Critic, SHIPPED)  # JSON is YAML


def suspicion_map(critic: Critic, evidence: dict[str, Float]) -> Float:
    """Judge every place.

    Args:
        critic: What judges.
        evidence: Of `gdt/evidence.py`, (rows, columns) each.

    Returns:
        (rows, columns), log odds that something is gone or new there, up to a constant.
    """
    stacked = np.stack([evidence[name] for name in critic.names], -1)
    mean, spread, hidden, hidden_bias, output = (
        np.array(values, np.float32)
        for values in (
            *(critic.mean, critic.spread),
            *(critic.hidden, critic.hidden_bias, critic.output),
        )
    )
    scaled = np.clip((stacked - mean) / spread, -MOST_SPREADS, MOST_SPREADS)
    return np.asarray(np.tanh(scaled @ hidden.T + hidden_bias) @ output)


def trust_scores(critic: Critic, evidence: dict[str, Float]) -> dict[str, float]:
    """Sum up a picture.

    Args:
        critic: What judges.
        evidence: Of `gdt/evidence.py`.

    Returns:
        `suspicion`, the soft maximum of `suspicion_map`; `lost_outlines`, the largest share of
        outlines that a tall window lost beyond what the whole picture lost; and `trust` in (0, 1),
        which falls with both: a logistic function of their soft maximum in units of what faithful
        pictures score.
    """
    places = SHARPNESS * suspicion_map(critic, evidence)
    scores = {
        'suspicion': float(np.logaddexp.reduce(places, axis=None)) / SHARPNESS,
        'lost_outlines': max(float(evidence[OUTLINES].max()), 0.0),
    }
    return scores | {'trust': trust_of(critic, scores)}


def trust_of(critic: Critic, scores: dict[str, float]) -> float:
    """Join the scores.

    Args:
        critic: Whose units hold.
        scores: Those that its `typical` names.

    Returns:
        In (0, 1).
    """
    worst = joined(critic.typical, scores)
    return 1 / (1 + math.exp(critic.slope * (worst - critic.half)))


def joined(typical: dict[str, tuple[float, float]], scores: dict[str, float]) -> float:
    """Take the soft maximum of scores, each in units of what faithful pictures score.

    Args:
        typical: Median and 95 % quantile of faithful pictures by name.
        scores: By these names.

    Returns:
        About 0.35 for a median picture, 1 and more for the worst of twenty.
    """
    units = [2 * (scores[name] - low) / (high - low) for name, (low, high) in typical.items()]
    return float(np.logaddexp.reduce(units)) / 2
