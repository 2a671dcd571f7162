import dataclasses

import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.lamp_glare import add_glare
from ssd_depth_core.gdt.procedural.lamps import (
    add_lamp_heads,
    draw_street_lamps,
    lamp_light,
    StreetLamps,
)
from ssd_depth_core.gdt.procedural.night import draw_noise, lit_lamps, night_light
from ssd_depth_core.gdt.procedural.scene import scene_of

NO_LAMPS = StreetLamps(np.zeros((0, 3), np.float32), np.ones(3, np.float32))


@pytest.fixture
def scene(request_for):
    return scene_of(request_for('night'), ProceduralConfig())


def test_head_lamps_light_near_things_and_not_high_ones(scene):
    light = lamp_light(scene, NO_LAMPS, 1.0, np.zeros(3, np.float32))
    assert light[90, 80].min() > 5 * light[60, 80].max()  # road at 4 m, and at 14 m
    # The wall at 20 m: 0.3 to 0.8 m up, below the beam's edge, and 4 to 5 m up.
    low, high = light[51:55, 30:50].mean(), light[26:32, 30:50].mean()
    assert low > 5 * high > 0
    twice = lamp_light(scene, NO_LAMPS, 2.0, np.zeros(3, np.float32))
    np.testing.assert_allclose(twice, 2 * light, rtol=1e-4, atol=1e-7)


def test_head_lamps_leave_the_sky_alone(scene, monkeypatch):
    dark = night_light(scene, 1.0, np.random.default_rng(5))
    monkeypatch.setattr('ssd_depth_core.gdt.procedural.lamps._HEAD_POWER', 0.0)
    without = night_light(scene, 1.0, np.random.default_rng(5))
    sky = scene.sky == 1
    assert sky.sum() > 1000
    np.testing.assert_array_equal(dark[sky], without[sky])
    assert (dark[80:] > without[80:]).all()


def test_night_skies_are_dark(scene):
    light = night_light(scene, 1.0, np.random.default_rng(5))
    assert np.median(light[:10]) < 0.1


def test_a_street_lamp_lights_the_road_below_it(scene):
    place = np.array([[1.0, 8.0, 12.0]], np.float32)
    street = StreetLamps(place, np.array([10.0, 5.0, 2.0], np.float32))
    light = lamp_light(scene, street, 0.0, np.zeros(3, np.float32))
    row = round(47.5 + 120 * 1.5 / 12)  # road at 12 m
    column = round(79.5 + 120 * 1.0 / 12)
    # Straight down: power / (height^2 + 1).
    np.testing.assert_allclose(light[row, column], np.array([10, 5, 2]) / 65, rtol=0.05)


def test_a_lamp_head_shows_only_where_nothing_nearer_stands(scene):
    # 25 m ahead, 5 m up: (1.5 - 5) / 25 * 120 rows below the horizon.
    def shown(right):
        street = StreetLamps(np.array([[right, 5.0, 25.0]], np.float32), np.ones(3, np.float32))
        light = np.zeros_like(scene.light)
        add_lamp_heads(light, scene, street)
        return light

    free = shown(4.0)
    row, column = np.unravel_index(free[..., 0].argmax(), free.shape[:2])
    assert row == pytest.approx(47.5 - 16.8, abs=1)
    assert column == pytest.approx(79.5 + 19.2, abs=1)
    assert shown(-8.0).max() == 0  # behind the wall, which stands at 20 m
    assert shown(100.0).max() == 0  # outside


def test_streets_differ(scene):
    counts = {len(draw_street_lamps(np.random.default_rng(seed)).place) for seed in range(30)}
    assert 0 in counts
    assert max(counts) >= 4


def test_glare_spreads_from_what_is_bright_and_only_from_there():
    light = np.full((96, 160, 3), 0.5, np.float32)
    np.testing.assert_allclose(add_glare(light, 0.3), light)
    light[48:52, 80:84] = 50.0
    dazzled = add_glare(light, 0.3)
    assert (dazzled >= light).all()
    away = dazzled[50, 84:150:8, 0]
    assert (np.diff(away) < 0).all()
    assert away[0] > 1.0


def test_lamps_that_are_on_by_day_are_small_and_red(request_for):
    picture = np.full((96, 160, 3), 90, np.uint8)
    picture[35:38, 90:93] = (250, 30, 20)
    picture[35:38, 110:113] = (30, 60, 250)  # a patch of sky between leaves
    picture[35:38, 130:133] = (200, 200, 200)
    inverse_depth = np.full((96, 160), 0.1, np.float32)
    scene = scene_of(
        request_for('night', picture=picture, inverse_depth=inverse_depth), ProceduralConfig()
    )
    scene = dataclasses.replace(scene, ground=np.zeros_like(scene.ground))
    found = lit_lamps(scene)[..., 0] > 0.01
    assert found[36, 91]
    assert not found[:, 105:].any()
    assert found.sum() < 60


def test_gain_amplifies_noise_as_it_does_light():
    # s = g s0: the variance of shot noise grows with g at the same s, that of read noise with g^2.
    plain = draw_noise(1.0, 1.0, np.random.default_rng(3))
    amplified = draw_noise(1.0, 4.0, np.random.default_rng(3))
    assert amplified.shot == pytest.approx(2 * plain.shot)
    assert amplified.read == pytest.approx(4 * plain.read)
    closed = draw_noise(1.0, 0.2, np.random.default_rng(3))
    assert closed == plain
    assert draw_noise(0.5, 1.0, np.random.default_rng(3)).read == pytest.approx(plain.read / 2)


@pytest.mark.parametrize('condition', ['night', 'night-rain'])
def test_a_near_wall_in_the_head_lamps_closes_the_camera(request_for, translator, condition):
    near = np.full((96, 160), 0.4, np.float32)  # 2.5 m ahead
    pictures = [
        translator().translate([request_for(condition, seed=seed, inverse_depth=near)])[0].picture
        for seed in range(8)
    ]
    assert np.mean([(picture >= 250).mean() for picture in pictures]) < 0.05


def test_windows_shine_in_the_night(scene, monkeypatch):
    panes = np.zeros_like(scene.light)
    panes[25:30, 20:30] = 3.0

    def light(shine):
        monkeypatch.setattr(
            'ssd_depth_core.gdt.procedural.night.lit_windows', lambda scene, rng: shine
        )
        return night_light(scene, 1.0, np.random.default_rng(5))

    np.testing.assert_allclose(light(panes) - light(0 * panes), panes, atol=1e-5)
