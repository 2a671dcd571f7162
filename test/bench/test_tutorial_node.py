import cv2
import numpy as np
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.runtime.network_input import NetworkInput
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL
from ssd_depth_ros.parameters import PointsParameters
from ssd_depth_ros.point_cloud import PointCloudWriter
from std_msgs.msg import Header
from tutorial_node import tutorial_input, tutorial_points


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
