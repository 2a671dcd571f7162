"""The node's publishers and what goes through them."""

from dataclasses import dataclass
import time
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_core.runtime.colormap import colorize
from ssd_depth_core.runtime.postprocess import millimetres
from ssd_depth_core.runtime.predictor import DepthPrediction
from ssd_depth_ros.camera_info import Calibration
from ssd_depth_ros.conversions import ImageWriter
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.point_cloud import PointCloudWriter
from std_msgs.msg import Header

# Reliable serves both kinds of subscriber (REP 2003); a deeper queue would only hold old depth.
OUTPUT_QOS = QoSProfile(depth=2)

_TOPICS = {
    'depth': ('~/depth/image', Image),
    'camera_info': ('~/depth/camera_info', CameraInfo),
    'points': ('~/points', PointCloud2),
    'confidence': ('~/confidence/image', Image),
    'colormap': ('~/depth/colormap', Image),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """Hold one picture that has been through the network."""

    header: Header
    """Of every output."""
    image: NDArray[np.uint8]
    """(h, w, 3) RGB, as decoded."""
    calibration: Calibration
    """Of the image as it arrived, whose size `output_size: input` means."""
    prediction: DepthPrediction
    """On the network's grid."""


class Outputs:
    """Publish frames on the topics that are switched on and subscribed to."""

    def __init__(self, node: LifecycleNode, parameters: Parameters, has_confidence: bool) -> None:
        """Advertise.

        Args:
            node: Who publishes.
            parameters: Whose `publish` group says what.
            has_confidence: Whether the model gives confidence; else it is not advertised.
        """
        switches = parameters.publish
        on = {
            'depth': switches.depth,
            'camera_info': switches.depth,
            'points': switches.points,
            'confidence': switches.confidence and has_confidence,
            'colormap': switches.colormap,
        }
        self._node = node
        self._publishers: dict[str, LifecyclePublisher] = {}
        try:
            for name, (topic, kind) in _TOPICS.items():
                if on[name]:
                    self._publishers[name] = node.create_lifecycle_publisher(
                        kind,
                        topic,
                        OUTPUT_QOS,
                        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                    )
        except Exception:
            self.destroy()  # the caller never gets this object, and could not
            raise
        self._images = {name: ImageWriter() for name in ('depth', 'confidence', 'colormap')}
        self._points = PointCloudWriter()
        self._next_points_s = 0.0

    def destroy(self) -> None:
        """Stop advertising."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def subscribers(self) -> dict[str, int]:
        """Count who listens.

        Returns:
            Number of subscribers by output.
        """
        return {name: p.get_subscription_count() for name, p in self._publishers.items()}

    def publish(self, frame: Frame, parameters: Parameters) -> None:
        """Publish what is wanted of a frame.

        Args:
            frame: To publish.
            parameters: In force for this frame.
        """
        counts = self.subscribers().items()
        wanted = {name for name, count in counts if count or not parameters.lazy}
        if 'points' in wanted and not self._points_are_due(parameters.points.max_rate):
            wanted.remove('points')
        depth, confidence, K = _at_output_size(frame, parameters)
        header = frame.header
        if 'depth' in wanted:
            coded = depth if parameters.depth_encoding == '32FC1' else millimetres(depth)
            self._send('depth', self._image('depth', header, parameters.depth_encoding, coded))
        if 'camera_info' in wanted:
            self._send('camera_info', frame.calibration.camera_info(header, depth.shape))
        if 'confidence' in wanted:
            assert confidence is not None
            self._send('confidence', self._image('confidence', header, '32FC1', confidence))
        if 'colormap' in wanted:
            colours = colorize(depth)[..., ::-1]
            self._send('colormap', self._image('colormap', header, 'bgr8', colours))
        if 'points' in wanted:
            cloud = self._points.write(
                header, depth, K, parameters.points, confidence=confidence, image=frame.image
            )
            self._send('points', cloud)

    def _image(self, name: str, header: Header, encoding: str, pixels: NDArray[Any]) -> Image:
        return self._images[name].write(header, encoding, pixels)

    def _send(self, name: str, message: Any) -> None:
        self._publishers[name].publish(message)

    def _points_are_due(self, max_rate_hz: float) -> bool:
        now = time.monotonic()
        if now < self._next_points_s:
            return False
        if max_rate_hz > 0:
            # From the planned time on, so that 5 Hz out of 12 Hz is 5 and not 4.
            self._next_points_s = max(self._next_points_s, now - 1 / max_rate_hz) + 1 / max_rate_hz
        return True


def _at_output_size(
    frame: Frame, parameters: Parameters
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None, NDArray[np.float64]]:
    """Give depth, confidence and K at the size to publish, doubtful depth masked."""
    depth, confidence = frame.prediction.depth, frame.prediction.confidence
    size = frame.calibration.size
    if parameters.output_size == 'input':
        depth = _enlarged(depth, size)
        confidence = None if confidence is None else _enlarged(confidence, size)
    if parameters.far_value == 'infinite':
        # The predictor raises on faults of the network, so that NaN is beyond range alone.
        depth = np.where(np.isnan(depth), np.float32(np.inf), depth)
    if parameters.min_confidence > 0 and confidence is not None:
        depth = np.where(confidence >= parameters.min_confidence, depth, np.float32(np.nan))
    K = resize_intrinsics(frame.calibration.intrinsics, size, depth.shape)
    return depth, confidence, K


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Repeat the nearest value: interpolation would hang points between near and far objects."""
    return cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
