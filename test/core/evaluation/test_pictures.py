import numpy as np
import pytest
from ssd_depth_core.evaluation.pictures import colour_depth, colour_error, draw_frame, WIDTH
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
