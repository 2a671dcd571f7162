import numpy as np
import pytest
from ssd_depth_core.gdt.procedural.exposure_control import (
    draw_exposure_control,
    ExposureControl,
)


def test_the_mean_becomes_the_target():
    light = np.full((4, 6, 3), 0.4, np.float32)
    assert ExposureControl(0.1, 4.0).gain(light) == pytest.approx(0.25)


def test_lamps_saturate_the_meter():
    light = np.zeros((10, 10, 3), np.float32)
    light[0, 0] = 500.0  # counts as 2, which is 0.02 of mean
    assert ExposureControl(0.04, 4.0).gain(light) == pytest.approx(2.0)


def test_the_dark_stays_dark():
    assert ExposureControl(0.1, 3.0).gain(np.zeros((2, 2, 3), np.float32)) == 3.0


def test_cameras_differ():
    controls = [draw_exposure_control(np.random.default_rng(seed)) for seed in range(50)]
    assert 0.02 <= min(c.target for c in controls) < 0.03
    assert 0.09 < max(c.target for c in controls) <= 0.12
    assert min(c.most for c in controls) >= 1.0
    assert max(c.most for c in controls) <= 4.0
