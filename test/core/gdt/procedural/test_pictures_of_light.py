import cv2
import numpy as np
import pytest
from ssd_depth_core.gdt.procedural.guided import guided
from ssd_depth_core.gdt.procedural.lens_drops import add_drops
from ssd_depth_core.gdt.procedural.linear_light import to_linear, to_picture
from ssd_depth_core.gdt.procedural.mixing import coloured, mixed, scaled
from ssd_depth_core.gdt.procedural.soft import spread


def test_every_code_comes_back_from_linear_light():
    codes = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    np.testing.assert_array_equal(to_picture(to_linear(codes)), codes)


def test_linear_light_is_srgb():
    codes = np.array([[[0, 128, 255]]], np.uint8)
    np.testing.assert_allclose(to_linear(codes)[0, 0], [0, 0.215861, 1], atol=1e-6)


def test_light_is_clipped():
    light = np.array([[[-1.0, 1.5, 1e6]]], np.float32)
    np.testing.assert_array_equal(to_picture(light)[0, 0], [0, 255, 255])


def test_mixing_is_arithmetic():
    rng = np.random.default_rng(0)
    light, other = rng.random((2, 4, 5, 3), np.float32)
    share = rng.random((4, 5), np.float32)
    colour = np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(coloured(share, colour), share[..., None] * colour, rtol=1e-5)
    np.testing.assert_allclose(scaled(light, share), light * share[..., None], rtol=1e-6)
    expected = light * (1 - share[..., None]) + other * share[..., None]
    np.testing.assert_allclose(mixed(light, other, share), expected, rtol=1e-5)
    expected = light * (1 - share[..., None]) + colour * share[..., None]
    np.testing.assert_allclose(mixed(light, colour, share), expected, rtol=1e-5)


@pytest.mark.parametrize('sigma', [1.5, 6.0, 20.0])
def test_wide_blurs_keep_light_and_width(sigma):
    picture = np.zeros((240, 240), np.float32)
    picture[120, 120] = 1
    blurred = spread(picture, sigma)
    x = np.arange(240) - 120
    width = np.sqrt((blurred.sum(0) * x**2).sum() / blurred.sum())
    assert blurred.sum() == pytest.approx(1, rel=0.05)
    assert width == pytest.approx(sigma, rel=0.15)


def test_a_guided_map_takes_its_edge_from_the_guide():
    guide = np.zeros((120, 120), np.float32)
    guide[:, 60:] = 0.8
    truth = (guide > 0).astype(np.float32)
    soft = cv2.GaussianBlur(truth, (0, 0), 4)
    sharp = guided(soft, guide, 1 / 12, 0.02)
    assert soft[60, 60] - soft[60, 59] < 0.11
    assert sharp[60, 60] - sharp[60, 59] > 0.6


def test_a_flat_guide_leaves_a_map_smooth():
    values = np.full((60, 60), 0.3, np.float32)
    np.testing.assert_allclose(guided(values, values, 1 / 12, 0.02), values, atol=1e-5)


def test_drops_on_the_lens_turn_the_scene_upside_down():
    light = np.zeros((160, 240, 3), np.float32)
    light[:80] = 1.0
    rng = np.random.default_rng(0)
    wet = add_drops(light, 40, 1.0, rng)
    changed = np.abs(wet - light).max(-1) > 0.05
    assert 0.001 < changed.mean() < 0.5
    np.testing.assert_array_equal(add_drops(light, 0, 1.0, rng), light)
    np.testing.assert_array_equal(add_drops(light, 9, 0.0, rng), light)
