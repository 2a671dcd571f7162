"""One camera of an active node: how it is read, where its depth goes, what became of it."""

import time
import traceback

from builtin_interfaces.msg import Time
from rclpy.lifecycle import LifecycleNode
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import focal_of
from ssd_depth_core.runtime.postprocess import range_m
from ssd_depth_core.runtime.predictor import DepthPrediction
from ssd_depth_ros.camera_info import CameraInfoCache
from ssd_depth_ros.outputs import Frame, Outputs
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.reader import Picture, Reader
from ssd_depth_ros.statistics import Statistics
from std_msgs.msg import Header

LOG_PERIOD_S = 5.0
"""Between two lines about unusable images; the diagnostics count every one."""


class Camera:
    """Keep together what belongs to one camera from activation to deactivation.

    `last_fault` holds why the last unusable image was unusable, and when by `time.monotonic`.
    `range_m` is how far depth reaches, None before the first image.
    """

    def __init__(self, node: LifecycleNode, name: str, outputs: Outputs, spec: ModelSpec) -> None:
        """Start without images.

        Args:
            node: Whose clock, logger and context these are.
            name: Of the camera; empty for the only one.
            outputs: Where its depth goes.
            spec: Of the network.
        """
        self.name = name
        self.prefix = f'{name}/' if name else ''
        """What its topics begin with."""
        self.infos = CameraInfoCache()
        self.outputs = outputs
        self.statistics = Statistics()
        self.last_fault: tuple[str, float] | None = None
        self.range_m: float | None = None
        # A logger of its own says once and throttles by camera.
        self.logger = node.get_logger().get_child(name) if name else node.get_logger()
        self.reader = Reader(
            name,
            self.infos,
            (spec.input_height, spec.input_width),
            self.logger,
            node.resolve_topic_name(f'{self.prefix}camera_info'),
        )
        self._node = node
        self._spec = spec

    def publish(
        self, picture: Picture, prediction: DepthPrediction, parameters: Parameters
    ) -> None:
        """Publish the depth of a picture.

        Args:
            picture: Of this camera.
            prediction: Of that picture.
            parameters: In force for this picture.
        """
        assert prediction.K is not None  # since K was given
        self.range_m = range_m(self._spec, focal_of(prediction.K))
        header = picture.received.message.header
        if parameters.frame_id:
            header = Header(stamp=header.stamp, frame_id=parameters.frame_id)
        frame = Frame(
            header=header,
            image=picture.image,
            calibration=picture.calibration,
            prediction=prediction,
        )
        self.outputs.publish(frame, parameters)

    def leave_out(self, error: Exception) -> None:
        """Count, keep and log why an image was left out.

        Args:
            error: A ValueError for what is wrong with the image; another is a bug.
        """
        if not self._node.context.ok():
            return  # a signal has ended ROS under the image in work
        self.statistics.faulty()
        if isinstance(error, ValueError):
            reason = str(error)
            self.logger.error(f'image left out: {reason}', throttle_duration_sec=LOG_PERIOD_S)
        else:
            # Not an image's fault, so the line of code is what helps. Two calls, because rclpy
            # throttles by call: bad images must not hide a bug.
            reason = f'bug: {error!r}; the log has the traceback'
            trace = ''.join(traceback.format_exception(error))
            self.logger.error(
                f'image left out by a bug\n{trace}', throttle_duration_sec=LOG_PERIOD_S
            )
        self.last_fault = (reason, time.monotonic())

    def age_s(self, stamp: Time) -> float:
        """Tell how old a stamp is.

        Args:
            stamp: Of an image.

        Returns:
            Seconds by the node's clock; nonsense where the stamp is of another clock.
        """
        now_ns = self._node.get_clock().now().nanoseconds
        return (now_ns - stamp.nanosec) * 1e-9 - stamp.sec
