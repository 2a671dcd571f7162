"""The node's publishers and what goes through them."""

from dataclasses import dataclass
import time
from typing import Any, TypeVar

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

Value = TypeVar('Value', np.float32, np.uint16, np.uint8)

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

    def __init__(
        self,
        node: LifecycleNode,
        parameters: Parameters,
        has_confidence: bool,
        camera: str = '',
    ) -> None:
        """Advertise.

        Args:
            node: Who publishes.
            parameters: Whose `publish` group says what.
            has_confidence: Whether the model gives confidence; else it is not advertised.
            camera: Name that the topics have after the node's; empty for none.
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
                        topic.replace('~/', f'~/{camera}/') if camera else topic,
                        OUTPUT_QOS,
                        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
                    )
        except Exception:
            self.destroy()  # the caller never gets this object, and could not
            raise
        self._images = {name: ImageWriter() for name in ('depth', 'confidence', 'colormap')}
        self._points = PointCloudWriter()
        self._grid = np.empty((0, 0), np.float32)
        self._metres = np.empty((0, 0), np.float32)
        self._mask = np.empty((0, 0), np.bool_)
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
        size = frame.prediction.depth.shape
        if parameters.output_size == 'input':
            size = frame.calibration.size
        confidence = self._confidence(frame, size)
        masked = self._masked(frame.prediction, parameters)
        depth = self._metres_at(size, masked, parameters)
        header = frame.header
        if 'depth' in wanted:
            writer = self._images['depth']
            if parameters.depth_encoding == '16UC1':
                _resized(millimetres(masked), writer.pixels(size, np.uint16))
            self._send('depth', writer.message(header, parameters.depth_encoding))
        if 'camera_info' in wanted:
            self._send('camera_info', frame.calibration.camera_info(header, size))
        if 'confidence' in wanted:
            assert confidence is not None
            self._send('confidence', self._images['confidence'].message(header, '32FC1'))
        if 'colormap' in wanted:
            writer = self._images['colormap']
            bgr = cv2.cvtColor(colorize(masked), cv2.COLOR_RGB2BGR)
            _resized(bgr, writer.pixels((*size, 3), np.uint8))
            self._send('colormap', writer.message(header, 'bgr8'))
        if 'points' in wanted:
            cloud = self._points.write(
                header,
                depth,
                resize_intrinsics(frame.calibration.intrinsics, frame.calibration.size, size),
                parameters.points,
                confidence=confidence,
                image=frame.image,
            )
            self._send('points', cloud)

    def _confidence(self, frame: Frame, size: tuple[int, int]) -> NDArray[np.float32] | None:
        """Write confidence into its message."""
        confidence = frame.prediction.confidence
        if confidence is None:
            return None
        return _resized(confidence, self._images['confidence'].pixels(size, np.float32))

    def _masked(self, prediction: DepthPrediction, parameters: Parameters) -> NDArray[np.float32]:
        """Give depth [m] on the network's grid, doubtful depth unknown.

        Before it is enlarged: repeating the nearest value, that gives the same for less work.
        """
        if self._grid.shape != prediction.depth.shape:
            self._grid = np.empty_like(prediction.depth)
            self._mask = np.empty(self._grid.shape, np.bool_)
        depth, confidence = self._grid, prediction.confidence
        np.copyto(depth, prediction.depth)
        if parameters.far_value == 'infinite':
            # The predictor raises on faults of the network, so that NaN is beyond range alone.
            np.copyto(depth, np.inf, where=np.isnan(depth, out=self._mask))
        if parameters.min_confidence > 0 and confidence is not None:
            doubtful = np.less(confidence, parameters.min_confidence, out=self._mask)
            np.copyto(depth, np.nan, where=doubtful)
        return depth

    def _metres_at(
        self, size: tuple[int, int], depth: NDArray[np.float32], parameters: Parameters
    ) -> NDArray[np.float32]:
        """Enlarge depth into its message where that holds metres."""
        if parameters.depth_encoding == '32FC1':
            return _resized(depth, self._images['depth'].pixels(size, np.float32))
        if self._metres.shape != size:
            self._metres = np.empty(size, np.float32)
        return _resized(depth, self._metres)

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


def _resized(values: NDArray[Value], out: NDArray[Value]) -> NDArray[Value]:
    """Repeat the nearest value: interpolation would hang points between near and far objects."""
    if values.shape == out.shape:
        np.copyto(out, values)
    else:
        height, width = out.shape[:2]
        cv2.resize(values, (width, height), dst=out, interpolation=cv2.INTER_NEAREST_EXACT)
    return out
