from dataclasses import asdict
import math

import numpy as np
import pytest
from ssd_depth_core.evaluation.frame_score import score_frame
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig

NAN, INF = float('nan'), float('inf')
PERFECT = {'abs_rel': 0, 'sq_rel': 0, 'rmse': 0, 'rmse_log': 0, 'a1': 1, 'a2': 1, 'a3': 1}


def prediction(depth, confidence=None):
    return Prediction(depth=np.array(depth), confidence=confidence)


def score(line, truth, depth, config=None, confidence=None, **others):
    return score_frame(
        line,
        np.array(truth),
        prediction(depth, confidence),
        config or EvaluationConfig(),
        **others,
    )


def errors(frame):
    return {(s.variant, s.cap_m): asdict(s.metrics) for s in frame.scores}


def test_the_truth_scores_zero_and_a_hundred_per_cent_in_every_variant(line_of):
    truth = np.random.default_rng(0).uniform(0.2, 79, (12, 16))
    truth[0, :3] = NAN, INF, 0.0
    frame = score(line_of(), truth, np.where(truth > 0, truth, NAN), mirrored=truth)
    variants = {'plain', 'flip', 'scaled', 'flip-scaled'}
    assert set(errors(frame)) == {(v, cap) for v in variants for cap in (80.0, 50.0)}
    for found in errors(frame).values():
        assert found == pytest.approx(PERFECT, abs=1e-9)
    assert frame.scale == pytest.approx(1)
    assert frame.pixels == 12 * 16 - 3


def test_all_seven_metrics_of_2x2_pixels_by_hand(line_of):
    # Truth 100 m lies beyond both caps, 60 m beyond the second.
    found = errors(score(line_of(), [[10.0, 20.0], [60.0, 100.0]], [[12.0, 30.0], [90.0, 5.0]]))
    # Cap 80: 12, 30, 90 -> 80 against 10, 20, 60.
    logs = [math.log(1.2), math.log(1.5), math.log(80 / 60)]
    assert found['plain', 80.0] == pytest.approx(
        {
            'abs_rel': (0.2 + 0.5 + 20 / 60) / 3,
            'sq_rel': (4 / 10 + 100 / 20 + 400 / 60) / 3,
            'rmse': math.sqrt((4 + 100 + 400) / 3),
            'rmse_log': math.sqrt(sum(log**2 for log in logs) / 3),
            'a1': 1 / 3,
            'a2': 1.0,
            'a3': 1.0,
        }
    )
    assert found['plain', 50.0]['abs_rel'] == pytest.approx((0.2 + 0.5) / 2)
    # Cap 80, scaled: medians 20 and 30, so 8, 20, 60.
    assert found['scaled', 80.0] == pytest.approx(
        {
            'abs_rel': 0.2 / 3,
            'sq_rel': 4 / 10 / 3,
            'rmse': math.sqrt(4 / 3),
            'rmse_log': math.sqrt(math.log(0.8) ** 2 / 3),
            'a1': 2 / 3,  # 10 / 8 is not below 1.25
            'a2': 1.0,
            'a3': 1.0,
        }
    )
    # Cap 50, scaled: medians 15 and 21.
    scale = 15 / 21
    expected = (abs(12 * scale - 10) / 10 + abs(30 * scale - 20) / 20) / 2
    assert found['scaled', 50.0]['abs_rel'] == pytest.approx(expected)


def test_a_prediction_is_clamped_after_scaling(line_of):
    found = errors(score(line_of(), [[5.0, 10.0, 40.0]], [[100.0, 200.0, 2000.0]]))
    # Scaled by 0.05: 5, 10, 100 -> 80.
    assert found['scaled', 80.0]['abs_rel'] == pytest.approx(1 / 3)


def test_the_flip_is_the_mean_inverse_depth_but_for_the_borders(line_of):
    depth, mirrored = [[8.0, 8.0, 8.0]], np.array([[12.0, 12.0, 12.0]])
    # The left border is the mirrored picture's, the right one the picture's own.
    found = errors(score(line_of(), [[12.0, 9.6, 8.0]], depth, mirrored=mirrored))
    assert found['flip', 80.0]['abs_rel'] == pytest.approx(0)
    assert found['plain', 80.0]['abs_rel'] == pytest.approx((1 / 3 + 1 / 6) / 3)
    # One twentieth and three fortieths of the width from the left: alone, and half faded out.
    truth = np.full((1, 41), np.nan)
    truth[0, 2:4] = 12.0, 1 / (0.25 / 8 + 0.75 / 12)
    depth, mirrored = np.full((1, 41), 8.0), np.full((1, 41), 12.0)
    found = errors(score(line_of(), truth, depth, mirrored=mirrored))
    assert found['flip', 80.0]['abs_rel'] == pytest.approx(0)


def test_beyond_range_in_both_pictures_costs_the_cap(line_of):
    truth, nowhere = [[40.0, 40.0, 40.0]], np.array([[NAN, NAN, NAN]])
    found = errors(score(line_of(), truth, nowhere, mirrored=nowhere))
    assert found['flip', 80.0]['abs_rel'] == pytest.approx(1)
    # In one of them, it is an inverse depth of 0: twice as far.
    found = errors(
        score(line_of(), truth, [[NAN, 20.0, 40.0]], mirrored=np.array([[40.0, NAN, NAN]]))
    )
    assert found['flip', 80.0]['abs_rel'] == pytest.approx(0)


def test_without_a_mirrored_prediction_there_is_no_flip(line_of):
    frame = score(line_of(), [[10.0]], [[10.0]])
    assert {variant for variant, _ in errors(frame)} == {'plain', 'scaled'}


def test_leaving_out_pixels_costs_the_cap(line_of):
    truth = [[10.0, 40.0]]
    assert errors(score(line_of(), truth, [[10.0, NAN]]))['plain', 80.0]['abs_rel'] == 0.5
    assert errors(score(line_of(), truth, [[10.0, NAN]]))['plain', 50.0]['abs_rel'] == 0.125


def test_a_small_prediction_is_resized_with_aligned_corners(line_of):
    truth = [[10.0, 15.0, 20.0]]
    assert errors(score(line_of(), truth, [[10.0, 20.0]]))['plain', 80.0] == pytest.approx(PERFECT)


def test_pixels_outside_the_crop_do_not_count(line_of):
    truth = np.full((100, 100), 10.0)
    depth = truth.copy()
    depth[:40] = depth[99:] = 70.0
    depth[:, :3] = depth[:, 96:] = 70.0
    frame = score(line_of(), truth, depth, EvaluationConfig(garg_crop=True))
    assert errors(frame)['plain', 80.0] == pytest.approx(PERFECT)


def test_errors_are_parted_by_true_distance(line_of):
    frame = score(line_of(), [[5.0, 9.9, 10.0, 79.0, 90.0]], [[10.0, 9.9, 15.0, 79.0, 1.0]])
    found = [(bin.near_m, bin.far_m, bin.pixels, round(bin.abs_rel, 3)) for bin in frame.distance]
    assert found == [(0, 10, 2, 0.5), (10, 20, 1, 0.5), (40, 80, 1, 0)]


def test_no_valid_truth_for_the_main_cap_gives_none(line_of):
    assert score(line_of(), [[NAN, 100.0]], [[1.0, 1.0]]) is None
    config = EvaluationConfig(caps_m=(50.0, 80.0))
    assert score(line_of(), [[NAN, 60.0]], [[1.0, 1.0]], config) is None


def test_confidence_is_held_against_the_pixels_of_the_main_cap(line_of):
    confidence = np.array([[0.9, 0.4, 0.9]])
    config = EvaluationConfig(caps_m=(50.0, 80.0))
    frame = score(line_of(), [[10.0, 10.0, 70.0]], [[10.0, 20.0, 1.0]], config, confidence)
    assert sum(frame.confidence.bin_pixels) == 2
    assert frame.confidence.aurc == pytest.approx(frame.confidence.aurc_oracle)


def test_edges_need_exact_truth(line_of):
    truth = np.full((12, 16), 5.0)
    truth[:, 8:] = 30.0
    assert score(line_of(), truth, truth).edges is None
    exact = score(line_of(), truth, truth, EvaluationConfig(truth='exact'))
    assert exact.edges.f1 == 1


def test_flicker_is_measured_where_the_frame_before_is_known(line_of):
    truth = np.full((12, 16), 5.0)
    assert score(line_of(number=1), truth, truth).flicker is None
    assert score(line_of(number=0), truth, truth, previous=truth).flicker is None
    found = score(line_of(number=1), truth, truth, previous=1.1 * truth).flicker
    assert found == pytest.approx(math.log(1.1))


def test_a_prediction_that_cannot_be_scaled_names_its_frame(line_of):
    with pytest.raises(ValueError, match='frame a0: depth must have a median > 0 m'):
        score(line_of(), [[10.0]], [[-1.0]])
