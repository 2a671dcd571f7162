import numpy as np
import pytest
from ssd_depth_core.evaluation.temporal import flicker, scale_changes

SIZE = (40, 60)
K = np.array([[50.0, 0.0, 29.5], [0.0, 50.0, 19.5], [0.0, 0.0, 1.0]])
AHEAD = np.eye(4)
AHEAD[2, 3] = 2.0  # the camera has driven 2 m: points were 2 m farther in the frame before


def measured(depth, previous, truth=10.0, T=AHEAD):
    rows, columns = (grid.ravel() for grid in np.indices(SIZE))
    return flicker(
        np.broadcast_to(depth, rows.shape),
        previous,
        rows=rows,
        columns=columns,
        truth=np.full(rows.shape, truth),
        K=K,
        T_source_target=T,
        size=SIZE,
        min_depth_m=0.1,
        max_depth_m=80.0,
    )


def test_true_depth_holds_still():
    assert measured(10.0, np.full(SIZE, 12.0)) == pytest.approx(0, abs=1e-12)


def test_a_wrong_but_steady_scale_does_not_flicker():
    assert measured(5.0, np.full(SIZE, 6.0)) == pytest.approx(0, abs=1e-12)


def test_a_change_of_scale_flickers():
    assert measured(10.0, np.full(SIZE, 13.2)) == pytest.approx(np.log(1.1))


def test_depth_that_ignores_the_motion_flickers():
    assert measured(10.0, np.full(SIZE, 10.0)) == pytest.approx(np.log(1.2))


def test_the_point_is_looked_up_where_it_was():
    # Turned so far that what lies ahead lay 10 pixels to the right.
    angle = np.arctan(10 / 50)
    T = np.eye(4)
    T[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    previous = np.full(SIZE, 99.0)
    previous[19:21, 39:41] = 10 * np.cos(angle)
    found = flicker(
        np.array([10.0]),
        previous,
        rows=np.array([19.5]),
        columns=np.array([29.5]),
        truth=np.array([10.0]),
        K=K,
        T_source_target=T,
        size=SIZE,
        min_depth_m=0.1,
        max_depth_m=80.0,
    )
    assert found == pytest.approx(0, abs=1e-9)


def test_beyond_range_counts_as_the_cap():
    depth = np.full(SIZE, np.nan)
    assert measured(np.nan, depth) == pytest.approx(np.log(1.2))


def test_no_common_point_gives_none():
    behind = np.eye(4)
    behind[2, 3] = -20.0
    assert measured(10.0, np.full(SIZE, 12.0), T=behind) is None


def test_scales_are_compared_within_a_drive_in_the_order_of_time():
    changes = scale_changes(
        [1.0, 4.0, 2.0, 8.0, 1.0],
        [('a', 'f'), ('a', 'f'), ('a', 'f'), ('a', 'f'), ('b', 'f')],
        [0, 1_000_000, 500_000, 9_000_000, 1_500_000],
    )
    np.testing.assert_allclose(changes, [np.nan, np.log(2), np.log(2), np.nan, np.nan])
