from dataclasses import asdict
import math

import numpy as np
import pytest
from ssd_depth_core.metrics import depth_metrics, DepthMetrics, mean_metrics

NAN, INF = float('nan'), float('inf')


def test_metrics_of_a_2x2_image_computed_by_hand():
    truth = np.array([[10.0, 20.0], [NAN, 100.0]])  # the second row is unknown and out of range
    depth = np.array([[12.0, 30.0], [5.0, 5.0]])
    metrics = depth_metrics(depth, truth)
    log_errors = (math.log(1.2), math.log(1.5))
    assert asdict(metrics) == pytest.approx(
        {
            'abs_rel': (2 / 10 + 10 / 20) / 2,
            'sq_rel': (4 / 10 + 100 / 20) / 2,
            'rmse': math.sqrt((4 + 100) / 2),
            'rmse_log': math.sqrt((log_errors[0] ** 2 + log_errors[1] ** 2) / 2),
            'a1': 0.5,  # 1.2 < 1.25 < 1.5
            'a2': 1.0,  # 1.5 < 1.5625
            'a3': 1.0,
        }
    )


def test_perfect_depth_scores_zero_error():
    truth = np.array([[1.0, 79.0], [0.2, 33.0]])
    metrics = depth_metrics(truth, truth)
    assert (metrics.abs_rel, metrics.rmse, metrics.rmse_log) == (0, 0, 0)
    assert (metrics.a1, metrics.a2, metrics.a3) == (1, 1, 1)


def test_ratio_thresholds_treat_near_and_far_alike():
    truth = np.full(2, 8.0)
    assert depth_metrics(truth * 1.3, truth).a1 == depth_metrics(truth / 1.3, truth).a1 == 0
    assert depth_metrics(truth * 1.2, truth).a1 == depth_metrics(truth / 1.2, truth).a1 == 1


@pytest.mark.parametrize('unknown', [NAN, 0.0, 0.1, 80.0, INF, -3.0])
def test_truth_outside_the_open_range_is_not_scored(unknown):
    metrics = depth_metrics(np.array([5.0, 9.0]), np.array([5.0, unknown]))
    assert metrics.abs_rel == 0


def test_no_valid_truth_gives_none():
    assert depth_metrics(np.ones((2, 2)), np.full((2, 2), NAN)) is None


@pytest.mark.parametrize('beyond', [NAN, INF])
@pytest.mark.parametrize('median_scaled', [False, True])
def test_leaving_a_pixel_out_is_scored_as_the_far_end(beyond, median_scaled):
    truth = np.array([10.0, 20.0, 40.0])
    # The medians, 20 and 40, scale by 0.5: that must not score the missing pixel at the true 40 m.
    depth = np.array([20.0, 40.0, beyond])
    metrics = depth_metrics(depth, truth, median_scaled=median_scaled)
    known = 0.0 if median_scaled else 1.0
    assert metrics.abs_rel == pytest.approx((known + known + (80 - 40) / 40) / 3)


@pytest.mark.parametrize(('predicted', 'scored'), [(500.0, 80.0), (-2.0, 0.1), (-INF, 0.1)])
def test_prediction_is_clamped_to_the_range(predicted, scored):
    metrics = depth_metrics(np.array([predicted]), np.array([50.0]))
    assert metrics.rmse == pytest.approx(abs(50 - scored))


def test_median_scaling_undoes_a_wrong_scale_but_no_wrong_order():
    truth = np.array([5.0, 10.0, 20.0])
    assert depth_metrics(truth * 0.37, truth, median_scaled=True).abs_rel == pytest.approx(0)
    assert depth_metrics(truth * 0.37, truth).abs_rel == pytest.approx(0.63)
    assert depth_metrics(truth[::-1], truth, median_scaled=True).abs_rel > 1


def test_scaling_happens_before_the_clamp():
    # Clamped first, 200 m and 400 m would both become 80 m.
    metrics = depth_metrics(
        np.array([100.0, 200.0, 400.0]), np.array([5.0, 10.0, 20.0]), median_scaled=True
    )
    assert metrics.abs_rel == pytest.approx(0)


@pytest.mark.parametrize('median', [0.0, -4.0])
def test_a_median_that_cannot_scale_is_refused(median):
    with pytest.raises(ValueError, match=f'depth must have a median > 0 m .* got {median:g}'):
        depth_metrics(np.full(3, median), np.full(3, 5.0), median_scaled=True)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r'one shape, got \(2, 2\), \(4,\)'):
        depth_metrics(np.ones((2, 2)), np.ones(4))


def test_metrics_leave_their_arguments_alone():
    depth, truth = np.array([NAN, 3.0]), np.array([5.0, 3.0])
    depth_metrics(depth, truth, median_scaled=True)
    np.testing.assert_array_equal(depth, [NAN, 3.0])


def test_mean_weights_each_image_once():
    near = depth_metrics(np.array([11.0]), np.array([10.0]))
    far = depth_metrics(np.full(9, 13.0), np.full(9, 10.0))
    mean = mean_metrics([near, far])
    assert isinstance(mean, DepthMetrics)
    assert mean.abs_rel == pytest.approx(0.2)
    assert mean.a1 == pytest.approx(0.5)


def test_a_mean_over_nothing_is_refused():
    with pytest.raises(ValueError, match='no image had valid true depth'):
        mean_metrics([])
