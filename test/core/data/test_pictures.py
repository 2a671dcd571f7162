import cv2
import numpy as np
import pytest
from ssd_depth_core.data.pictures import read_picture

SQUARE = np.kron(
    np.eye(2, dtype=np.uint8)[..., None], np.full((8, 8, 3), (200, 100, 50), np.uint8)
)


def write(path, image=SQUARE):
    path.write_bytes(
        cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes()
    )
    return path


def test_png_comes_back_as_rgb(tmp_path):
    np.testing.assert_array_equal(read_picture(write(tmp_path / 'a.png')), SQUARE)


def test_jpeg_comes_back_as_rgb(tmp_path):
    image = read_picture(write(tmp_path / 'a.jpg'))
    assert np.abs(image[2:6, 2:6].mean((0, 1)) - (200, 100, 50)).max() < 6


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_a_picture_cut_short_is_named(tmp_path, suffix):
    path = write(
        tmp_path / f'a{suffix}', np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    )
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match=rf'a\{suffix} .*(cut short|damaged)'):
        read_picture(path)


def test_what_is_no_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='picture not found at .*a.jpg; copy'):
        read_picture(tmp_path / 'a.jpg')
    (tmp_path / 'a.jpg').write_bytes(b'')
    with pytest.raises(ValueError, match='a.jpg is empty'):
        read_picture(tmp_path / 'a.jpg')
    (tmp_path / 'a.jpg').write_bytes(b'<html>404</html>')
    with pytest.raises(ValueError, match='a.jpg is no picture or a damaged one'):
        read_picture(tmp_path / 'a.jpg')


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
@pytest.mark.parametrize('reduction', [2, 4, 8])
def test_a_reduced_picture_is_an_average(tmp_path, suffix, reduction):
    rng = np.random.default_rng(0)
    coarse = cv2.resize(rng.integers(0, 255, (6, 10, 3), np.uint8), (160, 96))
    path = write(
        tmp_path / f'a{suffix}', cv2.add(coarse, rng.normal(0, 9, coarse.shape), dtype=cv2.CV_8U)
    )
    reduced = read_picture(path, reduction)
    size = (160 // reduction, 96 // reduction)
    average = cv2.resize(read_picture(path), size, interpolation=cv2.INTER_AREA)
    assert reduced.shape == average.shape
    assert np.abs(reduced - average.astype(float)).mean() < 2.5  # every second pixel: 5 and more


def test_a_picture_cut_short_is_named_at_every_reduction(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    path = write(tmp_path / 'a.jpg', noise)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ValueError, match='a.jpg has no end'):
        read_picture(path, 4)
