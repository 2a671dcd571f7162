from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.synthdrive.imaging import draw_sensor, expose, Sensor
import torch

PLAIN = Sensor(
    exposure=0.2, gain_limit=4.0, read_noise=0.0, shot_noise=0.0, bloom=0.0, vignetting=0.0,
    white_balance=(1.0, 1.0, 1.0), gamma=2.2, saturation=1.0, streaks=0.0, drops=(),
)  # fmt: skip
FAR = torch.full((64, 96), 20.0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(level):
    return torch.full((64, 96, 3), float(level))


def shoot(radiance, sensor=PLAIN, depth=FAR, seed=0):
    return expose(radiance, depth, sensor, seeded(seed))


def coded(linear, gamma=2.2):
    return int((linear / (1 + 0.25 * linear)) ** (1 / gamma) * 255 + 0.5)


def test_picture_is_8_bit_of_the_radiances_size():
    image = shoot(torch.rand(45, 91, 3), depth=torch.ones(45, 91))
    assert image.dtype == torch.uint8
    assert image.shape == (45, 91, 3)


@pytest.mark.parametrize('level', [0.1, 1.0, 50.0])
def test_exposure_brings_the_mean_to_its_aim(level):
    assert (shoot(flat(level)) == coded(0.2)).all()


def test_gain_is_limited_so_that_the_night_stays_dark():
    dark = 0.01
    assert (shoot(flat(dark)) == coded(4.0 * dark)).all()
    assert (shoot(flat(dark), replace(PLAIN, gain_limit=1.0)) == coded(dark)).all()
    assert coded(4.0 * dark) < coded(0.2)


def test_brighter_stays_brighter_and_lamps_clip_softly():
    ramp = torch.linspace(0.01, 6.0, 96)[None, :, None].expand(64, 96, 3)
    row = shoot(ramp, replace(PLAIN, exposure=0.3))[0, :, 0].int()
    assert (row.diff() >= 0).all()
    assert row[0] < 60 < 150 < row[-1]
    lamp = flat(0.2)
    lamp[30, 40] = 1e4
    assert shoot(lamp).max() == 255


def test_noise_follows_the_generator_and_nothing_else():
    noisy = replace(PLAIN, read_noise=0.01, shot_noise=0.02)
    assert torch.equal(shoot(flat(1.0), noisy), shoot(flat(1.0), noisy))
    assert not torch.equal(shoot(flat(1.0), noisy), shoot(flat(1.0), noisy, seed=1))
    assert torch.equal(shoot(flat(1.0)), shoot(flat(1.0), seed=1))
    little, much = (
        shoot(flat(1.0), replace(PLAIN, read_noise=noise)).float().std() for noise in (0.002, 0.02)
    )
    assert 5 * little < much < 15 * little


def test_bloom_spreads_a_lamp_and_keeps_flat_pictures():
    bloomed = replace(PLAIN, bloom=0.2)
    assert torch.equal(shoot(flat(1.0), bloomed), shoot(flat(1.0)))
    night = flat(0.001)
    night[30:34, 46:50] = 40.0
    sharp, soft = shoot(night).float(), shoot(night, bloomed).float()
    assert soft[36:44, 40:56].mean() > sharp[36:44, 40:56].mean() + 5


def test_vignetting_darkens_the_corners_only():
    image = shoot(flat(1.0), replace(PLAIN, vignetting=0.3))[..., 1].int()
    assert image[32, 48] == coded(0.2)
    assert image[0, 0] == pytest.approx(coded(0.2 * 0.7), abs=1)


def test_white_balance_and_saturation_colour_the_picture():
    warm = shoot(flat(1.0), replace(PLAIN, white_balance=(1.1, 1.0, 0.9)))[0, 0].tolist()
    assert warm[0] > warm[1] > warm[2]
    grey = shoot(torch.rand(64, 96, 3, generator=seeded()), replace(PLAIN, saturation=0.0)).int()
    assert (grey.amax(-1) == grey.amin(-1)).all()


def test_streaks_fall_before_what_is_far_only():
    wet = replace(PLAIN, streaks=2.0)
    depth = FAR.clone()
    depth[:, :48] = 1.0
    image, clear = shoot(flat(1.0), wet, depth), shoot(flat(1.0))
    assert torch.equal(image[:, :48], clear[:, :48])
    changed = (image != clear)[:, 48:].any(-1)
    assert 0.002 < changed.float().mean() < 0.3
    assert (image[:, 48:][changed] >= clear[:, 48:][changed]).all()
    assert torch.equal(image, shoot(flat(1.0), wet, depth))
    assert not torch.equal(image, shoot(flat(1.0), wet, depth, seed=1))


def test_a_drop_changes_its_own_place_only():
    radiance = torch.linspace(0.1, 1.0, 64)[:, None, None].expand(64, 96, 3)
    image = shoot(radiance, replace(PLAIN, drops=((0.0, 0.0, 0.2),))).int()
    clear = shoot(radiance).int()
    changed = (image != clear).any(-1)
    y, x = torch.meshgrid(torch.arange(64), torch.arange(96), indexing='ij')
    aside = (((x - 47.5) / 47.5 * 1.5) ** 2 + ((y - 31.5) / 31.5 * 0.85) ** 2).sqrt()
    assert changed.any()
    assert not changed[aside > 0.21].any()
    # Upside down: what lies below shows in the drop's upper half.
    assert image[28, 48, 0] > clear[28, 48, 0]
    assert image[35, 48, 0] < clear[35, 48, 0]


def test_only_rain_has_streaks_and_drops():
    for condition in CONDITIONS:
        sensors = [draw_sensor(condition, seeded(seed)) for seed in range(20)]
        rain = condition == 'day-rain'
        assert all((sensor.streaks > 0) == rain for sensor in sensors)
        assert any(sensor.drops for sensor in sensors) == rain


def test_night_is_exposed_less_and_noisier():
    day, night = (
        [draw_sensor(condition, seeded(seed)) for seed in range(50)]
        for condition in ('day-clear', 'night')
    )
    assert max(s.exposure for s in night) < min(s.exposure for s in day)
    assert np.mean([s.read_noise for s in night]) > 3 * np.mean([s.read_noise for s in day])


def test_sensor_follows_the_seed():
    assert draw_sensor('day-rain', seeded(3)) == draw_sensor('day-rain', seeded(3))
    assert draw_sensor('day-rain', seeded(3)) != draw_sensor('day-rain', seeded(4))
