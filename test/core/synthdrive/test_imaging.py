from dataclasses import replace
import math

import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.synthdrive.imaging import (
    ADAPTATION_S,
    AutoExposure,
    draw_sensor,
    expose,
    Exposure,
    Sensor,
)
import torch

PLAIN = Sensor(
    target=0.2, level_limit=4.0, unit_time_s=0.01, longest_s=0.02, shot_noise=0.0, read_noise=0.0,
    bloom=0.0, vignetting=0.0, white_balance=(1.0, 1.0, 1.0), toe=0.0, gamma=2.2, saturation=1.0,
)  # fmt: skip
K = torch.tensor([[80.0, 0.0, 48.0], [0.0, 80.0, 32.0], [0.0, 0.0, 1.0]])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(level):
    return torch.full((64, 96, 3), float(level))


def shoot(radiance, sensor=PLAIN, seed=0):
    return expose(radiance, K, AutoExposure(sensor).step(0.0, radiance), sensor, seeded(seed))


def coded(linear, gamma=2.2):
    return int((linear / (1 + 0.25 * linear)) ** (1 / gamma) * 255 + 0.5)


def decoded(image, gamma=2.2):
    """The linear signal before the shoulder."""
    coded_ = (image.double() / 255) ** gamma
    return coded_ / (1 - 0.25 * coded_)


def test_picture_is_8_bit_of_the_radiances_size():
    image = shoot(torch.rand(45, 91, 3))
    assert image.dtype == torch.uint8
    assert image.shape == (45, 91, 3)


@pytest.mark.parametrize('level', [0.1, 1.0, 2.0])
def test_exposure_brings_the_mean_to_its_aim(level):
    assert (shoot(flat(level)) == coded(0.2)).all()


def test_level_is_limited_so_that_the_night_stays_dark():
    dark = 0.01
    assert (shoot(flat(dark)) == coded(4.0 * dark)).all()
    assert (shoot(flat(dark), replace(PLAIN, level_limit=1.0)) == coded(dark)).all()
    assert coded(4.0 * dark) < coded(0.2)


def test_brighter_stays_brighter_and_lamps_clip_softly():
    ramp = torch.linspace(0.01, 6.0, 96)[None, :, None].expand(64, 96, 3)
    row = shoot(ramp, replace(PLAIN, target=0.3))[0, :, 0].int()
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


def test_toe_takes_half_of_what_is_as_dark_as_it_and_little_of_the_rest():
    exposure, toe = Exposure(PLAIN.unit_time_s, 1.0), replace(PLAIN, toe=0.02, gamma=1.0)
    dark, bright = (
        decoded(expose(flat(v), K, exposure, toe, seeded()), 1.0)[0, 0, 0] for v in (0.02, 0.5)
    )
    assert dark == pytest.approx(0.01, abs=1 / 255)
    assert bright == pytest.approx(0.5 / 1.04, abs=1 / 255)


@pytest.mark.parametrize(('level', 'gain'), [(0.3, 1.0), (0.3, 4.0), (0.2, 4.0)])
def test_noise_is_shot_and_read_noise_in_quadrature_before_gain(level, gain):
    sensor = replace(PLAIN, shot_noise=0.02, read_noise=0.01, gamma=1.0)
    light = level / gain  # so that pictures are alike but for their noise
    radiance = torch.full((256, 256, 3), light)
    exposure = Exposure(time_s=sensor.unit_time_s, gain=gain)
    signal = decoded(expose(radiance, K, exposure, replace(sensor, bloom=0.0), seeded(1)), 1.0)
    expected = gain**2 * (0.02**2 * light + 0.01**2) + (1 / 255) ** 2 / 12
    assert signal.mean() == pytest.approx(level, rel=0.02)
    assert signal.var() == pytest.approx(expected, rel=0.05)


def test_bloom_spreads_a_lamp_and_keeps_flat_pictures():
    bloomed = replace(PLAIN, bloom=0.2)
    assert torch.equal(shoot(flat(1.0), bloomed), shoot(flat(1.0)))
    night = flat(0.001)
    night[30:34, 46:50] = 40.0
    sharp, soft = shoot(night).float(), shoot(night, bloomed).float()
    assert soft[36:44, 40:56].mean() > sharp[36:44, 40:56].mean() + 5


def test_vignetting_follows_the_fourth_power_of_the_cosine():
    exposure = Exposure(time_s=0.002, gain=1.0)
    image = expose(flat(1.0), K, exposure, replace(PLAIN, vignetting=1.0), seeded())[..., 1].int()
    assert image[32, 48] == coded(0.2)
    for row, column in ((0, 0), (63, 10), (20, 95)):
        square = ((column - 48) / 80.0) ** 2 + ((row - 32) / 80.0) ** 2
        cosine = 1 / (1 + square) ** 0.5
        assert image[row, column] == pytest.approx(coded(0.2 * cosine**4), abs=1)
    half = expose(flat(1.0), K, exposure, replace(PLAIN, vignetting=0.5), seeded())[..., 1].int()
    assert half[0, 0] == pytest.approx(coded(0.2 / (1 + 0.36 + 0.16)), abs=1)


def test_white_balance_and_saturation_colour_the_picture():
    warm = shoot(flat(1.0), replace(PLAIN, white_balance=(1.1, 1.0, 0.9)))[0, 0].tolist()
    assert warm[0] > warm[1] > warm[2]
    grey = shoot(torch.rand(64, 96, 3, generator=seeded()), replace(PLAIN, saturation=0.0)).int()
    assert (grey.amax(-1) == grey.amin(-1)).all()


def test_exposure_follows_a_step_of_light_in_stops():
    meter = AutoExposure(PLAIN)
    first = meter.step(0.0, flat(1.0))
    assert first.time_s == pytest.approx(0.2 * PLAIN.unit_time_s)
    levels = [meter.step(t, flat(0.1)).time_s for t in (0.25, 0.5, 1.0, 20.0)]
    # From 0.2 to 2 times the unit: after t a share of exp(-t / T) of the stops is missing.
    expected = [
        2.0 * 0.1 ** math.exp(-t / ADAPTATION_S) * PLAIN.unit_time_s for t in (0.25, 0.5, 1.0)
    ]
    assert levels[:3] == pytest.approx(expected)
    assert levels[3] == pytest.approx(2.0 * PLAIN.unit_time_s)


def test_exposure_does_not_depend_on_how_often_it_is_metered():
    rare, often = AutoExposure(PLAIN), AutoExposure(PLAIN)
    for meter in (rare, often):
        meter.step(0.0, flat(1.0))
    for t in (0.1, 0.2, 0.3):
        last = often.step(t, flat(0.1))
    assert last.time_s == pytest.approx(rare.step(0.3, flat(0.1)).time_s)


def test_picture_after_a_tunnel_is_too_bright_at_first():
    meter = AutoExposure(PLAIN)
    meter.step(0.0, flat(0.1))
    out = [
        expose(flat(1.0), K, meter.step(t, flat(1.0)), PLAIN, seeded())[0, 0, 0] for t in (0.1, 3)
    ]
    assert out[0] > 2 * out[1]
    assert out[1] == pytest.approx(coded(0.2), abs=2)


def test_amplifier_takes_over_where_time_ends():
    dark = AutoExposure(PLAIN).step(0.0, flat(0.001))
    assert dark == Exposure(time_s=PLAIN.longest_s, gain=pytest.approx(2.0))
    assert AutoExposure(PLAIN).step(0.0, flat(1.0)).gain == 1.0


def test_a_lamp_in_view_does_not_black_out_the_street():
    lamp = flat(0.1)
    lamp[:4, :4] = 1e4
    with_lamp, without = (AutoExposure(PLAIN).step(0.0, r).time_s for r in (lamp, flat(0.1)))
    assert with_lamp > 0.9 * without


def test_time_must_not_run_backwards():
    meter = AutoExposure(PLAIN)
    meter.step(1.0, flat(1.0))
    with pytest.raises(ValueError, match=r't must not fall below the last one, 1.0 s, got 0.5 s'):
        meter.step(0.5, flat(1.0))


def test_night_is_exposed_less_longer_and_noisier():
    for name in ('night', 'night-rain'):
        day, night = (
            [draw_sensor(condition, seeded(seed)) for seed in range(50)]
            for condition in ('day-clear', name)
        )
        assert max(s.target for s in night) < min(s.target for s in day)
        assert min(s.unit_time_s for s in night) > max(s.unit_time_s for s in day)
        assert np.mean([s.read_noise for s in night]) > 2 * np.mean([s.read_noise for s in day])


def test_twins_share_the_lens():
    day, *others = (draw_sensor(condition, seeded(5)) for condition in RENDERED_CONDITIONS)
    for sensor in others:
        for name in ('vignetting', 'white_balance', 'toe', 'gamma', 'saturation', 'longest_s'):
            assert getattr(sensor, name) == getattr(day, name)


def test_sensor_follows_the_seed():
    for condition in RENDERED_CONDITIONS:
        assert draw_sensor(condition, seeded(3)) == draw_sensor(condition, seeded(3))
        assert draw_sensor(condition, seeded(3)) != draw_sensor(condition, seeded(4))
