import numpy as np
import pytest
from ssd_depth_core.preprocess import focal_of, normalize, resize_image, resize_intrinsics

K = np.array([[1266.4, 0.0, 816.3], [0.0, 1260.1, 491.5], [0.0, 0.0, 1.0]])
SOURCE, TARGET = (900, 1600), (192, 320)


def project(K, point):
    u, v, depth = K @ point
    return np.array([u, v]) / depth


def test_resized_intrinsics_project_to_the_place_a_resize_moves_a_pixel_to():
    # The left edge of pixel 0 is at u = -0.5 in every image; edges stay edges under a resize.
    point = np.array([1.7, -0.4, 11.0])
    scale = np.array([TARGET[1] / SOURCE[1], TARGET[0] / SOURCE[0]])
    expected = (project(K, point) + 0.5) * scale - 0.5
    resized = resize_intrinsics(K, SOURCE, TARGET)
    np.testing.assert_allclose(project(resized, point), expected, atol=1e-9)


@pytest.mark.parametrize('factor', [2, 4])
def test_resized_intrinsics_follow_an_averaged_picture(factor):
    # A ramp whose value is the ray's x / z at each pixel stays that under exact box averaging.
    size = (8, 16)
    camera = np.array([[20.0, 0, 6.2], [0, 20.0, 3.9], [0, 0, 1]])
    small = (size[0] // factor, size[1] // factor)
    ray_x = np.tile((np.arange(size[1]) - camera[0, 2]) / camera[0, 0], (size[0], 1))
    averaged = ray_x.reshape(small[0], factor, small[1], factor).mean((1, 3))
    resized = resize_intrinsics(camera, size, small)
    expected = np.tile((np.arange(small[1]) - resized[0, 2]) / resized[0, 0], (small[0], 1))
    np.testing.assert_allclose(averaged, expected, atol=1e-12)


def test_resizing_there_and_back_returns_the_intrinsics():
    there = resize_intrinsics(K, SOURCE, TARGET)
    np.testing.assert_allclose(resize_intrinsics(there, TARGET, SOURCE), K, atol=1e-9)


def test_resize_intrinsics_leaves_its_argument_alone():
    before = K.copy()
    result = resize_intrinsics(K.astype(np.float32), SOURCE, TARGET)
    resize_intrinsics(K, SOURCE, TARGET)
    np.testing.assert_array_equal(K, before)
    assert result.dtype == np.float64


def test_the_corner_between_four_pixels_is_the_one_fixed_point_of_the_rule():
    # A principal point on the image's centre stays on the centre.
    centred = np.array([[500.0, 0, 799.5], [0, 500.0, 449.5], [0, 0, 1]])
    resized = resize_intrinsics(centred, SOURCE, TARGET)
    np.testing.assert_allclose(resized[:2, 2], [159.5, 95.5])


def test_focal_is_the_geometric_mean():
    assert focal_of(np.diag([100.0, 400.0, 1.0])) == pytest.approx(200.0)


def test_shrinking_averages_over_areas():
    pytest.importorskip('cv2')
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    blocks = image.reshape(2, 2, 2, 2, 3).mean((1, 3))
    np.testing.assert_allclose(resize_image(image, (2, 2)), blocks, atol=0.5)


# The last has fewer pixels than its source and is wider: areas would repeat its columns.
@pytest.mark.parametrize('size', [(4, 8), (8, 8), (1, 6)])
def test_a_side_that_grows_is_interpolated(size):
    pytest.importorskip('cv2')
    image = np.repeat(np.array([[0, 60, 120, 180]], np.uint8)[..., None], 3, 2).repeat(4, 0)
    resized = resize_image(image, size)
    assert resized.shape == (*size, 3)
    centres = (np.arange(size[1]) + 0.5) * 4 / size[1] - 0.5
    expected = 60 * np.clip(centres, 0, 3)
    np.testing.assert_allclose(resized[0, :, 1], expected, atol=1)


def test_resized_picture_is_written_into_the_array_it_is_given():
    pytest.importorskip('cv2')
    out = np.zeros((2, 3, 3), np.uint8)
    resize_image(np.full((4, 6, 3), 9, np.uint8), (2, 3), out=out)
    assert (out == 9).all()


def test_normalize_matches_the_formula_per_channel():
    image = np.array([[[0, 128, 255], [10, 20, 30]]], np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    network_input = normalize(image, mean, std)
    expected = np.moveaxis((image / 255.0 - mean) / std, 2, 0)
    assert network_input.shape == (3, 1, 2)
    assert network_input.dtype == np.float32
    np.testing.assert_allclose(network_input, expected, atol=1e-6)


def test_normalize_writes_into_the_array_it_is_given():
    image = np.full((2, 3, 3), 255, np.uint8)
    batch = np.zeros((2, 3, 2, 3), np.float32)
    returned = normalize(image, (0.0, 0.5, 1.0), (1.0, 0.5, 2.0), out=batch[1])
    assert np.shares_memory(returned, batch)
    np.testing.assert_allclose(batch[1].mean((1, 2)), [1.0, 1.0, 0.0], atol=1e-6)
    assert not batch[0].any()
