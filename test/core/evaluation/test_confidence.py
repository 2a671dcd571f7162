import numpy as np
import pytest
from ssd_depth_core.evaluation.confidence import (
    expected_calibration_error,
    normalised_aurc,
    NUM_COVERAGES,
    score_confidence,
)

T = np.full(4, 10.0)
D = np.array([10.0, 11.0, 14.0, 30.0])  # errors 0, 0.1, 0.4, 2


def test_areas_of_a_hand_made_ranking():
    # Kept in the order of errors 0.1, 0, 2, 0.4: mean errors 0.1, 0.05, 0.7, 0.625.
    score = score_confidence(np.array([0.8, 0.9, 0.1, 0.2]), D, T)
    assert score.aurc == pytest.approx((0.1 + 0.05 + 0.7 + 0.625) / 4)
    assert score.aurc_oracle == pytest.approx((0 + 0.05 + 0.5 / 3 + 2.5 / 4) / 4)
    assert score.aurc_random == pytest.approx(2.5 / 4)
    assert score.risk[-1] == score.risk_oracle[-1] == pytest.approx(2.5 / 4)
    assert score.risk[NUM_COVERAGES // 2 - 1] == pytest.approx(0.05)


def test_a_perfect_ranking_is_the_oracles():
    generator = np.random.default_rng(0)
    t = generator.uniform(1, 80, 500)
    d = t * generator.uniform(0.5, 2, 500)
    score = score_confidence(1 / (1 + np.abs(d - t) / t), d, t)
    assert score.aurc == pytest.approx(score.aurc_oracle)
    assert score.risk == pytest.approx(score.risk_oracle)
    assert normalised_aurc(score.aurc, score.aurc_oracle, score.aurc_random) == pytest.approx(0)


def test_a_confidence_that_says_nothing_is_the_random_order():
    score = score_confidence(np.full(4, 0.5), D, T)
    assert score.aurc == pytest.approx(score.aurc_random)
    assert normalised_aurc(score.aurc, score.aurc_oracle, score.aurc_random) == pytest.approx(1)


def test_a_misleading_confidence_is_worse_than_none():
    score = score_confidence(np.array([0.1, 0.2, 0.3, 0.4]), D, T)
    assert normalised_aurc(score.aurc, score.aurc_oracle, score.aurc_random) > 1


def test_equal_errors_know_no_better_order():
    assert normalised_aurc(0.2, 0.2, 0.2) is None


def test_bins_count_pixels_and_what_they_promise():
    score = score_confidence(np.array([0.05, 0.95, 1.0, np.nan]), D, T)
    assert score.bin_pixels == (2, 0, 0, 0, 0, 0, 0, 0, 0, 2)
    assert score.bin_confidence[0] == pytest.approx(0.05)  # NaN promises nothing
    assert score.bin_confidence[9] == pytest.approx(1.95)
    assert score.bin_correct[0] == 1  # errors 0 and 2
    assert score.bin_correct[9] == 1  # errors 0.1 and 0.4


def test_calibration_error_by_hand():
    # 10 pixels promise 0.9 and 6 keep it; 30 promise 0.5 and 21 keep it.
    error = expected_calibration_error(
        np.array([10, 30]), np.array([9.0, 15.0]), np.array([6.0, 21.0])
    )
    assert error == pytest.approx(10 / 40 * 0.3 + 30 / 40 * 0.2)
