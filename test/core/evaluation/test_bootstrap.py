import numpy as np
import pytest
from ssd_depth_core.evaluation.bootstrap import mean_and_interval, ratio_and_interval


def interval(values, scenes, seed=0, replicates=4000):
    values = np.array(values, float)
    return mean_and_interval(
        values.reshape(len(scenes), -1), scenes, seed=seed, replicates=replicates
    )


def test_two_scenes_give_their_own_means_as_the_ends():
    # Draws: aa (1/4), ab or ba (1/2), bb (1/4): the 2.5 % and 97.5 % quantiles are aa and bb.
    means, ends = interval([1, 1, 1, 3], ['a', 'a', 'a', 'b'])
    assert means == pytest.approx([1.5])  # each frame counts once
    np.testing.assert_allclose(ends[:, 0], [1, 3])


def test_twins_of_a_street_are_drawn_together():
    _, none = interval([1, 3], ['street-0001-day-clear', 'street-0001-night-rain'])
    assert none is None
    twins = ['street-0001-day-clear', 'street-0001-night', 'street-0002-day-clear']
    _, ends = interval([1, 3, 5], twins)
    np.testing.assert_allclose(ends[:, 0], [2, 5])


def test_a_scene_counts_by_its_frames_in_every_draw():
    # One scene of 95 frames at 0, five of one frame at 1. Every draw that holds the long one is at
    # most 0.05, and one in three is 1; were scenes averaged, the lower end would be 0.5.
    _, ends = interval([0] * 95 + [1] * 5, ['a'] * 95 + list('bcdef'))
    assert 0 < ends[0, 0] < 0.05
    assert ends[1, 0] == 1


def test_many_scenes_come_near_the_normal_interval():
    values = np.random.default_rng(1).normal(5.0, 1.0, 400)
    _, ends = interval(values, [str(i) for i in range(400)])
    assert ends[:, 0] == pytest.approx(values.mean() + np.array([-1.96, 1.96]) / 20, abs=0.012)


def test_frames_of_one_scene_are_no_independent_witnesses():
    # The same 20 values, each 50 times: as wide as 20 frames, not as narrow as 1,000.
    values = np.random.default_rng(2).normal(size=20)
    _, alone = interval(values, list('abcdefghijklmnopqrst'))
    _, repeated = interval(
        np.repeat(values, 50), list(np.repeat(list('abcdefghijklmnopqrst'), 50))
    )
    np.testing.assert_allclose(repeated, alone)


def test_equal_values_have_an_interval_without_width():
    _, ends = interval([7, 7, 7], ['a', 'b', 'c'])
    np.testing.assert_array_equal(ends[:, 0], [7, 7])


def test_one_scene_has_no_interval():
    means, ends = interval([1, 2], ['a', 'a'])
    assert means == pytest.approx([1.5])
    assert ends is None


def test_a_value_that_a_frame_lacks_does_not_count():
    nan = float('nan')
    means, ends = interval([[1, nan, nan], [3, 5, nan]], ['a', 'b'])
    np.testing.assert_array_equal(means, [2, 5, nan])
    np.testing.assert_array_equal(ends, [[1, nan, nan], [3, nan, nan]])


def test_the_seed_decides():
    values, scenes = np.random.default_rng(3).normal(size=9), list('abcdefghi')
    _, first = interval(values, scenes, replicates=100)
    _, again = interval(values, scenes, replicates=100)
    _, other = interval(values, scenes, seed=1, replicates=100)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_ratio_is_that_of_the_sums_of_the_same_scenes():
    above, below = np.array([[1.0], [2.0], [9.0]]), np.array([[2.0], [2.0], [6.0]])
    ratios, ends = ratio_and_interval(above, below, list('aab'), seed=0, replicates=400)
    assert ratios == pytest.approx([12 / 10])
    # The ends are the scenes alone, 3 / 4 and 9 / 6; drawn apart from each other, sums would
    # reach 6 / 12 and 18 / 8.
    np.testing.assert_allclose(ends[:, 0], [3 / 4, 9 / 6])


def test_there_is_no_ratio_to_nothing():
    above, below = np.ones((3, 2)), np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    ratios, ends = ratio_and_interval(above, below, list('abc'), seed=0, replicates=100)
    np.testing.assert_array_equal(ratios, [np.nan, 1.5])
    assert np.isnan(ends).all()  # one scene alone has a denominator
