from pathlib import Path

import cv2
import numpy as np
import pytest
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_core.exact_depth import encode_exact_depth, MESSAGE_FORMAT
from ssd_depth_core.runtime.postprocess import millimetres
from ssd_depth_ros.bag_depth import read_depth, read_messages

STAMP = 1_700_000_000_123_456_789
K = np.array([[10.0, 0.0, 1.5], [0.0, 11.0, 0.5], [0.0, 0.0, 1.0]])
DEPTH = np.array([[1.0, 2.5, np.nan, 40.0], [0.5, 60.0, 7.25, np.inf]], np.float32)


def write(path: Path, message: object) -> Path:
    info = messages.camera_info(messages.header(STAMP, 'camera'), K, DEPTH.shape)
    with BagWriter(path) as bag:
        bag.write('/info', info, STAMP)
        bag.write('/depth', message, STAMP)
    return path


def header() -> object:
    return messages.header(STAMP, 'camera')


def test_metres_come_back_with_their_camera(tmp_path: Path) -> None:
    bag = write(tmp_path / 'a.mcap', messages.depth_image(header(), DEPTH))
    ((stamp, grid),) = read_depth(bag, '/depth', '/info').items()
    assert stamp == STAMP
    np.testing.assert_array_equal(grid.depth, DEPTH)
    np.testing.assert_array_equal(grid.K, K)


def test_millimetres_become_metres_and_zero_unknown(tmp_path: Path) -> None:
    message = messages.depth_image(header(), millimetres(DEPTH))
    grid = read_depth(write(tmp_path / 'a.mcap', message), '/depth', '/info')[STAMP]
    expected = np.where(np.isfinite(DEPTH), DEPTH, np.nan)
    np.testing.assert_allclose(grid.depth, expected, atol=1e-6)


def test_rows_may_be_padded_and_bytes_swapped(tmp_path: Path) -> None:
    padded = np.zeros((2, 6), '>f4')
    padded[:, :4] = DEPTH
    message = messages.depth_image(header(), DEPTH)
    message.data, message.step = padded.view(np.uint8).ravel(), 24
    message.is_bigendian = 1
    grid = read_depth(write(tmp_path / 'a.mcap', message), '/depth', '/info')[STAMP]
    np.testing.assert_array_equal(grid.depth, DEPTH)


def test_exact_depth_comes_back(tmp_path: Path) -> None:
    png = cv2.imencode('.png', encode_exact_depth(DEPTH))[1].tobytes()
    message = messages.compressed_image(header(), MESSAGE_FORMAT, png)
    grid = read_depth(write(tmp_path / 'a.mcap', message), '/depth', '/info')[STAMP]
    np.testing.assert_allclose(grid.depth, DEPTH, atol=1 / 512)


def test_other_pictures_are_errors(tmp_path: Path) -> None:
    grey = cv2.imencode('.png', np.zeros((2, 4), np.uint8))[1].tobytes()
    wrong = messages.depth_image(header(), DEPTH)
    wrong.encoding = '64FC1'
    for name, message, match in (
        ('png', messages.compressed_image(header(), MESSAGE_FORMAT, grey), 'hold a 16-bit PNG'),
        ('raw', wrong, "must be 32FC1 or 16UC1, got '64FC1'"),
    ):
        bag = write(tmp_path / f'{name}.mcap', message)
        with pytest.raises(ValueError, match=match):
            read_depth(bag, '/depth', '/info')


def test_compressed_millimetres_are_not_taken_for_exact_depth(tmp_path: Path) -> None:
    png = cv2.imencode('.png', millimetres(DEPTH))[1].tobytes()
    message = messages.compressed_image(header(), '16UC1; png compressed', png)
    bag = write(tmp_path / 'a.mcap', message)
    with pytest.raises(ValueError, match="'exact_depth; png, 1/256 m', got '16UC1; png comp"):
        read_depth(bag, '/depth', '/info')


def test_depth_without_its_own_camera_info_is_left_out(tmp_path: Path) -> None:
    late = messages.header(STAMP + 1, 'camera')
    bag = write(tmp_path / 'a.mcap', messages.depth_image(late, DEPTH))
    assert read_depth(bag, '/depth', '/info') == {}


def test_missing_topic_names_those_there_are(tmp_path: Path) -> None:
    bag = write(tmp_path / 'a.mcap', messages.depth_image(header(), DEPTH))
    with pytest.raises(ValueError, match=r'has no topic /none; it has /depth, /info'):
        list(read_messages(bag, '/none'))
