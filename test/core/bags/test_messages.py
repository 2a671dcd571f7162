import struct

import cv2
import numpy as np
import pytest
from ssd_depth_core.bags import messages

HEADER = messages.header(1_700_000_000_123_456_789, 'cam_front')
RGB = np.array([[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(9, 8, 7), (6, 5, 4), (3, 2, 1)]], 'u1')


def _image(encoding, pixels, padding=0, **changes):
    rows = pixels.reshape(pixels.shape[0], -1)
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    fields = {
        'header': HEADER,
        'height': pixels.shape[0],
        'width': pixels.shape[1],
        'encoding': encoding,
        'is_bigendian': 0,
        'step': data.shape[1],
        'data': data.ravel(),
    }
    return messages.TYPESTORE.types['sensor_msgs/msg/Image'](**{**fields, **changes})


def _over_the_wire(message):
    raw = messages.TYPESTORE.serialize_cdr(message, message.__msgtype__)
    return messages.TYPESTORE.deserialize_cdr(raw, message.__msgtype__)


def test_stamp_is_exact_to_the_nanosecond():
    assert (HEADER.stamp.sec, HEADER.stamp.nanosec) == (1_700_000_000, 123_456_789)
    info = messages.camera_info(HEADER, np.eye(3), (2, 3))
    assert messages.stamp_ns(_over_the_wire(info)) == 1_700_000_000_123_456_789


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    ('encoding', 'pixels'),
    [
        ('rgb8', RGB),
        ('bgr8', RGB[..., ::-1]),
        ('rgba8', np.dstack([RGB, np.full((2, 3), 50, 'u1')])),
        ('bgra8', np.dstack([RGB[..., ::-1], np.full((2, 3), 50, 'u1')])),
    ],
)
def test_colour_encodings_give_rgb(encoding, pixels, padding):
    message = _over_the_wire(_image(encoding, pixels, padding))
    np.testing.assert_array_equal(messages.rgb_image(message), RGB)


def test_grey_gives_three_equal_channels():
    grey = np.array([[1, 2], [3, 4]], np.uint8)
    rgb = messages.rgb_image(_image('mono8', grey))
    np.testing.assert_array_equal(rgb, np.dstack([grey] * 3))


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_compressed_picture_gives_rgb(suffix):
    pixels = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()
    message = _over_the_wire(messages.compressed_image(HEADER, 'whatever', data))
    assert np.abs(messages.rgb_image(message).astype(int) - pixels).max() <= 3


@pytest.mark.parametrize(
    ('message', 'what'),
    [
        (_image('bayer_rggb8', RGB), "'bayer_rggb8' is not one of rgb8, bgr8"),
        (_image('rgb8', RGB, width=0), 'image is empty: 0x2'),
        (_image('rgb8', RGB, step=8), 'at least 9 bytes'),
        (_image('rgb8', RGB, data=RGB.ravel()[:-1]), 'cut off: 9 x 2 bytes expected, got 17'),
        (messages.compressed_image(HEADER, 'jpeg', b''), '0 bytes'),
        (messages.compressed_image(HEADER, 'jpeg', b'not a picture'), 'no picture'),
    ],
)
def test_damaged_picture_is_named(message, what):
    with pytest.raises(ValueError, match=what):
        messages.rgb_image(message)


def test_truncated_jpeg_is_no_half_grey_picture():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = cv2.imencode('.jpg', noise)[1].tobytes()
    with pytest.raises(ValueError, match='cut short'):
        messages.rgb_image(messages.compressed_image(HEADER, 'jpeg', data[: len(data) // 2]))


def test_camera_info_is_that_of_a_rectified_picture():
    K = np.array(((60, 0, 40), (0, 61, 24), (0, 0, 1)))
    info = _over_the_wire(messages.camera_info(HEADER, K, (48, 80)))
    assert (info.height, info.width, info.distortion_model) == (48, 80, 'plumb_bob')
    np.testing.assert_array_equal(info.d, np.zeros(5))
    np.testing.assert_array_equal(info.k, [60, 0, 40, 0, 61, 24, 0, 0, 1])
    np.testing.assert_array_equal(info.r, np.eye(3).ravel())
    np.testing.assert_array_equal(info.p, [60, 0, 40, 0, 0, 61, 24, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(messages.intrinsics(info, (48, 80)), K)


def test_intrinsics_come_from_p_and_from_k_where_p_is_zero():
    info = messages.camera_info(HEADER, np.diag((60.0, 60, 1)), (48, 80))
    info.p[0] = 50  # what rectification left of the raw focal length
    assert messages.intrinsics(info, (48, 80))[0, 0] == 50
    info.p[:] = 0
    assert messages.intrinsics(info, (48, 80))[0, 0] == 60


def test_intrinsics_are_of_the_region_and_binning():
    info = messages.camera_info(HEADER, np.array(((60, 0, 40), (0, 61, 24), (0, 0, 1))), (48, 80))
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 10, 20, 60, 20
    info.binning_x = info.binning_y = 2
    # Cut out, then halved by the half-pixel rule: (40 - 10 + 0.5) / 2 - 0.5.
    expected = ((30, 0, 14.75), (0, 30.5, 1.75), (0, 0, 1))
    np.testing.assert_allclose(messages.intrinsics(info, (10, 30)), expected)


def test_contradictory_camera_info_is_named():
    info = messages.camera_info(HEADER, np.diag((60.0, 60, 1)), (48, 80))
    with pytest.raises(ValueError, match='for 80x48 pixels, but the picture has 160x96'):
        messages.intrinsics(info, (96, 160))
    info.p[:] = info.k[:] = 0
    with pytest.raises(ValueError, match='focal lengths > 0'):
        messages.intrinsics(info, (48, 80))


@pytest.mark.parametrize(
    ('depth', 'encoding'),
    [
        (np.array([[1.5, np.nan, 80]], np.float32), '32FC1'),
        (np.array([[1500, 0, 65535]], np.uint16), '16UC1'),
    ],
)
def test_depth_image_holds_the_array(depth, encoding):
    message = _over_the_wire(messages.depth_image(HEADER, depth))
    assert (message.encoding, message.height, message.width) == (encoding, 1, 3)
    assert message.step == depth.strides[0]
    np.testing.assert_array_equal(message.data.view(depth.dtype), depth[0])
    assert messages.is_depth(message)


@pytest.mark.parametrize('encoding', ['rgb8', 'mono16'])
def test_pictures_are_not_depth(encoding):
    assert not messages.is_depth(_image(encoding, RGB))
    assert not messages.is_depth(
        messages.compressed_image(HEADER, f'{encoding}; png compressed', b'')
    )


def test_stamp_is_read_from_bytes_of_either_order():
    assert messages.cdr_stamp_ns(b'\0\1\0\0' + struct.pack('<iI', 3, 4)) == 3_000_000_004
    assert messages.cdr_stamp_ns(b'\0\0\0\0' + struct.pack('>iI', 3, 4)) == 3_000_000_004


def test_transform_names_frames_and_keeps_the_pose():
    T = np.array(((0, -1, 0, 1), (1, 0, 0, 2), (0, 0, 1, 3), (0, 0, 0, 1.0)))
    (t,) = _over_the_wire(messages.transforms(5, 'map', [('base_link', T)])).transforms
    assert (t.header.frame_id, t.child_frame_id, t.header.stamp.nanosec) == ('map', 'base_link', 5)
    shift, turn = t.transform.translation, t.transform.rotation
    assert (shift.x, shift.y, shift.z) == (1, 2, 3)
    np.testing.assert_allclose((turn.w, turn.x, turn.y, turn.z), (0.5**0.5, 0, 0, 0.5**0.5))


def test_point_cloud_fields_lead_to_the_points():
    points = np.arange(10, dtype=np.float32).reshape(2, 5)
    cloud = _over_the_wire(messages.point_cloud(HEADER, points))
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 2, 20, 40)
    layout = {
        'names': [field.name for field in cloud.fields],
        'formats': ['<f4'] * 5,
        'offsets': [field.offset for field in cloud.fields],
    }
    read = cloud.data.view(np.dtype(layout))
    for column, name in enumerate(('x', 'y', 'z', 'intensity', 'ring')):
        np.testing.assert_array_equal(read[name], points[:, column])
    assert cloud.is_dense
