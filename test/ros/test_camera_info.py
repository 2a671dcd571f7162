from threading import Timer
import time

from builtin_interfaces.msg import Time
import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, RegionOfInterest
from ssd_depth_ros.camera_info import (
    CacheClosed,
    calibration_from,
    CameraInfoCache,
    is_calibrated,
    read_camera_info,
)
from std_msgs.msg import Header

K = np.array([[1000.0, 0, 799.5], [0, 1100, 449.5], [0, 0, 1]])
# A second camera to the right by 0.1 m, rectified with another focal length.
P = np.array([[900.0, 0, 790, -90], [0, 900, 440, 0], [0, 0, 1, 0]])


def header(second):
    return Header(stamp=Time(sec=second), frame_id='cam')


def info(second=1, **changes):
    values = {'k': K.ravel(), 'p': P.ravel(), 'r': np.eye(3).ravel(), 'height': 900, 'width': 1600}
    return CameraInfo(header=header(second), **(values | changes))


def project(P, points):
    """Area coordinates, in which the pixel at index 0 reaches from 0 to 1."""
    u, v, w = P @ np.vstack([points, np.ones(points.shape[1])])
    return np.array([u / w + 0.5, v / w + 0.5])


POINTS = np.array([[0.3, -2.0, 1.0], [0.1, 0.5, -1.0], [4.0, 10.0, 7.0]])


def test_rectified_intrinsics_are_those_of_p():
    assert np.array_equal(read_camera_info(info()).intrinsics, P[:, :3])


def test_k_serves_where_p_is_zero():
    calibration = read_camera_info(info(p=np.zeros(12)))
    assert np.array_equal(calibration.intrinsics, K)
    assert np.array_equal(calibration.P[:, 3], [0, 0, 0])


def test_p_serves_where_k_is_zero():
    assert np.array_equal(read_camera_info(info(k=np.zeros(9))).K, P[:, :3])


def test_zeros_are_not_calibrated():
    assert is_calibrated(info())
    assert is_calibrated(info(p=np.zeros(12)))
    assert not is_calibrated(info(k=np.zeros(9), p=np.zeros(12)))


@pytest.mark.parametrize('size', [(450, 800), (192, 320), (225, 533)])
def test_resized_camera_projects_to_the_resized_place(size):
    resized = read_camera_info(info()).camera_info(header(7), size)
    scale = np.array([[size[1] / 1600], [size[0] / 900]])
    expected = scale * project(P, POINTS)
    np.testing.assert_allclose(project(resized.p.reshape(3, 4), POINTS), expected)
    plain = np.hstack([K, np.zeros((3, 1))])
    of_k = np.hstack([resized.k.reshape(3, 3), np.zeros((3, 1))])
    np.testing.assert_allclose(project(of_k, POINTS), scale * project(plain, POINTS))


def test_resized_message_has_its_own_size_and_header_and_the_same_lens():
    source = info(d=[0.1, 0.2, 0.0, 0.0, 0.0], distortion_model='plumb_bob', binning_x=1)
    resized = read_camera_info(source).camera_info(header(7), (192, 320))
    assert (resized.height, resized.width) == (192, 320)
    assert resized.header == header(7)
    assert (resized.d, resized.distortion_model) == (source.d, 'plumb_bob')
    assert np.array_equal(resized.r, source.r)
    assert resized.roi == RegionOfInterest()
    assert resized.binning_x == 0


def test_region_and_binning_are_worked_in():
    region = RegionOfInterest(x_offset=200, y_offset=100, width=800, height=600)
    calibration = read_camera_info(info(roi=region, binning_x=2, binning_y=4))
    assert calibration.size == (150, 400)
    expected = (project(P, POINTS) - [[200], [100]]) / [[2], [4]]
    np.testing.assert_allclose(project(calibration.P, POINTS), expected)


def test_binning_of_the_full_sensor_divides_its_size():
    assert read_camera_info(info(binning_x=2, binning_y=2)).size == (450, 800)


def test_parameter_makes_a_pinhole_camera():
    calibration = calibration_from((500.0, 510.0, 320.0, 240.0), (480, 640))
    assert np.array_equal(calibration.intrinsics, [[500, 0, 320], [0, 510, 240], [0, 0, 1]])
    assert not calibration.is_distorted
    message = calibration.camera_info(header(1), (480, 640))
    np.testing.assert_array_equal(message.k, calibration.intrinsics.ravel())
    assert message.distortion_model == 'plumb_bob'


def test_distortion_is_noticed():
    assert read_camera_info(info(d=[0.0, 0.1, 0.0, 0.0, 0.0])).is_distorted


def test_own_stamp_wins_over_the_newest():
    cache = CameraInfoCache()
    for second in (1, 2, 3):
        cache.add(info(second))
    found, is_exact = cache.find(header(2), 0)
    assert (found.header.stamp.sec, is_exact) == (2, True)


def test_newest_serves_where_the_stamp_is_unknown():
    cache = CameraInfoCache()
    cache.add(info(1))
    cache.add(info(2))
    found, is_exact = cache.find(header(9), 0)
    assert (found.header.stamp.sec, is_exact) == (2, False)


def test_without_any_there_is_none():
    cache = CameraInfoCache()
    assert cache.find(header(1), 0) == (None, False)
    assert cache.is_empty
    cache.add(info(1))
    assert not cache.is_empty


def test_pair_under_way_is_waited_for():
    cache = CameraInfoCache()
    Timer(0.05, cache.add, [info(1)]).start()
    found, is_exact = cache.find(header(1), 10)
    assert (found.header.stamp.sec, is_exact) == (1, True)


def test_closing_lets_a_waiting_image_go():
    cache = CameraInfoCache()
    cache.add(info(1))
    Timer(0.05, cache.close).start()
    started = time.monotonic()
    with pytest.raises(CacheClosed):
        cache.find(header(2), 60)
    assert time.monotonic() - started < 30


def test_latched_camera_is_waited_for_once():
    cache = CameraInfoCache()
    cache.add(info(1))
    cache.find(header(2), 0.01)
    started = time.monotonic()
    found, is_exact = cache.find(header(3), 60)
    assert (found.header.stamp.sec, is_exact) == (1, False)
    assert time.monotonic() - started < 30


def test_late_pair_makes_images_wait_again():
    cache = CameraInfoCache()
    cache.add(info(1))
    cache.find(header(2), 0.01)
    cache.add(info(2))
    Timer(0.05, cache.add, [info(3)]).start()
    found, is_exact = cache.find(header(3), 10)
    assert (found.header.stamp.sec, is_exact) == (3, True)


def test_memory_is_bounded():
    cache = CameraInfoCache()
    for second in range(100):
        cache.add(info(second))
    found, is_exact = cache.find(header(2), 0)
    assert (found.header.stamp.sec, is_exact) == (99, False)
