import numpy as np
import pytest
from ssd_depth_core.runtime.image_encodings import decode_raw, ENCODINGS

# Two pixels wide, two high: black, white / red, red. YUV is BT.601: neutral chroma with Y 16 and
# 235 is black and white, (82, 90, 240) is red.
COLOUR = np.array([[[0] * 3, [255] * 3], [[255, 0, 0]] * 2], np.uint8)
GREY = np.array([[0, 255], [100, 2]], np.uint8)
ALPHA = np.full((2, 2, 1), 7, np.uint8)
UYVY = np.array([[128, 16, 128, 235], [90, 82, 240, 82]], np.uint8)
YUYV = UYVY[:, [1, 0, 3, 2]]
CASES = [
    ('rgb8', COLOUR, COLOUR),
    ('bgr8', COLOUR[..., ::-1], COLOUR),
    ('rgba8', np.dstack([COLOUR, ALPHA]), COLOUR),
    ('bgra8', np.dstack([COLOUR[..., ::-1], ALPHA]), COLOUR),
    ('mono8', GREY, np.dstack([GREY] * 3)),
    ('mono16', GREY.astype('<u2') * 257, np.dstack([GREY] * 3)),
    ('yuv422', UYVY, COLOUR),
    ('uyvy', UYVY, COLOUR),
    ('yuv422_yuy2', YUYV, COLOUR),
    ('yuyv', YUYV, COLOUR),
]


def rows_of(pixels: np.ndarray, padding: int = 0) -> np.ndarray:
    rows = np.frombuffer(pixels.tobytes(), np.uint8).reshape(2, -1)
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=99)


def decode(rows: np.ndarray, encoding: str, **changes: int) -> np.ndarray:
    fields = {'height': 2, 'width': 2, 'step': rows.shape[1], 'is_bigendian': 0} | changes
    return decode_raw(rows.tobytes(), encoding=encoding, **fields)


def test_every_encoding_is_in_the_table_below() -> None:
    assert tuple(name for name, _, _ in CASES) == ENCODINGS


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(('encoding', 'pixels', 'rgb'), CASES)
def test_encoding_gives_rgb(
    encoding: str, pixels: np.ndarray, rgb: np.ndarray, padding: int
) -> None:
    decoded = decode(rows_of(pixels, padding), encoding)
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded.astype(int), rgb, atol=3 if 'y' in encoding else 0)


def test_byte_order_of_16_bits_is_honoured() -> None:
    rows = rows_of(GREY.astype('>u2') * 257)
    np.testing.assert_array_equal(decode(rows, 'mono16', is_bigendian=1)[..., 0], GREY)
    low_first = rows_of(np.array([[0, 255], [256, 65280]], '<u2'))
    np.testing.assert_array_equal(decode(low_first, 'mono16')[..., 0], [[0, 1], [1, 254]])


def test_rgb8_is_not_copied() -> None:
    data = COLOUR.ravel().copy()
    rgb = decode_raw(data, encoding='rgb8', height=2, width=2, step=6, is_bigendian=False)
    assert np.shares_memory(rgb, data)


def test_bytes_after_the_last_row_are_ignored() -> None:
    data = COLOUR.tobytes() + b'more'
    rgb = decode_raw(data, encoding='rgb8', height=2, width=2, step=6, is_bigendian=False)
    np.testing.assert_array_equal(rgb, COLOUR)


@pytest.mark.parametrize(
    ('encoding', 'changes', 'message'),
    [
        ('rgb8', {'height': 0}, 'image is empty: 2x0'),
        ('rgb8', {'width': 0}, 'image is empty: 0x2'),
        ('rgb8', {'step': 5}, 'step must be at least 6 bytes for 2 pixels of rgb8, got 5'),
        ('rgb8', {'step': 7}, 'image is cut off: 7 x 2 bytes expected, got 12'),
        ('yuyv', {'width': 3, 'height': 1, 'step': 6}, 'even width, got 3'),
        ('bayer_rggb8', {}, "'bayer_rggb8' is not one of rgb8, bgr8"),
        ('16UC1', {}, "'16UC1' is not one of"),
    ],
)
def test_what_cannot_be_decoded_is_named(
    encoding: str, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        decode(rows_of(COLOUR), encoding, **changes)
