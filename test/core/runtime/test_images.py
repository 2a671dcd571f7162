from pathlib import Path
import struct
import zlib

import cv2
import numpy as np
import pytest
from ssd_depth_core.runtime.images import decode_image, read_image


def encoded(suffix: str, size: tuple[int, int] = (48, 64)) -> bytes:
    """A picture whose left half is red, as RGB."""
    picture = np.zeros((*size, 3), np.uint8)
    picture[:, : size[1] // 2, 2] = 255  # OpenCV writes BGR
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
def test_red_comes_first(suffix: str) -> None:
    image = decode_image(encoded(suffix))
    assert image.shape == (48, 64, 3)
    np.testing.assert_allclose(image[5, 5], (255, 0, 0), atol=3)
    np.testing.assert_allclose(image[5, 60], (0, 0, 0), atol=3)


@pytest.mark.parametrize('reduction', [1, 2, 4, 8])
def test_reduction_divides_both_sides(reduction: int) -> None:
    image = decode_image(encoded('.jpg'), reduction)
    assert image.shape == (48 // reduction, 64 // reduction, 3)
    assert image[0, 0, 0] > 200
    assert image[0, -1, 0] < 50


@pytest.mark.parametrize('kept', [0.5, 0.9, 0.99])
def test_jpeg_cut_short_is_an_error(kept: float) -> None:
    data = encoded('.jpg', (480, 640))
    with pytest.raises(ValueError, match='has no end; it was cut short'):
        decode_image(data[: int(len(data) * kept)])


def test_padding_after_the_end_is_no_damage() -> None:
    data = encoded('.jpg')
    np.testing.assert_array_equal(decode_image(data + b'\0' * 512), decode_image(data))


@pytest.mark.parametrize('data', [b'', b'not a picture', b'\xff\xd8\xff\xda\xff\xd9'])
def test_what_is_no_picture_is_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=f'{len(data)} bytes are no picture'):
        decode_image(data)


def test_picture_too_large_for_opencv_is_an_error() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack('>I', len(data)) + checked + struct.pack('>I', zlib.crc32(checked))

    size = struct.pack('>IIBBBBB', 60_000, 60_000, 8, 2, 0, 0, 0)
    start = b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', size)
    with pytest.raises(ValueError, match='cannot decode .*; the picture is damaged or too large'):
        decode_image(start + chunk(b'IDAT', b'') + chunk(b'IEND', b''))


def test_file_is_named_in_the_message(tmp_path: Path) -> None:
    path = tmp_path / 'street.jpg'
    path.write_bytes(b'not a picture')
    with pytest.raises(ValueError, match=r'street\.jpg: 13 bytes are no picture'):
        read_image(path)
    with pytest.raises(FileNotFoundError, match=r'picture not found at .*none\.png'):
        read_image(tmp_path / 'none.png')


def test_written_picture_is_read_back(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    cv2.imwrite(str(tmp_path / 'a.png'), image[..., ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / 'a.png'), image)
