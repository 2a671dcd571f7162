import math

import numpy as np
import pytest
from ssd_depth_core.gdt.geometry_scores import (
    aligned_log_depths,
    edge_f1,
    FAR_RATIO,
    log_error,
    missed_depth,
    on_grid,
    ordinal_agreement,
    SLACK,
    UnusableDepthError,
)

SIZE = (96, 160)


def ramp(far=0.02, near=0.5):
    """A road: far above, near below."""
    return np.repeat(np.linspace(far, near, SIZE[0], dtype=np.float32)[:, None], SIZE[1], 1)


def wall(log_depth, *, columns=slice(60, 110)):
    """A plane at log depth 1 with a wall before it."""
    plane = np.ones(SIZE, np.float32)
    plane[:, columns] = log_depth
    return plane


def test_scale_is_taken_out():
    reference, estimate = aligned_log_depths(ramp(), 7 * ramp(), with_shift=False)
    np.testing.assert_allclose(estimate, reference, atol=1e-5)


def test_scale_and_shift_are_taken_out_where_both_are_unknown():
    reference, estimate = aligned_log_depths(ramp(), 7 * ramp() - 0.3, with_shift=True)
    np.testing.assert_allclose(estimate, reference, atol=1e-4)


def test_a_shift_stays_in_metric_depth():
    reference, estimate = aligned_log_depths(ramp(), ramp() + 0.2, with_shift=False)
    assert log_error(reference, estimate) > 0.2


def test_log_depth_begins_at_the_nearest_twentieth_and_ends_where_all_is_far():
    inverse = ramp()
    inverse[:20] = 0.0  # the sky
    reference, _ = aligned_log_depths(inverse, inverse, with_shift=False)
    assert np.mean(reference < 0) == pytest.approx(0.05, abs=0.01)
    np.testing.assert_allclose(reference[:20], math.log(FAR_RATIO), rtol=1e-6)


@pytest.mark.parametrize(
    ('reference', 'estimate', 'reason'),
    [
        (ramp(), ramp()[:-1], 'differ'),
        (ramp(), np.full(SIZE, np.inf, np.float32), 'estimate has values that are not finite'),
        (np.full(SIZE, 0.3, np.float32), ramp(), 'reference is constant'),
        (ramp(), np.zeros(SIZE, np.float32), 'estimate is constant'),
        (np.eye(96, 160, dtype=np.float32), ramp(), 'reference is far in 95 %'),
        (ramp(), np.eye(96, 160, dtype=np.float32), 'estimate is far where the reference is near'),
    ],
)
def test_depth_that_cannot_be_compared_is_named(reference, estimate, reason):
    with pytest.raises(UnusableDepthError, match=reason):
        aligned_log_depths(reference, estimate, with_shift=False)


def test_log_error_of_half_the_picture_off_by_a_factor():
    estimate = ramp().copy()
    estimate[:, :80] += math.log(4)
    assert log_error(ramp(), estimate) == pytest.approx(math.log(4) / 2, rel=1e-5)


def test_order_is_kept_by_any_growing_function_and_turned_by_a_falling_one():
    log_depth = -np.log(ramp())
    assert ordinal_agreement(log_depth, log_depth**3) == 1.0
    assert ordinal_agreement(log_depth, -log_depth) == 0.0
    assert ordinal_agreement(log_depth, np.zeros(SIZE)) == 0.5


def test_depths_that_hardly_differ_have_no_order():
    flat = np.zeros(SIZE)
    flat[:, 80:] = 0.9 * math.log(1.1)
    assert ordinal_agreement(flat, flat) is None


def test_an_edge_two_pixels_off_counts_within_a_tolerance_of_two():
    reference, estimate = wall(0.0), wall(0.0, columns=slice(62, 112))
    assert edge_f1(reference, estimate, 2.0) == 1.0
    assert edge_f1(reference, estimate, 1.0) == 0.0


def test_half_of_the_edges_missed_leave_two_thirds():
    # Both edges of the wall are there, the estimate has but one: precision 1, recall 1/2.
    assert edge_f1(wall(0.0), wall(0.0, columns=slice(60, 160)), 1.0) == pytest.approx(2 / 3)


def test_no_edges_to_find_and_no_edges_found():
    assert edge_f1(wall(1.0), wall(0.0), 1.0) is None
    assert edge_f1(wall(0.0), wall(1.0), 1.0) == 0.0


def test_a_wall_that_is_gone_is_missed_by_how_much_farther_all_is_there():
    farther, nearer = missed_depth(wall(0.3), wall(1.0))
    np.testing.assert_allclose(farther[:, 60:110], 0.7 - SLACK, atol=1e-6)
    assert not farther[:, :60].any()
    assert not farther[:, 110:].any()
    assert not nearer.any()


def test_a_wall_that_is_new_is_missed_by_how_much_nearer_all_is_there():
    farther, nearer = missed_depth(wall(1.0), wall(0.3))
    np.testing.assert_allclose(nearer[:, 60:110], 0.7 - SLACK, atol=1e-6)
    assert not nearer[:, :60].any()
    assert not farther.any()


def test_a_thing_narrower_than_the_shift_is_missed_all_the_same():
    farther, _ = missed_depth(wall(0.3, columns=slice(80, 83)), wall(1.0))
    np.testing.assert_allclose(farther[:, 80:83], 0.7 - SLACK, atol=1e-6)
    assert farther.sum() == pytest.approx(96 * 3 * (0.7 - SLACK), rel=1e-5)


def test_things_a_little_off_are_not_missed():
    assert not np.any(missed_depth(wall(0.0), wall(0.9 * SLACK)))
    assert not np.any(missed_depth(wall(0.0), wall(0.0, columns=slice(62, 112))))
    assert np.any(missed_depth(wall(0.0), wall(0.0, columns=slice(63, 113))))


def test_the_grid_has_the_pictures_aspect_ratio_and_invents_no_depth():
    inverse = np.zeros((90, 160), np.float32)
    inverse[:, 80:] = 1.0
    grid = on_grid(inverse)
    assert grid.shape == (180, 320)
    assert set(np.unique(grid)) == {0.0, 1.0}
