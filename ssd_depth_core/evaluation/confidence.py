"""Does the confidence output know where the depth is wrong, and is it a probability?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NUM_COVERAGES = 20
"""Points of a stored risk-coverage curve: 5 %, 10 %, ... 100 % of the pixels."""
NUM_BINS = 10
"""Bins of confidence in the reliability diagram, of equal width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConfidenceScore:
    """Hold what one image says about confidence.

    Risk is the mean |d - d*| / d* of the pixels kept when the least confident are left out; the
    area under it over the share kept (AURC) is 0 for perfect depth. Everything is linear in the
    risk, so images are averaged as metrics are.

    Reference: Geifman and El-Yaniv 2017, arXiv 1705.08500 (risk and coverage); Ilg et al. 2018,
    arXiv 1802.07095 (the same per image and beside an oracle, as 'sparsification').
    """

    aurc: float
    """Area under risk over coverage."""
    aurc_oracle: float
    """Of the best order there is: by the errors themselves."""
    aurc_random: float
    """Of no order at all: the mean error."""
    risk: tuple[float, ...]
    """At `NUM_COVERAGES` equal steps of coverage, the last of which is everything."""
    risk_oracle: tuple[float, ...]
    """The same of the oracle."""
    bin_pixels: tuple[float, ...]
    """Pixels by bin of confidence."""
    bin_confidence: tuple[float, ...]
    """Sum of their confidence."""
    bin_correct: tuple[float, ...]
    """Number of them within a factor of 1.25 of the truth."""


def score_confidence(
    confidence: NDArray[np.floating], d: NDArray[np.floating], t: NDArray[np.floating]
) -> ConfidenceScore:
    """Measure one image's confidence against its errors.

    Args:
        confidence: (N,) in [0, 1], N at least 1; NaN counts as 0.
        d: Predicted depth there [m], clamped as it is scored.
        t: True depth there [m].

    Returns:
        The score.
    """
    confidence = np.nan_to_num(confidence, nan=0.0)
    errors = np.abs(d - t) / t
    risks = _cumulative_risk(confidence, errors)
    oracle = _cumulative_risk(-errors, errors)
    places = _coverage_places(len(errors))
    bins = np.minimum((confidence * NUM_BINS).astype(np.intp), NUM_BINS - 1)
    correct = np.maximum(d / t, t / d) < 1.25
    return ConfidenceScore(
        aurc=float(risks.mean()),
        aurc_oracle=float(oracle.mean()),
        aurc_random=float(errors.mean()),
        risk=tuple(risks[places].tolist()),
        risk_oracle=tuple(oracle[places].tolist()),
        bin_pixels=_binned(bins, np.ones(len(bins))),
        bin_confidence=_binned(bins, confidence),
        bin_correct=_binned(bins, correct),
    )


def normalised_aurc(aurc: float, oracle: float, random: float) -> float | None:
    """Place an area between the best order and none.

    Args:
        aurc: Of the confidence.
        oracle: Of the errors themselves.
        random: Of a random order.

    Returns:
        0 for the oracle's order, 1 for none, more for a misleading one; None where all errors are
        alike, so that no order is better than another.
    """
    span = random - oracle
    return (aurc - oracle) / span if span > 1e-12 else None


def expected_calibration_error(
    pixels: NDArray[np.floating],
    confidence: NDArray[np.floating],
    correct: NDArray[np.floating],
) -> float:
    """Average the gap between promised and measured share of good pixels, weighed by pixels.

    Args:
        pixels: By bin of confidence, at least one pixel in all.
        confidence: Sum of confidence by bin.
        correct: Number of good pixels by bin.

    Returns:
        In [0, 1]; 0 is calibrated.

    Reference: Guo et al. 2017, arXiv 1706.04599, Eq. 3.
    """
    return float(np.abs(confidence - correct).sum() / pixels.sum())


def _cumulative_risk(
    order: NDArray[np.floating], errors: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Give the mean error of the k first pixels by descending order, k = 1..N."""
    _, rank, counts = np.unique(-order, return_inverse=True, return_counts=True)
    # Pixels of equal rank come in random order; the expectation is their mean error each.
    means = np.bincount(rank, errors) / counts
    return np.cumsum(np.repeat(means, counts)) / np.arange(1, len(errors) + 1)


def _coverage_places(num_pixels: int) -> NDArray[np.intp]:
    shares = np.arange(1, NUM_COVERAGES + 1) / NUM_COVERAGES
    return np.ceil(shares * num_pixels).astype(np.intp) - 1


def _binned(bins: NDArray[np.intp], values: NDArray[np.generic]) -> tuple[float, ...]:
    return tuple(np.bincount(bins, values, NUM_BINS).tolist())
