import numpy as np
import pytest
from ssd_depth_core.evaluation.resample import sample_aligned

NAN = float('nan')


def resized(values, size):
    rows, columns = np.indices(size)
    return sample_aligned(values, rows.ravel(), columns.ravel(), size).reshape(size)


@pytest.mark.parametrize('size', [(90, 160), (7, 5), (12, 20), (1, 1), (3, 1)])
def test_a_whole_grid_is_resized_as_torch_does(size):
    torch = pytest.importorskip('torch')
    values = np.random.default_rng(0).uniform(0.1, 80, (12, 20))
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size, mode='bilinear', align_corners=True
    )[0, 0]
    np.testing.assert_allclose(resized(values, size), expected, rtol=0, atol=1e-6)


def test_chosen_pixels_are_those_of_the_whole_grid():
    generator = np.random.default_rng(1)
    values = generator.uniform(0.1, 80, (18, 32))
    rows, columns = generator.integers(0, 90, 200), generator.integers(0, 160, 200)
    chosen = sample_aligned(values, rows, columns, (90, 160))
    np.testing.assert_allclose(chosen, resized(values, (90, 160))[rows, columns], atol=1e-6)


def test_a_ramp_stays_a_ramp_between_its_corners():
    # With aligned corners a ramp of 3 becomes the same ramp of 5: 1, 1.5, 2, 2.5, 3.
    np.testing.assert_allclose(
        resized(np.array([[1.0, 2.0, 3.0]]), (1, 5))[0], [1, 1.5, 2, 2.5, 3]
    )


def test_the_same_size_changes_nothing():
    values = np.random.default_rng(2).uniform(0, 1, (37, 53)).astype(np.float32)
    np.testing.assert_array_equal(resized(values, (37, 53)), values)


def test_what_is_beyond_range_spreads_to_where_it_counts_and_no_further():
    values = np.array([[2.0, NAN, 4.0]])
    np.testing.assert_array_equal(resized(values, (1, 3)), values)
    np.testing.assert_array_equal(resized(values, (1, 5)), [[2, NAN, NAN, NAN, 4]])


def test_places_between_pixels_are_interpolated():
    values = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_allclose(
        sample_aligned(values, np.array([0.5]), np.array([0.25]), (2, 2)), [1.25]
    )
