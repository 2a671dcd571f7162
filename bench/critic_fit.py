"""Fit the gate's critic to pictures of which it is known what is broken in them, and where."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.trust import Critic, joined, MOST_SPREADS, SHARPNESS, trust_scores
import torch
from torch.nn import functional

HIDDEN = 16
STEPS = 1000
BATCH = 48
"""Pictures in one step."""
LEARNING_RATE = 0.02
WEIGHT_DECAY = 0.3
PLACES_WEIGHT = 2.4
"""Of the loss over places beside that over pictures."""
CHANGED, UNCHANGED = 0.5, 0.005
"""Share of a place's window that a break changes: from this share of the most it changes anywhere
on, the place must be suspected; below the other, it must not."""
LEAST_CHANGED = 0.04


@dataclass(frozen=True, slots=True)
class Seen:
    """Hold the evidence about one picture."""

    street: int
    reference: str
    """Whose depth of the source the picture is held against."""
    shown: str
    """What the picture shows; pictures of each kind count the same together."""
    evidence: dict[str, NDArray[np.float32]]
    """(rows, columns) by name."""
    changed: NDArray[np.float32]
    """(rows, columns), share of the window around each place that a break changed; else 0."""


def fit_critic(pictures: list[Seen], faithful: str, seed: int) -> Critic:
    """Fit the network, then the units and the logistic function of trust.

    Args:
        pictures: Faithful and broken.
        faithful: What the faithful ones show.
        seed: Of the network's first weights and of the order of pictures.

    Returns:
        The critic; its numbers are rounded as they are written.
    """
    torch.manual_seed(seed)
    names = tuple(sorted(pictures[0].evidence))
    stacked = np.stack([np.stack([seen.evidence[n] for n in names], -1) for seen in pictures])
    mean, spread = stacked.mean((0, 1, 2)), stacked.std((0, 1, 2)) + 1e-4
    scaled = ((stacked - mean) / spread).clip(-MOST_SPREADS, MOST_SPREADS)
    x = torch.as_tensor(scaled, dtype=torch.float32).flatten(1, 2)  # (N, places, F)
    broken = torch.tensor([float(seen.shown != faithful) for seen in pictures])
    changed = torch.as_tensor(np.stack([seen.changed for seen in pictures])).flatten(1)
    first, last = _trained(x, broken, _weights(pictures, faithful), changed)

    def rounded(values: torch.Tensor) -> list:  # type: ignore[type-arg]
        return np.round(values.detach().double().numpy(), 4).tolist()

    critic = Critic(
        names=names,
        mean=tuple(np.round(mean.astype(float), 5).tolist()),
        spread=tuple(np.round(spread.astype(float), 5).tolist()),
        hidden=tuple(map(tuple, rounded(first.weight))),
        hidden_bias=tuple(rounded(first.bias)),
        output=tuple(rounded(last.weight[0])),
        typical={'suspicion': (0.0, 1.0), 'lost_outlines': (0.0, 1.0)},
        slope=1.0,
        half=1.0,
        fitted_to='',
    )
    return _with_units(critic, pictures, faithful)


def _weights(pictures: list[Seen], faithful: str) -> torch.Tensor:
    """Let faithful pictures count as much as broken ones, and each kind of these as another."""
    kinds = [seen.shown for seen in pictures]
    of_kind = {
        kind: (0.5 if kind == faithful else 0.5 / (len(set(kinds)) - 1)) / kinds.count(kind)
        for kind in set(kinds)
    }
    return torch.tensor([of_kind[kind] for kind in kinds]) * len(kinds)


def _trained(
    x: torch.Tensor, broken: torch.Tensor, weights: torch.Tensor, changed: torch.Tensor
) -> tuple[torch.nn.Linear, torch.nn.Linear]:
    """Train on pictures, by the soft maximum over their places, and on the places themselves."""
    layers = torch.nn.Linear(x.shape[-1], HIDDEN), torch.nn.Linear(HIDDEN, 1)
    network = torch.nn.Sequential(layers[0], torch.nn.Tanh(), layers[1])
    bias = torch.zeros(1, requires_grad=True)
    groups = [
        {'params': network.parameters(), 'weight_decay': WEIGHT_DECAY},
        {'params': [bias], 'weight_decay': 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, STEPS)
    most = changed.amax(1, keepdim=True)
    suspect = (changed > (CHANGED * most).clamp(min=LEAST_CHANGED)).float()
    clean = (changed < UNCHANGED).float()
    for _ in range(STEPS):
        drawn = torch.randint(len(x), (BATCH,))
        places = network(x[drawn])[..., 0]
        pictures = torch.logsumexp(SHARPNESS * places, 1) / SHARPNESS + bias
        loss = functional.binary_cross_entropy_with_logits(pictures, broken[drawn], weights[drawn])
        for wanted, sign in ((suspect[drawn], -1), (clean[drawn], 1)):
            wrong = functional.softplus(sign * places) * wanted
            loss = loss + PLACES_WEIGHT * wrong.sum() / (wanted.sum() + 1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return layers


def _with_units(critic: Critic, pictures: list[Seen], faithful: str) -> Critic:
    """Measure what faithful pictures score, and fit trust's logistic function."""
    scores = [trust_scores(critic, seen.evidence) for seen in pictures]
    good = np.array([seen.shown == faithful for seen in pictures])
    typical = {}
    for name in critic.typical:
        values = np.array([each[name] for each in scores])[good]
        low, high = np.quantile(values, (0.5, 0.95))
        typical[name] = (round(float(low), 4), round(float(high), 4))
    worst = torch.tensor([joined(typical, each) for each in scores])
    weights = _weights(pictures, faithful)
    line = torch.nn.Linear(1, 1)
    solver = torch.optim.LBFGS(line.parameters(), max_iter=200)

    def step() -> torch.Tensor:
        solver.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(
            line(worst[:, None].float())[:, 0], torch.as_tensor(~good).float(), weights
        )
        loss.backward()
        return loss

    solver.step(step)
    slope, offset = line.weight.item(), line.bias.item()
    return replace(critic, typical=typical, slope=round(slope, 3), half=round(-offset / slope, 3))
