import numpy as np
import pytest
from ssd_depth_core.gdt import picture_scores

SIZE = (48, 80)


def flat(value):
    return np.full((*SIZE, 3), value, np.uint8)


def noise(seed, low=0, high=256):
    return np.random.default_rng(seed).integers(low, high, (*SIZE, 3), dtype=np.uint8)


def test_black_counts_pixels_whose_channels_are_all_dark():
    picture = flat(8)
    picture[:12] = (0, 0, 9)  # a quarter is blue, if only just
    assert picture_scores.black_share(picture) == 0.75


def test_blown_counts_pixels_whose_channels_are_all_bright():
    picture = flat(250)
    picture[:, :20] = (255, 255, 249)
    assert picture_scores.blown_share(picture) == 0.75


def test_a_darker_picture_is_as_sharp():
    source = noise(0, 0, 250)
    assert picture_scores.sharpness(source // 2, source) == pytest.approx(1.0, abs=0.02)


def test_a_blurred_picture_is_less_sharp():
    source = noise(0)
    blurred = source.copy()
    blurred[:, 1:] = (source[:, 1:].astype(int) + source[:, :-1]) // 2
    assert 0.0 < picture_scores.sharpness(blurred, source) < 0.8


def test_a_flat_picture_has_no_sharpness():
    assert picture_scores.sharpness(flat(90), noise(0)) == 0.0
    assert picture_scores.sharpness(noise(0), flat(90)) is None


def test_distance_is_the_mean_difference_of_what_is_seen_from_afar():
    assert picture_scores.distance(flat(10), flat(61)) == pytest.approx(0.2)
    assert picture_scores.distance(noise(0), noise(0)) == 0.0


def test_noise_hardly_counts_as_a_distance():
    source = flat(120)
    assert picture_scores.distance(noise(0, 110, 131), source) < 0.01
