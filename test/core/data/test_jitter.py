import numpy as np
import pytest

cv2 = pytest.importorskip('cv2')

from ssd_depth_core.data.jitter import (  # noqa: E402
    apply_jitter,
    GREY,
    hue_turn,
    jitter_matrix,
    JitterConfig,
    NO_JITTER,
)


class Draws:
    """Stands in for a generator and gives the numbers it was made of."""

    def __init__(self, *values):
        self.values = list(values)

    def uniform(self, low, high, size=None):
        assert (low, high) == (-1, 1)
        taken = [self.values.pop(0) for _ in range(size or 1)]
        return np.array(taken) if size else taken[0]


def flat(*colour, size=(4, 6)):
    return np.full((*size, 3), colour, np.uint8)


def jittered(image, *draws, target=None, **config):
    matrix = jitter_matrix(
        image if target is None else target, JitterConfig(**config), Draws(*draws)
    )
    return apply_jitter(image, matrix)


def test_brightness_multiplies():
    assert jittered(flat(100, 50, 20), 1, 0, 0, 0)[0, 0].tolist() == [120, 60, 24]


def test_contrast_turns_about_the_mean_grey():
    image = flat(100, 100, 100)
    image[:, 3:] = 60  # mean 80
    levels = np.unique(jittered(image, 0, -1, 0, 0)).tolist()
    assert levels == [64, 96]


def test_contrast_turns_about_the_brightened_mean():
    image = flat(100, 100, 100)
    image[:, 3:] = 60
    assert np.unique(jittered(image, 1, -1, 0, 0)).tolist() == [round(96 - 19.2), round(96 + 19.2)]


def test_no_saturation_is_the_grey_of_jpeg():
    grey = jittered(flat(200, 100, 50), 0, 0, -1, 0, saturation=1)[0, 0]
    assert grey.tolist() == [round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)] * 3


def test_a_third_of_a_hue_circle_swaps_the_channels():
    turn = GREY + hue_turn(2 * np.pi / 3)
    np.testing.assert_allclose(turn, ((0, 0, 1), (1, 0, 0), (0, 1, 0)), atol=1e-12)


def test_hue_leaves_grey_and_scales_with_its_range():
    assert jittered(flat(90, 90, 90), 0, 0, 0, 1, hue=0.5)[0, 0].tolist() == [90, 90, 90]
    red = flat(120, 0, 0)
    assert jittered(red, 0, 0, 0, 2 / 3, hue=0.5)[0, 0].tolist() == [0, 120, 0]


def test_neighbours_keep_their_brightness_relative_to_the_target():
    target, neighbour = flat(80, 80, 80), flat(90, 90, 90)
    matrix = jitter_matrix(target, JitterConfig(), Draws(0, 1, 0, 0))
    assert apply_jitter(target, matrix)[0, 0, 0] == 80
    assert apply_jitter(neighbour, matrix)[0, 0, 0] == 92


def test_no_jitter_changes_nothing_but_takes_its_draws():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    rng, other = np.random.default_rng(1), np.random.default_rng(1)
    np.testing.assert_array_equal(apply_jitter(image, jitter_matrix(image, NO_JITTER, rng)), image)
    jitter_matrix(image, JitterConfig(), other)
    assert rng.random() == other.random()


def test_defaults_stay_within_the_papers_ranges():
    image = flat(100, 100, 100)
    rng = np.random.default_rng(0)
    levels = [
        apply_jitter(image, jitter_matrix(image, JitterConfig(), rng))[0, 0, 0] for _ in range(300)
    ]
    assert 80 <= min(levels) < 84
    assert 116 < max(levels) <= 120


@pytest.mark.parametrize(('name', 'value'), [('contrast', -0.1), ('brightness', 1.5), ('hue', 1)])
def test_ranges_that_make_no_sense_are_refused(name, value):
    with pytest.raises(ValueError, match=rf'{name} must be in \[0, .*\], got {value}'):
        JitterConfig(**{name: value})
