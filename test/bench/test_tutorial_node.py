# ruff: noqa: E402  (imports follow importorskip)
import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from sensor_msgs.msg import CameraInfo, CompressedImage
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.runtime.network_input import NetworkInput
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL
from ssd_depth_ros.parameters import PointsParameters
from ssd_depth_ros.point_cloud import PointCloudWriter
from std_msgs.msg import Header
from tutorial_node import tutorial_input, tutorial_points, TutorialNode


def test_the_network_sees_what_it_sees_in_the_node() -> None:
    spec = load_spec(SHIPPED_MODEL)
    coarse = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    bgr = cv2.resize(coarse, (1600, 960), interpolation=cv2.INTER_CUBIC)
    ours = np.empty((3, spec.input_height, spec.input_width), np.float32)
    NetworkInput(spec).fill(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), ours)
    theirs = tutorial_input(bgr, spec)
    assert theirs.shape == (1, *ours.shape)
    np.testing.assert_allclose(theirs[0], ours, atol=0.036)  # two levels of 255


def test_the_cloud_is_that_of_the_node() -> None:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 70, (6, 8)).astype(np.float32)
    depth[0, 3] = np.nan
    bgr = rng.integers(0, 256, (6, 8, 3), np.uint8)
    K = np.array([[7.0, 0, 3.5], [0, 6.0, 2.5], [0, 0, 1]])
    message = PointCloudWriter().write(
        Header(), depth, K, PointsParameters(), image=bgr[..., ::-1].copy()
    )
    ours = np.frombuffer(message.data, np.float32).reshape(6, 8, 4)
    theirs = tutorial_points(depth, bgr, K)
    np.testing.assert_allclose(theirs[..., :3], ours[..., :3], rtol=1e-5)
    np.testing.assert_array_equal(theirs[..., 3].view(np.uint32), ours[..., 3].view(np.uint32))


@pytest.mark.ros
def test_the_depth_is_that_of_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    coarse = np.random.default_rng(0).integers(0, 256, (6, 10, 3), np.uint8)
    bgr = cv2.resize(coarse, (1600, 900), interpolation=cv2.INTER_CUBIC)
    K = np.array([[1266.0, 0, 799.5], [0, 1266.0, 449.5], [0, 0, 1]])
    ours = DepthPredictor.load().predict(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), K).depth
    published = []
    rclpy.init()
    try:
        node = TutorialNode(by_list=False)
        monkeypatch.setattr(node._depth, 'publish', published.append)
        node._on_info(CameraInfo(height=900, width=1600, k=K.ravel()))
        jpeg = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
        node._on_image(CompressedImage(format='jpeg', data=jpeg))
    finally:
        rclpy.try_shutdown()
    theirs = np.frombuffer(published[0].data, np.float32).reshape(ours.shape)
    # Its way of resizing differs a little; a focal length of fx alone would by 3 %.
    assert np.nanmedian(theirs / ours) == pytest.approx(1.0, abs=0.01)
