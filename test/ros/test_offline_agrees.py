"""The node and `depth_bag` read the same message alike."""

from array import array
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest
from ssd_depth_core.bags import messages
from ssd_depth_core.runtime.image_encodings import ENCODINGS
from ssd_depth_ros.camera_info import read_camera_info
from ssd_depth_ros.conversions import rgb_from_image

HEIGHT, WIDTH = 4, 6
STEP = 4 * WIDTH + 5  # enough for every encoding, and padding
DATA = np.random.default_rng(0).integers(0, 256, HEIGHT * STEP, np.uint8)
SENSOR = (900, 1600)
K = [1000.0, 0, 799.5, 0, 1100, 449.5, 0, 0, 1]
P = [900.0, 0, 790, -90, 0, 900, 440, 0, 0, 0, 1, 0]


def both_images(**fields: Any) -> tuple[Image, messages.Message]:
    """Give a message of ROS and the same of `rosbags`."""
    ros = Image(**fields | {'data': array('B', fields['data'].tobytes())})
    header = messages.header(1, 'camera')
    return ros, messages.TYPESTORE.types['sensor_msgs/msg/Image'](header=header, **fields)


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('surplus', [0, 3])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_images_are_decoded_alike(encoding: str, surplus: int, is_bigendian: int) -> None:
    online, offline = both_images(
        height=HEIGHT,
        width=WIDTH,
        encoding=encoding,
        is_bigendian=is_bigendian,
        step=STEP,
        data=np.append(DATA, np.zeros(surplus, np.uint8)),
    )
    assert not messages.is_depth(offline)
    np.testing.assert_array_equal(messages.rgb_image(offline), rgb_from_image(online))


@pytest.mark.parametrize(
    'changes',
    [{'height': 0}, {'width': 0}, {'step': 5}, {'data': DATA[:-1]}, {'encoding': 'yuyv'}],
)
def test_broken_images_are_refused_alike(changes: dict[str, Any]) -> None:
    fields = {
        'height': HEIGHT,
        'width': WIDTH - 1,
        'encoding': 'rgb8',
        'is_bigendian': 0,
        'step': STEP,
        'data': DATA,
    }
    online, offline = both_images(**fields | changes)
    with pytest.raises(ValueError, match='image') as refused:
        rgb_from_image(online)
    with pytest.raises(ValueError) as refused_offline:  # noqa: PT011  (compared below)
        messages.rgb_image(offline)
    assert str(refused_offline.value) == str(refused.value)


@pytest.mark.parametrize(
    ('k', 'p', 'region', 'binning'),
    [
        (K, P, (0, 0, 0, 0), (0, 0)),
        (K, [0.0] * 12, (0, 0, 0, 0), (1, 1)),
        ([0.0] * 9, P, (0, 0, 0, 0), (2, 2)),
        # Of P a driver may fill in the last row alone.
        (K, [0.0] * 10 + [1.0, 0.0], (0, 0, 0, 0), (0, 0)),
        (K, P, (200, 100, 600, 800), (0, 0)),
        (K, P, (200, 100, 600, 800), (4, 2)),
    ],
)
def test_cameras_are_read_alike(
    k: list[float], p: list[float], region: tuple[int, ...], binning: tuple[int, int]
) -> None:
    x_offset, y_offset, height, width = region
    roi = {'x_offset': x_offset, 'y_offset': y_offset, 'height': height, 'width': width}
    online = read_camera_info(
        CameraInfo(
            height=SENSOR[0],
            width=SENSOR[1],
            k=np.array(k, np.float64),
            p=np.array(p, np.float64),
            binning_y=binning[0],
            binning_x=binning[1],
            roi=RegionOfInterest(**roi),
        )
    )
    offline = messages.camera_info(messages.header(1, 'camera'), np.eye(3), SENSOR)
    offline.k[:], offline.p[:] = k, p
    offline.binning_y, offline.binning_x = binning
    for name, value in roi.items():
        setattr(offline.roi, name, value)
    np.testing.assert_array_equal(messages.intrinsics(offline, online.size), online.intrinsics)
