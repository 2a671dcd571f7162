import numpy as np
import pytest
from ssd_depth_core.evaluation.frame_score import score_frame
from ssd_depth_core.evaluation.pictures import (
    colour_confidence,
    colour_depth,
    colour_error,
    draw_frame,
    error_map,
    WIDTH,
)
from ssd_depth_core.evaluation.predictions import Prediction
from ssd_depth_core.evaluation.protocol import EvaluationConfig

IMAGE = np.full((180, 320, 3), 200, np.uint8)
CELL = WIDTH + 4


def cells(drawing):
    return [drawing[:, start : start + WIDTH] for start in range(0, drawing.shape[1], CELL)]


@pytest.mark.parametrize('share', [0.001, 1.0])
def test_four_pictures_show_input_prediction_truth_and_error(share):
    truth = np.full((180, 320), np.nan, np.float32)
    truth[85:95, 155:165] = 10.0
    if share == 1.0:
        truth[:] = 10.0
    depth = np.full((18, 32), 12.5, np.float32)
    drawing = draw_frame(IMAGE, depth, truth, EvaluationConfig())
    assert drawing.shape == (270, 4 * CELL - 4, 3)
    picture, predicted, true, error = cells(drawing)
    assert (picture == 200).all()
    assert (predicted == colour_depth(np.array(12.5))).all()
    middle = (135, 240)
    np.testing.assert_array_equal(true[middle], colour_depth(np.array(10.0)))
    np.testing.assert_array_equal(error[middle], colour_error(np.array(0.25)))
    # Elsewhere the input shows, dim.
    assert (true[0, 0] == 100).all() == (share < 1)


def test_beyond_range_is_black_and_near_is_bright():
    colours = colour_depth(np.array([np.nan, np.inf, 2.0, 10.0, 80.0])).astype(int).sum(axis=1)
    assert colours[0] == colours[1] == 0
    assert colours[2] > colours[3] > colours[4] > 0


def test_errors_are_bright_up_to_half_of_the_distance():
    colours = colour_error(np.array([0.0, 0.2, 0.5, 3.0])).astype(int).sum(axis=1)
    assert colours[0] < colours[1] < colours[2] == colours[3]


def test_confidence_is_bright_where_it_is_sure():
    colours = colour_confidence(np.array([0.0, 0.5, 1.0])).astype(int).sum(axis=1)
    assert colours[0] < colours[1] < colours[2]


def test_errors_lie_where_truth_is_scored():
    truth = np.array([[np.nan, np.inf, 0.05], [80.0, 10.0, 40.0]])
    depth = np.array([[1.0, 1.0, 1.0], [1.0, 12.5, np.nan]])
    nan = np.nan
    expected = [[nan, nan, nan], [nan, 0.25, 1.0]]  # beyond range counts as 80 m
    np.testing.assert_allclose(error_map(depth, truth, EvaluationConfig()), expected)


def test_the_mean_of_the_errors_is_the_absrel_of_the_tables(line_of):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-5, 100, (12, 16)).astype(np.float32)
    depth = rng.uniform(0.01, 120, (6, 5)).astype(np.float32)
    depth[2, 2] = np.nan
    config = EvaluationConfig(truth='exact')
    prediction = Prediction(depth=depth, confidence=None)
    scored = score_frame(line_of(), truth, prediction, config).scores[0].metrics.abs_rel
    assert np.nanmean(error_map(depth, truth, config)) == pytest.approx(scored)
