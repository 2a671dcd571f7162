"""The node as a process, over real DDS."""

import numpy as np
import pytest

pytestmark = pytest.mark.ros

SIZE = (96, 160)


def test_image_gives_depth_and_camera_info(start_node, messages):
    _, peer = start_node()
    peer.listen()
    peer.wait_matched()
    header = peer.header('cam_front')
    peer.camera_info.publish(messages.camera_info(header, SIZE))
    peer.image.publish(messages.image(header, messages.picture(*SIZE)))
    depth = peer.wait(lambda: peer.received['depth_node/depth/image'], 'depth')[0]
    info = peer.wait(lambda: peer.received['depth_node/depth/camera_info'], 'camera_info')[0]
    assert depth.header == info.header == header
    assert (depth.height, depth.width, depth.encoding) == (24, 40, '32FC1')
    metres = np.frombuffer(depth.data, np.float32).reshape(24, 40)
    # Focal length 100 px becomes 25 px at a quarter of the size, half the canonical 50 px.
    np.testing.assert_allclose(metres[:, 20:], 0.5 * 255 / 51, rtol=1e-6)
    assert np.isnan(metres[:, :20]).all()
    np.testing.assert_allclose(info.k, [25, 0, 19.5, 0, 25, 11.5, 0, 0, 1])
