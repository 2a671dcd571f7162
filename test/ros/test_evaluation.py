import numpy as np
import pytest
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_ros.bag_depth import DepthGrid
from ssd_depth_ros.evaluation import sample_at, score_frames

SIZE = (4, 8)
K = np.array([[10.0, 0.0, 3.5], [0.0, 12.0, 1.5], [0.0, 0.0, 1.0]])


def grid(depth: np.ndarray, K: np.ndarray = K) -> DepthGrid:
    return DepthGrid(depth=depth.astype(np.float32), K=K)


def numbered(size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.arange(1.0, size[0] * size[1] + 1).reshape(size)


def test_same_grid_is_read_as_it_is() -> None:
    np.testing.assert_array_equal(sample_at(grid(numbered()), grid(np.ones(SIZE))), numbered())


@pytest.mark.parametrize('factor', [2, 3, 5])
def test_larger_truth_reads_each_pixel_once_a_block(factor: int) -> None:
    size = (SIZE[0] * factor, SIZE[1] * factor)
    truth = grid(np.ones(size), resize_intrinsics(K, SIZE, size))
    blocks = np.kron(numbered(), np.ones((factor, factor)))
    np.testing.assert_array_equal(sample_at(grid(numbered()), truth), blocks)


def test_smaller_truth_reads_the_pixel_at_its_centre() -> None:
    size = (SIZE[0] * 3, SIZE[1] * 3)
    depth = grid(numbered(size), resize_intrinsics(K, SIZE, size))
    np.testing.assert_array_equal(
        sample_at(depth, grid(np.ones(SIZE))), numbered(size)[1::3, 1::3]
    )


def test_strided_truth_reads_the_very_pixels_that_were_kept() -> None:
    strided = K.copy()
    strided[:2] /= 2
    sampled = sample_at(grid(numbered()), grid(np.ones((2, 4)), strided))
    np.testing.assert_array_equal(sampled, numbered()[::2, ::2])


def test_outside_the_other_view_is_unknown() -> None:
    shifted = K.copy()
    shifted[0, 2] -= 2.0  # the other grid begins two columns further to the right
    sampled = sample_at(grid(numbered(), shifted), grid(np.ones(SIZE)))
    assert np.isnan(sampled[:, :2]).all()
    np.testing.assert_array_equal(sampled[:, 2:], numbered()[:, :-2])


def test_scores_are_of_common_stamps_in_order() -> None:
    truth = {stamp: grid(np.full(SIZE, 10.0)) for stamp in (1, 2, 3)}
    depth = {3: grid(np.full(SIZE, 12.0)), 1: grid(np.full(SIZE, 9.0)), 7: grid(np.ones(SIZE))}
    scores = score_frames(depth, truth)
    assert [score.stamp_ns for score in scores] == [1, 3]
    assert [score.metric.abs_rel for score in scores] == pytest.approx([0.1, 0.2])
    assert [score.median_scaled.abs_rel for score in scores] == pytest.approx([0.0, 0.0])


def test_unknown_depth_is_scored_as_far_and_sky_not_at_all() -> None:
    depth, truth = np.full(SIZE, 10.0), np.full(SIZE, 10.0)
    depth[0] = np.nan
    truth[1:3] = np.inf
    (score,) = score_frames({1: grid(depth)}, {1: grid(truth)})
    assert score.metric.abs_rel == pytest.approx((80 - 10) / 10 / 2)
    assert score_frames({1: grid(depth)}, {1: grid(np.full(SIZE, np.inf))}) == []
