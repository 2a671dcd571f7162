import numpy as np
import pytest
from ssd_depth_core.data.robotcar_filters import (
    is_over_exposed,
    is_static,
    jumps_in_exposure,
    mean_intensity,
)


def test_intensity_is_the_mean_of_all_colours():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = (255, 0, 0)
    image[1, 1] = (255, 255, 255)
    assert mean_intensity(image) == pytest.approx(4 / 12)


@pytest.mark.parametrize(('intensity', 'dropped'), [(0.8999, False), (0.9, True), (1.0, True)])
def test_a_white_picture_is_over_exposed(intensity, dropped):
    assert is_over_exposed(intensity) is dropped


@pytest.mark.parametrize(
    ('neighbours', 'dropped'),
    [([0.5, 0.5], False), ([0.46, 0.54], False), ([0.5, 0.56], True), ([0.44, 0.5], True)],
)
def test_either_neighbour_can_show_a_jump(neighbours, dropped):
    assert jumps_in_exposure(0.5, neighbours) is dropped


@pytest.mark.parametrize(
    ('distances', 'dropped'),
    [([0.6, 0.6], False), ([0.001, 0.6], False), ([0.0009, 0.6], True), ([0.6, 0.0], True)],
)
def test_either_way_can_show_that_the_car_stands(distances, dropped):
    assert is_static(distances) is dropped
