import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import exposure_control
from ssd_depth_core.gdt.procedural.exposure_control import draw_gain


@pytest.fixture
def camera(monkeypatch):
    """Fix what is drawn."""

    def camera(target, most):
        monkeypatch.setattr(exposure_control, '_TARGET', (target, target))
        monkeypatch.setattr(exposure_control, '_MOST', (most, most))

    return camera


def gain_of(light, strength=1.0, seed=0):
    return draw_gain(np.asarray(light, np.float32), strength, np.random.default_rng(seed))


def test_the_mean_becomes_the_target(camera):
    camera(0.1, 4.0)
    assert gain_of(np.full((4, 6, 3), 0.4)) == pytest.approx(0.25)


def test_lamps_saturate_the_meter(camera):
    camera(0.04, 4.0)
    light = np.zeros((10, 10, 3))
    light[0, 0] = 500.0  # counts as 2, which is 0.02 of mean
    assert gain_of(light) == pytest.approx(2.0)


def test_the_dark_stays_dark(camera):
    camera(0.1, 3.0)
    assert gain_of(np.zeros((2, 2, 3))) == pytest.approx(3.0)


def test_half_a_night_is_exposed_half_as_one(camera):
    camera(0.1, 3.0)
    assert gain_of(np.zeros((2, 2, 3)), strength=0.5) == pytest.approx(2.0)
    assert gain_of(np.zeros((2, 2, 3)), strength=0.0) == 1.0


def test_cameras_differ():
    limits = [gain_of(np.zeros((2, 2, 3)), seed=seed) for seed in range(50)]
    assert 1.0 <= min(limits) < 1.2
    assert 3.3 < max(limits) <= 4.0
    aims = [gain_of(np.full((2, 2, 3), 1.0), seed=seed) for seed in range(50)]
    assert 0.02 <= min(aims) < 0.03
    assert 0.09 < max(aims) <= 0.12
