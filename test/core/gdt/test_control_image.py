import numpy as np
import pytest
from ssd_depth_core.gdt.control_image import control_image


def test_the_nearest_is_white_and_the_farthest_black():
    picture = control_image(np.array(((0.0, 0.1), (0.2, 0.5))))
    assert picture.dtype == np.uint8
    assert picture.shape == (2, 2, 3)
    np.testing.assert_array_equal(picture[..., 0], ((0, 51), (102, 255)))
    np.testing.assert_array_equal(picture[..., 1], picture[..., 0])
    np.testing.assert_array_equal(picture[..., 2], picture[..., 0])


def test_scale_and_shift_do_not_matter():
    metric = np.random.default_rng(0).uniform(0.0, 0.5, (20, 30))
    np.testing.assert_array_equal(control_image(metric), control_image(1800 * metric + 40))


@pytest.mark.parametrize('value', [0.0, 0.3, -2.0])
def test_equally_far_pixels_are_black(value):
    assert not control_image(np.full((3, 4), value, np.float32)).any()


def test_clipping_gives_the_range_to_the_many():
    inverse_depth = np.linspace(0, 1, 1000).reshape(20, 50)
    inverse_depth[-1, -1] = 100
    assert control_image(inverse_depth)[19, 48, 0] == 3
    clipped = control_image(inverse_depth, clip_percent=1)
    assert clipped[19, 48, 0] == 255
    assert clipped[19, 49, 0] == 255
    assert clipped[0, 0, 0] == 0
    assert abs(int(clipped[10, 0, 0]) - 128) <= 1


@pytest.mark.parametrize('bad', [np.nan, np.inf])
def test_what_is_not_finite_is_refused(bad):
    with pytest.raises(ValueError, match='inverse_depth must be finite'):
        control_image(np.array(((0.1, bad),)))


@pytest.mark.parametrize('shape', [(3,), (2, 3, 1), (0, 4)])
def test_what_is_no_map_is_refused(shape):
    with pytest.raises(ValueError, match='inverse_depth must be .H, W.'):
        control_image(np.zeros(shape))


@pytest.mark.parametrize('share', [-1.0, 50.0])
def test_a_share_out_of_range_is_refused(share):
    with pytest.raises(ValueError, match='clip_percent must be in'):
        control_image(np.zeros((2, 2)), share)
