import dataclasses
import tracemalloc

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from ssd_depth_ros.parameters import PointsParameters
from ssd_depth_ros.point_cloud import PointCloudWriter
from std_msgs.msg import Header

K = np.array([[2.0, 0, 1.5], [0, 4.0, 0.5], [0, 0, 1]])
NAN = np.nan
DEPTH = np.array([[1, 2, 3, NAN], [5, 6, 7, np.inf]], np.float32)
CONFIDENCE = np.array([[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]], np.float32)
IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
XYZ = PointsParameters(fields='xyz')


def write(settings, writer=None, depth=DEPTH):
    return (writer or PointCloudWriter()).write(
        Header(frame_id='cam'), depth, K, settings, confidence=CONFIDENCE, image=IMAGE
    )


def floats(message):
    return np.frombuffer(message.data, np.float32).reshape(
        message.height, message.width, message.point_step // 4
    )


def test_points_lie_on_the_rays_of_their_pixels():
    message = write(XYZ)
    points = floats(message)
    assert (message.height, message.width) == (2, 4)
    # Pixel (u, v) = (3, 1) has no depth; (2, 1) has 7 m: x = (2 - 1.5) / 2 * 7, y = 0.5 / 4 * 7.
    np.testing.assert_allclose(points[1, 2], [1.75, 0.875, 7])
    np.testing.assert_allclose(points[0, 0], [-0.75, -0.125, 1])
    projected = points @ K.T
    v, u = np.mgrid[:2, :3]
    np.testing.assert_allclose(projected[:, :3, 0] / projected[:, :3, 2], u)
    np.testing.assert_allclose(projected[:, :3, 1] / projected[:, :3, 2], v)


def test_unknown_points_are_nan_in_an_organised_cloud():
    message = write(XYZ)
    assert np.isnan(floats(message)[:, 3]).all()
    assert not message.is_dense


def test_organised_cloud_without_gaps_is_dense():
    assert write(XYZ, depth=np.ones((2, 4), np.float32)).is_dense


def test_list_holds_known_points_only():
    message = write(dataclasses.replace(XYZ, organized=False))
    assert (message.height, message.width, message.is_dense) == (1, 6, True)
    np.testing.assert_array_equal(floats(message)[0, :, 2], [1, 2, 3, 5, 6, 7])


def test_list_without_points_is_empty():
    message = write(dataclasses.replace(XYZ, organized=False, min_range=100.0))
    assert (message.height, message.width, len(message.data)) == (1, 0, 0)


@pytest.mark.parametrize('fields', ['xyz', 'xyzrgb', 'xyzi'])
@pytest.mark.parametrize('organized', [True, False])
def test_layout_describes_the_bytes(fields, organized):
    message = write(PointsParameters(fields=fields, organized=organized))
    last = {'xyz': [], 'xyzrgb': ['rgb'], 'xyzi': ['intensity']}[fields]
    assert [f.name for f in message.fields] == ['x', 'y', 'z', *last]
    assert [f.offset for f in message.fields] == [0, 4, 8, 12][: len(message.fields)]
    assert all(f.datatype == PointField.FLOAT32 and f.count == 1 for f in message.fields)
    assert message.point_step == 4 * len(message.fields)
    assert message.row_step == message.point_step * message.width
    assert len(message.data) == message.row_step * message.height
    assert not message.is_bigendian
    assert message.header.frame_id == 'cam'


def test_stride_takes_every_nth_pixel_on_its_own_ray():
    message = write(dataclasses.replace(XYZ, stride=2))
    assert (message.height, message.width) == (1, 2)
    np.testing.assert_allclose(floats(message)[0], floats(write(XYZ))[0, ::2])


def test_range_and_confidence_leave_points_out():
    settings = PointsParameters(fields='xyz', min_range=2.0, max_range=6.0, min_confidence=0.25)
    known = np.isfinite(floats(write(settings))[..., 2])
    np.testing.assert_array_equal(known, [[0, 0, 1, 0], [1, 1, 0, 0]])


def test_rgb_is_packed_as_blue_green_red_zero():
    message = write(PointsParameters(fields='xyzrgb'))
    packed = np.frombuffer(message.data, np.uint32).reshape(2, 4, 4)[..., 3]
    r, g, b = (IMAGE[..., i].astype(np.uint32) for i in range(3))
    np.testing.assert_array_equal(packed, (r << 16) | (g << 8) | b)


def test_colour_follows_a_larger_image():
    large = np.repeat(np.repeat(IMAGE, 3, axis=0), 3, axis=1)
    cloud = PointCloudWriter().write(
        Header(), DEPTH, K, PointsParameters(fields='xyzrgb'), image=large
    )
    assert bytes(cloud.data) == bytes(write(PointsParameters(fields='xyzrgb')).data)


@pytest.mark.parametrize('image_size', [(24, 32), (12, 16), (6, 8), (4, 6), (3, 4)])
@pytest.mark.parametrize('stride', [1, 2, 3])
def test_colour_is_that_of_the_image_where_the_point_lies(image_size, stride):
    height, width = image_size
    # Red rises with the column's centre and green with the row's, whatever the size.
    columns = 240 * (np.arange(width) + 0.5) / width
    rows = 240 * (np.arange(height) + 0.5) / height
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.rint(columns), np.rint(rows)[:, None]
    depth = np.ones((12, 16), np.float32)
    settings = PointsParameters(fields='xyzrgb', stride=stride)
    cloud = PointCloudWriter().write(Header(), depth, K, settings, image=image)
    packed = np.frombuffer(cloud.data, np.uint32).reshape(cloud.height, cloud.width, 4)[..., 3]
    v, u = np.mgrid[0:12:stride, 0:16:stride]
    # Half a pixel of the image, which has one colour, and the rounding.
    red, green = (packed >> 16) & 255, (packed >> 8) & 255
    np.testing.assert_allclose(red, 15 * (u + 0.5), atol=120 / width + 0.51)
    np.testing.assert_allclose(green, 20 * (v + 0.5), atol=120 / height + 0.51)
    assert not (packed >> 24).any()


def test_intensity_is_the_confidence():
    points = floats(write(PointsParameters(fields='xyzi')))
    np.testing.assert_array_equal(points[..., 3], CONFIDENCE)


def test_memory_is_reused_until_the_shape_changes():
    writer = PointCloudWriter()
    first = write(XYZ, writer)
    assert write(XYZ, writer, depth=2 * DEPTH) is first
    np.testing.assert_allclose(floats(first)[1, 2], [3.5, 1.75, 14])
    assert write(dataclasses.replace(XYZ, stride=2), writer).width == 2


def test_switch_between_kinds_of_one_layout_renames_the_field():
    writer = PointCloudWriter()
    write(PointsParameters(fields='xyzrgb'), writer)
    assert write(PointsParameters(fields='xyzi'), writer).fields[3].name == 'intensity'


def test_rays_follow_new_intrinsics():
    writer = PointCloudWriter()
    write(XYZ, writer)
    moved = K.copy()
    moved[0, 2] = 0.5
    cloud = writer.write(Header(), DEPTH, moved, XYZ)
    np.testing.assert_allclose(floats(cloud)[1, 2], [5.25, 0.875, 7])


@pytest.mark.parametrize('organized', [True, False])
def test_sensor_msgs_py_reads_the_same_points(organized):
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    message = write(dataclasses.replace(XYZ, organized=organized))
    read = point_cloud2.read_points_numpy(message, ('x', 'y', 'z'), skip_nans=True)
    expected = floats(message).reshape(-1, 3)
    np.testing.assert_array_equal(read, expected[np.isfinite(expected[:, 2])])


def test_flat_road_lies_at_the_height_of_the_camera():
    height_m, (rows, columns) = 1.5, (24, 40)
    road_K = np.array([[50.0, 0, 19.5], [0, 55.0, 3.25], [0, 0, 1]])
    v = np.arange(4, rows)
    depth = np.full((rows, columns), NAN, np.float32)
    depth[4:] = (height_m * 55.0 / (v - 3.25))[:, None]
    for stride in (1, 2, 3):
        settings = dataclasses.replace(XYZ, organized=False, stride=stride)
        points = floats(PointCloudWriter().write(Header(), depth, road_K, settings))[0]
        assert len(points) == np.isfinite(depth[::stride, ::stride]).sum()
        np.testing.assert_allclose(points[:, 1], height_m, rtol=1e-6)
        u = np.arange(0, columns, stride)
        nearest = points[points[:, 2] == points[:, 2].min()]
        np.testing.assert_allclose(nearest[:, 0], (u - 19.5) / 50.0 * nearest[:, 2], rtol=1e-6)


def test_unknown_is_nan_in_every_coordinate_and_colour_stays():
    points = floats(write(PointsParameters(fields='xyzi', max_range=4.0)))
    unknown = np.isnan(points[..., 2])
    np.testing.assert_array_equal(unknown, [[0, 0, 0, 1], [1, 1, 1, 1]])
    assert np.isnan(points[unknown, :3]).all()
    np.testing.assert_array_equal(points[..., 3], CONFIDENCE)


def test_list_follows_the_number_of_known_points():
    writer, settings = PointCloudWriter(), PointsParameters(organized=False)
    for depth, count in ((DEPTH, 6), (np.full((2, 4), NAN, np.float32), 0), (abs(DEPTH) / 2, 6)):
        message = write(settings, writer, depth)
        assert (message.width, len(message.data)) == (count, 16 * count)
        assert message.row_step == len(message.data)


@pytest.mark.parametrize('fields', ['xyz', 'xyzrgb', 'xyzi'])
@pytest.mark.parametrize('stride', [1, 2])
def test_second_organised_cloud_takes_no_memory(fields, stride):
    settings = PointsParameters(
        fields=fields, stride=stride, min_range=1.0, max_range=50.0, min_confidence=0.5
    )
    rng = np.random.default_rng(0)
    depth = rng.uniform(0, 60, (384, 640)).astype(np.float32)
    confidence = rng.uniform(0, 1, depth.shape).astype(np.float32)
    image = rng.integers(0, 256, (450, 800, 3), np.uint8)
    writer, header = PointCloudWriter(), Header()

    def once():
        writer.write(header, depth, K, settings, confidence=confidence, image=image)

    once()
    tracemalloc.start()
    once()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The smallest array of a value a point would be 61 kB; NumPy's own buffers are 33 kB.
    assert peak < 50_000
