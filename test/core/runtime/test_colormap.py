import numpy as np
from ssd_depth_core.runtime.colormap import colorize, FARTHEST_M, legend, NEAREST_M


def test_near_is_red_and_far_is_blue() -> None:
    ((near, far),) = colorize(np.array([[3.0, 70.0]])).astype(int)
    assert near[0] > 2 * near[2]
    assert far[2] > far[0]


def test_colour_depends_on_the_distance_alone() -> None:
    alone = colorize(np.array([[10.0]]))[0, 0]
    among_others = colorize(np.array([[10.0, 0.5, 79.0, np.nan]]))[0, 0]
    np.testing.assert_array_equal(alone, among_others)


def test_equal_ratios_are_equal_steps() -> None:
    # The middle of a logarithmic scale from 1 m to 100 m is 10 m: index 127 of Turbo's 256.
    middle = colorize(np.array([10.0]), near_m=1.0, far_m=100.0)
    np.testing.assert_array_equal(middle, colorize(np.array([4.0]), near_m=1.0, far_m=16.0))


def test_range_is_clipped_and_unknown_is_black() -> None:
    depth = np.array([NEAREST_M, 0.1, FARTHEST_M, 500.0, np.nan, np.inf])
    nearest, nearer, farthest, farther, unknown, infinite = colorize(depth)
    np.testing.assert_array_equal(nearer, nearest)
    np.testing.assert_array_equal(farther, farthest)
    assert not unknown.any()
    assert not infinite.any()
    assert farthest.any()  # so that range's end and unknown can be told apart


def test_legend_has_the_colours_of_the_map() -> None:
    drawing = legend(200)
    assert drawing.shape == (200, 70, 3)
    np.testing.assert_array_equal(drawing[0, 0], colorize(np.array(FARTHEST_M)))
    np.testing.assert_array_equal(drawing[-1, 0], colorize(np.array(NEAREST_M)))
