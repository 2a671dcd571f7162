import numpy as np
import pytest
from ssd_depth_core.gdt.procedural.camera_noise import add_noise, Noise


@pytest.mark.parametrize('height', [240, 600], ids=['fine', 'grainy'])
@pytest.mark.parametrize(('signal', 'expected'), [(0.0, 0.02**2), (0.5, 0.1**2 / 2 + 0.02**2)])
def test_variance_is_that_of_shot_and_read_noise(height, signal, expected):
    light = np.full((height, 700, 3), signal, np.float32)
    noise = add_noise(light, Noise(0.1, 0.02), np.random.default_rng(0)) - light
    assert noise.mean() == pytest.approx(0, abs=5e-4)
    assert noise.var() == pytest.approx(expected, rel=0.03)
    # At the rim as in the middle.
    assert noise[0].var() == pytest.approx(expected, rel=0.15)
    assert noise[:, -1].var() == pytest.approx(expected, rel=0.15)


def test_large_pictures_have_a_grain_of_two_pixels():
    def neighbours(height):
        light = np.zeros((height, 400, 3), np.float32)
        noise = add_noise(light, Noise(0.0, 1.0), np.random.default_rng(0))
        return (noise[:, 1:] * noise[:, :-1]).mean()

    assert neighbours(240) == pytest.approx(0, abs=0.02)
    assert neighbours(600) > 0.3


def test_a_silent_camera_changes_nothing():
    light = np.random.default_rng(0).random((20, 30, 3), np.float32)
    np.testing.assert_array_equal(add_noise(light, Noise(0, 0), np.random.default_rng(0)), light)
