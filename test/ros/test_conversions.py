from array import array
import sys
from types import ModuleType

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from ssd_depth_core.runtime.postprocess import millimetres
from ssd_depth_ros.conversions import (
    ImageWriter,
    jpeg_size,
    rgb_from_compressed,
    rgb_from_image,
)
from std_msgs.msg import Header

# Two pixels wide, two high: red, green / blue, grey.
RGB = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [90, 90, 90]]], np.uint8)


def image(encoding, data, *, height=2, width=2, step=None, big=0):
    message = Image(height=height, width=width, encoding=encoding, is_bigendian=big)
    message.step = len(data) // height if step is None else step
    message.data = array('B', data)
    return message


@pytest.mark.parametrize(
    ('encoding', 'order'),
    [('rgb8', (0, 1, 2)), ('bgr8', (2, 1, 0)), ('rgba8', (0, 1, 2, 3)), ('bgra8', (2, 1, 0, 3))],
)
def test_colour_encodings(encoding, order):
    with_alpha = np.dstack([RGB, np.full((2, 2), 7, np.uint8)])
    data = with_alpha[..., order].tobytes()
    np.testing.assert_array_equal(rgb_from_image(image(encoding, data)), RGB)


def test_mono8_is_grey():
    rgb = rgb_from_image(image('mono8', [0, 100, 200, 255]))
    np.testing.assert_array_equal(rgb[..., 0], [[0, 100], [200, 255]])
    assert (rgb[..., :1] == rgb).all()


@pytest.mark.parametrize(('big', 'order'), [(0, 'little'), (1, 'big')])
def test_mono16_honours_the_byte_order(big, order):
    values = (0, 65535, 25700, 514)
    data = b''.join(value.to_bytes(2, order) for value in values)
    rgb = rgb_from_image(image('mono16', data, big=big))
    np.testing.assert_array_equal(rgb[..., 1], [[0, 255], [100, 2]])


@pytest.mark.parametrize(
    ('encoding', 'layout'),
    [('yuv422', 'UYVY'), ('uyvy', 'UYVY'), ('yuv422_yuy2', 'YUYV'), ('yuyv', 'YUYV')],
)
def test_yuv422_orders(encoding, layout):
    # BT.601: neutral chroma with Y 16 and 235 is black and white; red is (82, 90, 240).
    neutral, red = {'U': 128, 'V': 128}, {'U': 90, 'V': 240}
    rows = []
    for chroma, lumas in ((neutral, [16, 235]), (red, [82, 82])):
        brightness = iter(lumas)
        rows += [next(brightness) if letter == 'Y' else chroma[letter] for letter in layout]
    rgb = rgb_from_image(image(encoding, rows)).astype(int)
    expected = [[[0, 0, 0], [255, 255, 255]], [[255, 0, 0], [255, 0, 0]]]
    np.testing.assert_allclose(rgb, expected, atol=3)


def test_padding_at_the_end_of_rows_is_skipped():
    rows = np.hstack([RGB.reshape(2, 6), np.full((2, 5), 99, np.uint8)])
    message = image('rgb8', rows.tobytes(), step=11)
    np.testing.assert_array_equal(rgb_from_image(message), RGB)


def test_rgb8_is_not_copied():
    message = image('rgb8', RGB.tobytes())
    assert np.shares_memory(rgb_from_image(message), np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'height': 0}, 'image is empty: 2x0; look at the camera driver'),
        ({'width': 0}, 'image is empty: 0x2; look at the camera driver'),
        ({'step': 5}, 'at least 6 bytes for 2 pixels of rgb8, got 5; the camera driver'),
        ({'step': 7}, 'image is cut off: 7 x 2 bytes expected, got 12; the camera driver'),
        (
            {'encoding': 'yuyv', 'width': 3, 'height': 1, 'step': 6},
            'even width, got 3; set another width or encoding',
        ),
    ],
)
def test_broken_images_are_refused(changes, message):
    broken = image('rgb8', RGB.tobytes())
    for name, value in changes.items():
        setattr(broken, name, value)
    with pytest.raises(ValueError, match=message):
        rgb_from_image(broken)


def test_unknown_encoding_names_itself_and_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(ValueError, match=r"'bayer_rggb8'.*ros-\$ROS_DISTRO-cv-bridge"):
        rgb_from_image(image('bayer_rggb8', [1, 2, 3, 4]))


def fake_cv_bridge(monkeypatch, convert):
    module = ModuleType('cv_bridge')
    module.CvBridgeError = type('CvBridgeError', (TypeError,), {})
    bridge = type('CvBridge', (), {'imgmsg_to_cv2': lambda self, m, e: convert(module, m, e)})
    module.CvBridge = bridge
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)


def test_other_encodings_go_to_cv_bridge(monkeypatch):
    asked = []
    fake_cv_bridge(monkeypatch, lambda _, m, e: asked.append((m.encoding, e)) or RGB)
    np.testing.assert_array_equal(rgb_from_image(image('bayer_rggb8', [1, 2, 3, 4])), RGB)
    assert asked == [('bayer_rggb8', 'rgb8')]


def test_what_cv_bridge_refuses_is_a_clear_error(monkeypatch):
    def refuse(module, *_):
        raise module.CvBridgeError('no such conversion')

    fake_cv_bridge(monkeypatch, refuse)
    with pytest.raises(ValueError, match="'odd' is .*no such conversion.*set one of rgb8"):
        rgb_from_image(image('odd', [1, 2, 3, 4]))


@pytest.mark.parametrize(
    ('encoding', 'pixel_bytes'),
    [
        ('rgb8', 3),
        ('bgr8', 3),
        ('rgba8', 4),
        ('bgra8', 4),
        ('mono8', 1),
        ('mono16', 2),
        ('yuv422', 2),
        ('yuv422_yuy2', 2),
    ],
)
def test_agrees_with_cv_bridge(encoding, pixel_bytes):
    cv_bridge = pytest.importorskip('cv_bridge')
    data = np.random.default_rng(0).integers(0, 256, 6 * 8 * pixel_bytes, np.uint8).tobytes()
    message = image(encoding, data, height=6, width=8)
    expected = cv_bridge.CvBridge().imgmsg_to_cv2(message, 'rgb8')
    np.testing.assert_allclose(rgb_from_image(message).astype(int), expected, atol=1)


def smooth(height, width):
    y, x = np.mgrid[:height, :width]
    return np.dstack([x * 255 // width, y * 255 // height, (x + y) % 64]).astype(np.uint8)


def compressed(rgb, kind='.jpg'):
    _, data = cv2.imencode(kind, rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
    message = CompressedImage(format='whatever the driver says')
    message.data = array('B', data.tobytes())
    return message


@pytest.mark.parametrize(
    ('size', 'expected'),
    [
        ((900, 1600), (225, 400)),
        ((901, 1599), (226, 400)),
        ((480, 640), (240, 320)),
        ((300, 500), (300, 500)),
        ((100, 60), (100, 60)),
    ],
)
def test_jpeg_is_reduced_but_not_below_what_is_needed(size, expected):
    rgb = smooth(*size)
    decoded, original = rgb_from_compressed(compressed(rgb), at_least=(192, 320))
    assert original == size
    assert decoded.shape == (*expected, 3)
    reference = cv2.resize(rgb, expected[::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(decoded.astype(int) - reference).mean() < 4


def test_png_keeps_its_values_and_size():
    rgb = smooth(100, 200)
    decoded, original = rgb_from_compressed(compressed(rgb, '.png'), at_least=(10, 10))
    np.testing.assert_array_equal(decoded, rgb)
    assert original == (100, 200)


@pytest.mark.parametrize('keep', [0, 1, 2, 10, 1000])
def test_broken_jpeg_is_refused(keep):
    message = compressed(smooth(200, 300))
    message.data = message.data[:keep]
    with pytest.raises(ValueError, match=f'{keep} bytes .*(cut short|damaged|use JPEG)'):
        rgb_from_compressed(message, at_least=(20, 30))


# Value 6 asks for a quarter turn, 3 for a half, which no size tells.
@pytest.mark.parametrize('orientation', [3, 6])
def test_exif_rotation_is_ignored_because_camera_info_speaks_of_stored_pixels(orientation):
    plain = compressed(smooth(100, 200))
    # One IFD entry: orientation (0x0112), a short, once.
    tiff = b'MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0' % orientation
    payload = b'Exif\0\0' + tiff
    segment = b'\xff\xe1' + (len(payload) + 2).to_bytes(2, 'big') + payload
    data = bytes(plain.data)
    turned = CompressedImage()
    turned.data = array('B', data[:2] + segment + data[2:])
    for at_least in ((100, 100), (50, 50)):
        decoded, size = rgb_from_compressed(turned, at_least)
        assert size == (100, 200)
        np.testing.assert_array_equal(decoded, rgb_from_compressed(plain, at_least)[0])


def test_jpeg_size_skips_other_segments_and_fill_bytes():
    comment = b'\xff\xfe\x00\x04ab'
    frame = b'\xff\xff\xc2\x00\x0b\x08\x03\x84\x06\x40\x01\x01\x11\x00'
    assert jpeg_size(b'\xff\xd8' + comment + frame) == (900, 1600)


def test_millimetres_follow_rep_118():
    depth = np.array([[1.2344, np.nan, np.inf, 65.535, 65.536, 0.0004, -1.0]], np.float32)
    np.testing.assert_array_equal(millimetres(depth), [[1234, 0, 0, 65535, 0, 0, 0]])


def test_writer_fills_every_field():
    pixels = np.array([[1.5, np.nan], [3, 4], [5, 6]], np.float32)
    header = Header(frame_id='cam')
    message = ImageWriter().write(header, '32FC1', pixels)
    assert (message.height, message.width, message.step) == (3, 2, 8)
    assert (message.encoding, message.header) == ('32FC1', header)
    assert message.is_bigendian == (sys.byteorder == 'big')
    assert bytes(message.data) == pixels.tobytes()


def test_writer_reuses_its_memory_and_follows_a_change_of_size():
    writer = ImageWriter()
    first = writer.write(Header(), 'bgr8', np.zeros((4, 5, 3), np.uint8))
    ramp = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    second = writer.write(Header(), 'bgr8', ramp[..., ::-1])
    assert second is first
    assert bytes(second.data) == ramp[..., ::-1].tobytes()
    third = writer.write(Header(), '16UC1', np.full((2, 2), 258, np.uint16))
    assert (third.height, third.width, third.step) == (2, 2, 4)
    assert bytes(third.data) == np.full(4, 258, np.uint16).tobytes()
