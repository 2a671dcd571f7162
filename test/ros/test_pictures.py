"""The demo's pictures: what a colour or a place in them means."""

import numpy as np
from ssd_depth_ros.picture_sheet import CELL_WIDTH, draw_sheet, Instant, relative_error
from ssd_depth_ros.points_picture import draw_points, FARTHEST_M, HEIGHT


def instant(depth: float = 10.0) -> Instant:
    truth = np.full((9, 16), 10.0, np.float32)
    return Instant(
        image=np.full((90, 160, 3), 128, np.uint8),
        depth=np.full((18, 32), depth, np.float32),
        truth=truth,
        sampled=np.full_like(truth, depth),
        caption='caption',
    )


def test_error_colours_run_from_black_to_bright_and_leave_the_unscored_grey() -> None:
    truth = np.array([10.0, 10.0, 10.0, 10.0, np.inf, np.nan, 90.0], np.float32)
    sampled = np.array([10.0, 12.0, 15.0, np.nan, 10.0, 10.0, 10.0], np.float32)
    colours = relative_error(sampled, truth).astype(int)
    brightness = colours.sum(axis=1)
    assert brightness[0] < 20 < brightness[1] < brightness[2]
    np.testing.assert_array_equal(colours[3], colours[2])
    np.testing.assert_array_equal(colours[4:], np.broadcast_to(colours[4], (3, 3)))


def test_sheet_grows_by_one_row_an_instant() -> None:
    one, three = (draw_sheet([instant()] * n, 'title') for n in (1, 3))
    assert three.dtype == np.uint8
    assert three.shape[1] == one.shape[1] > 4 * CELL_WIDTH
    row_height = (three.shape[0] - one.shape[0]) / 2
    assert row_height > CELL_WIDTH * 9 / 16


def test_sheet_shows_the_depth_in_colours_of_distance() -> None:
    near, far = (draw_sheet([instant(metres)], 'title').astype(int) for metres in (3.0, 60.0))
    # The second cell: red is near, blue is far.
    cell = np.s_[120:180, CELL_WIDTH + 60 : CELL_WIDTH + 120]
    assert near[cell][..., 0].mean() > near[cell][..., 2].mean()
    assert far[cell][..., 2].mean() > far[cell][..., 0].mean()


def test_point_to_the_right_is_drawn_to_the_right_and_a_farther_one_higher() -> None:
    empty = draw_points(np.empty((0, 3))).astype(int)
    left_of_above = 960

    def place(*point: float) -> tuple[float, float]:
        drawn = draw_points(np.array([point])).astype(int)
        rows, columns = np.nonzero(np.abs(drawn - empty).sum(axis=2)[:, left_of_above:])
        return float(rows.mean()), float(columns.mean())

    row, column = place(0.0, 0.0, 20.0)
    assert place(5.0, 0.0, 20.0)[1] - column == column - place(-5.0, 0.0, 20.0)[1] > 10
    assert place(0.0, 0.0, 40.0)[0] < row
    # 20 m are a third of the height of what is drawn, the car standing at its foot.
    assert row == np.clip(row, HEIGHT * 0.6, HEIGHT * 0.7)


def test_unknown_and_far_points_are_left_out() -> None:
    points = np.array([[0.0, 0.0, np.nan], [0.0, np.inf, 5.0], [0.0, 0.0, FARTHEST_M + 1]])
    np.testing.assert_array_equal(draw_points(points), draw_points(np.empty((0, 3))))
