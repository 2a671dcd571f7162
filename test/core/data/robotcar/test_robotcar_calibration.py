import cv2
import numpy as np
import pytest
from ssd_depth_core.data.robotcar_calibration import (
    demosaic,
    kept_rows,
    read_camera_model,
    read_extrinsics,
    read_mosaic,
)
from ssd_depth_core.geometry.pose import transform_from_euler

MODEL = """983.044006 983.044006 3.5 2.5
0.000000 -0.000000 1.000000 0.000000
1.000000 0.000000 -0.000000 0.000000
0.000000 1.000000 0.000000 0.000000
0.000000 0.000000 0.000000 1.000000
"""
SIZE = (5, 8)


@pytest.fixture
def models(tmp_path):
    """A camera of 8x5 pixels whose picture is one pixel too far to the right and two too low."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    (tmp_path / 'stereo_wide_left.txt').write_text(MODEL)
    lut = np.stack((u + 1, v + 2)).astype('<f8')
    (tmp_path / 'stereo_wide_left_distortion_lut.bin').write_bytes(lut.tobytes())
    return tmp_path


@pytest.mark.parametrize('colour', [(200, 100, 50), (255, 0, 0), (0, 255, 0), (0, 0, 255)])
def test_a_mosaic_of_one_colour_has_that_colour_everywhere(colour):
    red, green, blue = colour
    mosaic = np.array(((green, blue), (red, green)), np.uint8)  # G B over R G
    image = demosaic(np.tile(mosaic, (4, 5)))
    np.testing.assert_array_equal(image, np.full((8, 10, 3), colour, np.uint8))


def test_colours_are_interpolated_bilinearly():
    mosaic = np.zeros((6, 6), np.uint8)
    mosaic[3, 2] = 200  # one red pixel
    red = demosaic(mosaic)[..., 0]
    expected = np.array(((50, 100, 50), (100, 200, 100), (50, 100, 50)))
    np.testing.assert_array_equal(red[2:5, 1:4], expected)
    assert demosaic(mosaic)[..., 1:].max() == 0


def test_the_bonnet_is_the_bottom_fifth():
    assert kept_rows(960) == 768


def test_a_model_is_read(models):
    model = read_camera_model(models, 'stereo/left')
    np.testing.assert_array_equal(model.K, ((983.044006, 0, 3.5), (0, 983.044006, 2.5), (0, 0, 1)))
    # The optical axis (z) is the camera's x, right its y, down its z.
    np.testing.assert_array_equal(model.T_camera_image @ (1, 2, 3, 1), (3, 1, 2, 1))


def test_the_table_is_followed_and_the_bonnet_cut(models):
    model = read_camera_model(models, 'stereo/left')
    mosaic = np.zeros(SIZE, np.uint8)
    mosaic[2:] = 90  # grey from row 2 on: rectified, from row 0 on, as far as there is a picture
    image = model.rectify(mosaic, 'picture')
    assert image.shape == (4, 8, 3)
    np.testing.assert_array_equal(image[1, :-1], np.full((7, 3), 90))
    np.testing.assert_array_equal(image[:, -1], np.zeros((4, 3)))  # beyond the raw picture
    np.testing.assert_array_equal(image[3], np.zeros((8, 3)))


def test_a_picture_of_another_size_than_the_table_is_refused(models):
    model = read_camera_model(models, 'stereo/left')
    with pytest.raises(ValueError, match=r'x.png has 8x4 pixels, but the look-up table .* has 40'):
        model.rectify(np.zeros((4, 8), np.uint8), 'x.png')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('983 983 3.5 2.5\n', 'must hold fx fy cx cy and a 4x4 matrix'),
        (MODEL.replace('983.044006 983.044006', '-1 983'), 'K must have focal lengths > 0'),
        (MODEL.replace('1.000000 0.000000 -0', '2.000000 0.000000 -0'), 'must be orthonormal'),
        (MODEL.replace('3.5', 'wide'), 'could not convert'),
    ],
)
def test_what_is_no_model_is_refused(models, text, message):
    (models / 'stereo_wide_left.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_camera_model(models, 'stereo/left')


@pytest.mark.parametrize('name', ['stereo_wide_left.txt', 'stereo_wide_left_distortion_lut.bin'])
def test_a_missing_file_is_named(models, name):
    (models / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        read_camera_model(models, 'stereo/left')


@pytest.mark.parametrize('fault', ['truncated', 'not finite'])
def test_a_damaged_table_is_refused(models, fault):
    path = models / 'stereo_wide_left_distortion_lut.bin'
    data = path.read_bytes()
    path.write_bytes(data[:-3] if fault == 'truncated' else data[:-8] + b'\xff' * 8)
    with pytest.raises(ValueError, match='must hold two finite float64 a pixel'):
        read_camera_model(models, 'stereo/left')


def test_extrinsics_are_translation_and_euler_angles(tmp_path):
    path = tmp_path / 'lms_front.txt'
    path.write_text('1.7589 0.2268 1.0411 -0.0437 -1.4572 0.0356\n')
    expected = transform_from_euler((1.7589, 0.2268, 1.0411, -0.0437, -1.4572, 0.0356))
    np.testing.assert_array_equal(read_extrinsics(path), expected)


@pytest.mark.parametrize('text', ['1 2 3\n', '1 2 3 4 5 six\n'])
def test_what_are_no_extrinsics_is_refused(tmp_path, text):
    (tmp_path / 'lms_front.txt').write_text(text)
    with pytest.raises(ValueError, match='lms_front.txt'):
        read_extrinsics(tmp_path / 'lms_front.txt')


def test_a_truncated_picture_is_refused(tmp_path):
    path = tmp_path / '1.png'
    noise = np.random.default_rng(0).integers(0, 255, (96, 128), np.uint8)
    data = cv2.imencode('.png', noise)[1].tobytes()
    path.write_bytes(data)
    np.testing.assert_array_equal(read_mosaic(path), noise)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match='1.png is truncated or no PNG'):
        read_mosaic(path)


@pytest.mark.parametrize('picture', [np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), np.uint16)])
def test_a_picture_that_is_no_mosaic_is_refused(tmp_path, picture):
    cv2.imwrite(str(tmp_path / '1.png'), picture)
    with pytest.raises(ValueError, match='must be a raw Bayer mosaic'):
        read_mosaic(tmp_path / '1.png')
