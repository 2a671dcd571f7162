from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.synthdrive.precipitation import draw_precipitation, fall, Precipitation
import torch

K = torch.tensor([[80.0, 0.0, 47.5], [0.0, 80.0, 31.5], [0.0, 0.0, 1.0]])
FAR = torch.full((64, 96), 20.0)
FLAT = torch.full((64, 96, 3), 0.5)
RAIN, SNOW = Precipitation(streaks=8.0), Precipitation(flakes=10.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def fallen(weather, radiance=FLAT, depth=FAR, seed=0, time_s=0.005):
    return fall(radiance, depth, K, time_s, weather, seeded(seed))


def test_only_rain_has_streaks_and_drops_and_only_snow_flakes():
    for condition in RENDERED_CONDITIONS:
        drawn = [draw_precipitation(condition, seeded(seed)) for seed in range(20)]
        rain = condition in ('day-rain', 'night-rain')
        assert all((weather.streaks > 0) == rain for weather in drawn)
        assert any(weather.drops for weather in drawn) == rain
        assert all((weather.flakes > 0) == (condition == 'snow') for weather in drawn)
        assert {weather.lit_by_lamps for weather in drawn} == {condition == 'night-rain'}


def test_weather_follows_the_seed():
    assert draw_precipitation('day-rain', seeded(3)) == draw_precipitation('day-rain', seeded(3))
    assert draw_precipitation('day-rain', seeded(3)) != draw_precipitation('day-rain', seeded(4))


def test_dry_air_changes_nothing():
    assert torch.equal(fallen(Precipitation()), FLAT)


@pytest.mark.parametrize('weather', [RAIN, SNOW])
def test_it_falls_before_what_is_far_only_and_afresh_in_every_picture(weather):
    depth = FAR.clone()
    depth[:, :48] = 0.5
    picture = fallen(weather, depth=depth)
    assert torch.equal(picture[:, :48], FLAT[:, :48])
    changed = (picture != FLAT)[:, 48:].any(-1)
    assert 0.002 < changed.float().mean() < 0.5
    assert (picture[:, 48:][changed] > FLAT[:, 48:][changed]).all()
    assert torch.equal(picture, fallen(weather, depth=depth))
    assert not torch.equal(picture, fallen(weather, depth=depth, seed=1))


def test_a_longer_exposure_draws_longer_streaks():
    def lit(time_s):
        return int((fallen(RAIN, time_s=time_s) != FLAT).any(-1).sum())

    assert lit(0.02) > 2 * lit(0.004)


def test_near_flakes_are_few_large_and_soft():
    """Two metres away the far layer is hidden: what remains is the near one."""
    snow = Precipitation(flakes=40.0)
    tall, depth = torch.full((400, 600, 3), 0.5), torch.full((400, 600), 1.5)
    near = fallen(snow, tall, depth)[..., 0] - 0.5
    every = fallen(snow, tall, torch.full((400, 600), 20.0))[..., 0] - 0.5
    assert near.max() < 0.5 * every.max()  # see-through
    assert near.diff(dim=0).abs().max() < 0.4 * every.diff(dim=0).abs().max()
    assert (near > 0.01).float().mean() < 0.8 * (every > 0.01).float().mean()


def test_lamps_light_rain_where_they_are_and_before_the_car():
    radiance = torch.full((64, 96, 3), 0.02)
    radiance[4:8, 40:56] = 4.0
    night = replace(RAIN, streaks=300.0, lit_by_lamps=True)
    added = (fallen(night, radiance) - radiance)[..., 0]
    assert added[:14, 36:60].mean() > 3 * added[:14, :20].mean()
    assert added[44:, :20].mean() > 2 * added[:14, :20].mean()


def test_a_drop_changes_its_own_place_only():
    radiance = torch.linspace(0.1, 1.0, 64)[:, None, None].expand(64, 96, 3)
    weather = Precipitation(drops=((0.0, 0.0, 0.3),))
    picture = fallen(weather, radiance)
    changed = (picture - radiance).abs().amax(-1) > 1e-5
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing='ij')
    aside = (((x - 47.5) / 47.5 * 1.5) ** 2 + ((y - 31.5) / 31.5 * 0.85) ** 2).sqrt()
    assert changed.any()
    assert not changed[aside > 0.31].any()
    # Upside down: what lies below shows in the drop's upper half.
    assert picture[26, 48, 0] > radiance[26, 48, 0]
    assert picture[37, 48, 0] < radiance[37, 48, 0]


def test_drops_stay_where_streaks_are_fresh():
    weather = Precipitation(drops=((0.3, -0.2, 0.2),))
    first, second = (fallen(weather, seed=seed) for seed in (0, 1))
    assert torch.equal(first, second)
    np.testing.assert_allclose(first[:10, :10], 0.5, rtol=1e-5)
