import math

import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.synthdrive.sky import draw_sky

SKIES = {
    condition: [draw_sky(condition, seed) for seed in range(40)]
    for condition in RENDERED_CONDITIONS
}


def test_sky_follows_seed_and_condition():
    for condition, drawn in SKIES.items():
        assert drawn[5] == draw_sky(condition, 5)
        assert drawn[5] != drawn[6]


def test_draws_that_stored_sets_were_made_of_stay():
    """The first three conditions are drawn as when the shipped student saw them."""
    night, rain, day = (draw_sky(c, 5) for c in ('night', 'day-rain', 'day-clear'))
    found = [night.head_lamps, rain.extinction, day.sun[0]]
    assert found == pytest.approx([1.296208934280386, 0.004815271610046804, 0.24564926700340356])


def test_only_nights_have_lamps_and_only_rain_is_wet():
    for condition, drawn in SKIES.items():
        assert all(sky.night == condition.startswith('night') for sky in drawn)
        assert all((sky.head_lamps > 0) == sky.night for sky in drawn)
        assert all((sky.wetness >= 0.5) == condition.endswith('rain') for sky in drawn)
        assert all((sky.snow > 0) == (condition == 'snow') for sky in drawn)
    brightest = max(max(sky.horizon) for sky in SKIES['night'])
    assert brightest < 0.1 * min(max(sky.horizon) for sky in SKIES['day-clear'])


def test_suns_stand_above_the_roofs():
    for drawn in SKIES.values():
        for sky in drawn:
            assert math.hypot(*sky.to_sun) == pytest.approx(1.0)
            assert sky.to_sun[2] > 0.2


def test_fog_lets_see_40_to_200_metres():
    """2 % of a contrast is left at the meteorological visibility."""
    visibility = [-math.log(0.02) / sky.extinction for sky in SKIES['fog']]
    assert 40.0 <= min(visibility) < 55.0
    assert 150.0 < max(visibility) <= 200.1
    for condition in ('day-clear', 'night'):
        assert max(sky.extinction for sky in SKIES[condition]) < min(
            sky.extinction for sky in SKIES['fog']
        )
    # What the air adds is what stands behind it: no edge between far houses and the sky.
    assert all(sky.airlight == 1.0 for sky in SKIES['fog'])


def test_the_sun_is_faint_in_fog():
    assert max(max(sky.sun) for sky in SKIES['fog']) < 0.5 * np.median(
        [max(sky.sun) for sky in SKIES['day-clear']]
    )
