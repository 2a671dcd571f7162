import numpy as np
import pytest
from ssd_depth_core.gdt.exposure import darken, draw_luminance, ExposureConfig, MAX_GAMMA


def street():
    """Greys of all levels, some colour, and a lamp."""
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    picture[:20] //= 2
    picture[0, 0] = (255, 180, 0)
    return picture


def grey(*levels):
    return np.repeat(np.array([levels], np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize('luminance', [0.32, 0.247, 0.165])
def test_mean_is_reached(luminance):
    assert darken(street(), luminance).mean() / 255 == pytest.approx(luminance, abs=1e-2)


def test_greys_follow_the_gamma_that_solves_the_mean():
    # By a gamma of 2, levels 51 and 204, which are 0.2 and 0.8, become 0.04 and 0.64.
    darkened = darken(grey(51, 204), luminance=0.34)
    np.testing.assert_array_equal(darkened, grey(round(0.04 * 255), round(0.64 * 255)))


def test_black_and_saturated_lamps_stay():
    picture = grey(0, 255, 200, 200, 200, 200)
    picture[0, 1] = (255, 120, 0)
    darkened = darken(picture, luminance=0.3)
    np.testing.assert_array_equal(darkened[0, :2], picture[0, :2])
    assert (darkened[0, 2:] < 200).all()


def test_nothing_brightens_and_brighter_stays_brighter():
    picture = street()
    darkened = darken(picture, luminance=0.165)
    assert (darkened <= picture).all()
    by_level = np.argsort(picture.max(-1), axis=None)
    assert (np.diff(darkened.max(-1).ravel()[by_level].astype(int)) >= 0).all()


def test_hue_is_kept():
    picture = np.full((4, 4, 3), (200, 100, 50), np.uint8)
    red, green, blue = darken(picture, luminance=0.2)[0, 0].astype(float)
    assert green / red == pytest.approx(1 / 2, abs=0.01)
    assert blue / red == pytest.approx(1 / 4, abs=0.01)


def test_a_darker_picture_is_left_alone():
    picture = grey(10, 40, 90)
    np.testing.assert_array_equal(darken(picture, luminance=0.5), picture)


def test_a_gamma_beyond_the_bound_is_not_taken():
    darkened = darken(grey(230), luminance=0.01)
    np.testing.assert_array_equal(darkened, grey(round(255 * (230 / 255) ** MAX_GAMMA)))


def test_draws_have_the_mean_and_the_spread():
    config = ExposureConfig(mean_luminance=0.165, spread=0.25)
    rng = np.random.default_rng(0)
    draws = np.array([draw_luminance(config, rng) for _ in range(4000)])
    assert draws.mean() == pytest.approx(0.165, rel=0.02)
    assert np.log(draws).std() == pytest.approx(0.25, rel=0.06)


def test_a_seed_gives_one_draw():
    config = ExposureConfig()
    first, again, other = (
        draw_luminance(config, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first == again != other


def test_without_spread_all_are_alike():
    config = ExposureConfig(mean_luminance=0.2, spread=0.0)
    assert draw_luminance(config, np.random.default_rng(0)) == 0.2


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'mean_luminance': 42.0}, 'in \\(0, 1\\), got 42.0'),
        ({'mean_luminance': float('nan')}, 'got nan'),
        ({'spread': -0.1}, 'spread must be in \\[0, 1\\]'),
    ],
)
def test_impossible_config_is_an_error(fields, message):
    with pytest.raises(ValueError, match=message):
        ExposureConfig(**fields)
