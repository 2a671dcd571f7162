import numpy as np
import pytest
from ssd_depth_core.evaluation.edges import depth_edges, MAX_DISTANCE_PX, score_edges

RANGE = {'min_depth_m': 0.1, 'max_depth_m': 80.0}


def wall(column, size=(60, 100), near=10.0, far=20.0):
    depth = np.full(size, far)
    depth[:, :column] = near
    return depth


def test_an_edge_lies_before_the_step():
    edges = depth_edges(np.array([[10.0, 10.5, 12.0], [10.0, 10.5, 12.0]]))
    np.testing.assert_array_equal(edges, [[False, True, False]] * 2)


def test_nothing_is_an_edge_beside_the_unknown():
    assert not depth_edges(np.array([[10.0, np.nan, 20.0]])).any()


def test_the_truth_itself_has_no_boundary_error():
    score = score_edges(wall(50), wall(50), **RANGE)
    assert (score.accuracy_px, score.completeness_px, score.f1) == (0, 0, 1)


@pytest.mark.parametrize('size', [(90, 1600), (77, 1280), (60, 1000)])
def test_nor_has_it_where_it_is_larger_than_the_grid(size):
    truth = np.full(size, 60.0, np.float32)
    for column in range(0, size[1], 53):
        truth[10:50, column : column + 17] = 5.0 + column / 100
    score = score_edges(truth, truth, **RANGE)
    assert (score.accuracy_px, score.completeness_px, score.f1) == (0, 0, 1)


@pytest.mark.parametrize(('shift', 'f1'), [(1, 1.0), (2, 1.0), (3, 0.0), (-4, 0.0)])
def test_a_shift_is_measured_in_pixels(shift, f1):
    score = score_edges(wall(50 + shift), wall(50), **RANGE)
    assert score.accuracy_px == pytest.approx(abs(shift))
    assert score.completeness_px == pytest.approx(abs(shift))
    assert score.f1 == f1


def test_a_missed_edge_costs_the_whole_distance():
    score = score_edges(np.full((60, 100), 15.0), wall(50), **RANGE)
    assert (score.accuracy_px, score.completeness_px, score.f1) == (
        MAX_DISTANCE_PX,
        MAX_DISTANCE_PX,
        0,
    )


def test_an_edge_out_of_thin_air_costs_precision_alone():
    depth = wall(50)
    depth[:, 90:] = 40.0
    score = score_edges(depth, wall(50), **RANGE)
    assert score.completeness_px == 0
    assert score.accuracy_px == 0  # as in iBims-1: far from any true edge it is not compared
    assert score.f1 == pytest.approx(2 / 3)  # half of the edges are right, none is missed


def test_blur_costs_accuracy():
    depth = wall(50)
    depth[:, 45:55] = 10 * 2 ** (np.arange(10) / 9)  # steps of 8 %: no edge at all
    assert score_edges(depth, wall(50), **RANGE).f1 == 0
    depth[:, 47:53] = 10 * 2 ** (np.arange(6) / 5)  # steps of 15 %: a broad one
    assert score_edges(depth, wall(50), **RANGE).accuracy_px > 1


def test_a_truth_without_edges_is_not_scored():
    assert score_edges(wall(50), np.full((60, 100), 5.0), **RANGE) is None


def test_sky_beyond_range_meets_sky():
    truth, depth = wall(50, far=np.inf), wall(50, far=np.nan)
    score = score_edges(depth, truth, **RANGE)
    assert (score.accuracy_px, score.completeness_px) == (0, 0)
