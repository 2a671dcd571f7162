"""Publish depth as a first program would: what the node's care is measured against.

    python bench/tutorial_node.py [--tolist]

It runs the same network on the same engine and publishes the same depth image and cloud as
depth_node. Around that everything is as tutorials write it: one callback does all, pictures are
decoded whole, brought to 0..1 and resized as floating-point numbers (as the reference code of
MiDaS and Depth Anything does), messages are made anew each time, and every point is computed anew.
Arrays become `data` by `tobytes`, or by `tolist`, which answers and first programs have as often.
"""

import contextlib
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from ssd_depth_core.model_spec import load_spec, ModelSpec
from ssd_depth_core.preprocess import focal_of
from ssd_depth_core.runtime.backends import choose_backend, load_backend
from ssd_depth_core.runtime.postprocess import metric_depth
from ssd_depth_core.runtime.predictor import shipped_model


def tutorial_input(picture: NDArray[np.uint8], spec: ModelSpec) -> NDArray[np.float32]:
    """Prepare a picture for the network.

    Args:
        picture: (H, W, 3) BGR, as OpenCV decodes it.
        spec: Of the network.

    Returns:
        (1, 3, h, w), normalised.
    """
    image = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) / 255.0
    size = (spec.input_width, spec.input_height)
    image = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    image = (image - np.array(spec.mean)) / np.array(spec.std)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)


def tutorial_points(
    depth: NDArray[np.float32], picture: NDArray[np.uint8], K: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Make points of depth.

    Args:
        depth: (h, w) [m].
        picture: (H, W, 3) BGR.
        K: (3, 3), pixels of `depth`.

    Returns:
        (h, w, 4): x, y, z and the packed colour.
    """
    height, width = depth.shape
    v, u = np.mgrid[:height, :width]
    x, y = (u - K[0, 2]) * depth / K[0, 0], (v - K[1, 2]) * depth / K[1, 1]
    b, g, r = np.moveaxis(cv2.resize(picture, (width, height)).astype(np.uint32), 2, 0)
    rgb = (r << 16 | g << 8 | b).view(np.float32)
    return np.stack([x, y, depth, rgb], axis=-1).astype(np.float32)


class TutorialNode(Node):
    """Do everything in one callback."""

    def __init__(self, by_list: bool) -> None:
        """Load the shipped student and subscribe.

        Args:
            by_list: Whether arrays become `data` by `tolist`.
        """
        super().__init__('depth_node')
        self._by_list = by_list
        backend = choose_backend('auto')
        model = shipped_model(backend)
        self._spec = load_spec(model)
        self._network = load_backend(backend, model, None, 1, None)
        self._info: CameraInfo | None = None
        self._depth = self.create_publisher(Image, '~/depth/image', 10)
        self._depth_info = self.create_publisher(CameraInfo, '~/depth/camera_info', 10)
        self._points = self.create_publisher(PointCloud2, '~/points', 10)
        self.create_subscription(CameraInfo, 'camera_info', self._on_info, qos_profile_sensor_data)
        self.create_subscription(
            CompressedImage, 'image/compressed', self._on_image, qos_profile_sensor_data
        )

    def _on_info(self, message: CameraInfo) -> None:
        self._info = message

    def _on_image(self, message: CompressedImage) -> None:
        if self._info is None:
            return
        spec = self._spec
        picture = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        outputs = self._network.run(tutorial_input(picture, spec))
        width, height = spec.input_width, spec.input_height
        K = np.array(self._info.k).reshape(3, 3)
        K[0] *= width / picture.shape[1]
        K[1] *= height / picture.shape[0]
        depth = metric_depth(outputs['inverse_depth'][0, 0], spec, focal_of(K))
        image = Image(header=message.header, height=height, width=width, step=4 * width)
        image.encoding = '32FC1'
        image.data = self._data(depth)
        self._depth.publish(image)
        info = CameraInfo(header=message.header, height=height, width=width, k=K.ravel())
        self._depth_info.publish(info)
        points = tutorial_points(depth, picture, K)
        cloud = PointCloud2(header=message.header, height=height, width=width, point_step=16)
        cloud.row_step = 16 * width
        cloud.fields = [
            PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
            for i, name in enumerate(('x', 'y', 'z', 'rgb'))
        ]
        cloud.data = self._data(points)
        self._points.publish(cloud)

    def _data(self, values: NDArray[np.float32]) -> bytes | list[int]:
        return values.reshape(-1).view(np.uint8).tolist() if self._by_list else values.tobytes()


def main() -> int:
    """Run the node until it is interrupted.

    Returns:
        Exit status.
    """
    by_list = '--tolist' in sys.argv
    rclpy.init()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(TutorialNode(by_list))
    rclpy.try_shutdown()
    return 0


if __name__ == '__main__':
    sys.exit(main())
