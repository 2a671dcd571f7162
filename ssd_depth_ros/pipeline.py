"""What the worker does with one image: decode, find its camera, predict, publish."""

from dataclasses import dataclass
import time

from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CompressedImage, Image
from ssd_depth_core.preprocess import focal_of, resize_intrinsics
from ssd_depth_core.runtime.postprocess import range_m
from ssd_depth_core.runtime.predictor import DepthPredictor
from ssd_depth_ros.camera_info import (
    Calibration,
    calibration_from,
    CameraInfoCache,
    is_calibrated,
    read_camera_info,
)
from ssd_depth_ros.conversions import rgb_from_compressed, rgb_from_image
from ssd_depth_ros.outputs import Frame, Outputs
from ssd_depth_ros.parameters import Parameters
from std_msgs.msg import Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """Hold an image as it came."""

    message: Image | CompressedImage
    """Not yet decoded."""
    at_s: float
    """When, by `time.monotonic`."""


class Pipeline:
    """Take images to outputs, one at a time.

    `range_m` is how far depth reaches with the camera of the last image; None before the first.
    """

    def __init__(
        self,
        predictor: DepthPredictor,
        cameras: CameraInfoCache,
        outputs: Outputs,
        logger: RcutilsLogger,
        camera_info_topic: str,
    ) -> None:
        """Join the parts.

        Args:
            predictor: The network.
            cameras: Where the node leaves every camera_info.
            outputs: Where frames go.
            logger: For facts said once.
            camera_info_topic: Resolved name, for the messages.
        """
        self._predictor = predictor
        self._cameras = cameras
        self._outputs = outputs
        self._logger = logger
        self._topic = camera_info_topic
        self.range_m: float | None = None

    def process(self, received: Received, parameters: Parameters) -> dict[str, float]:
        """Process one image.

        Args:
            received: The image.
            parameters: In force for this image.

        Returns:
            Seconds by stage and, from receipt on, `latency`, as `Statistics.published` takes them.

        Raises:
            ValueError: If the image or its camera_info cannot be used; the message says why.
            CacheClosed: If `close` was called before the image's camera_info came.
        """
        message = received.message
        spec = self._predictor.spec
        started = time.monotonic()
        if isinstance(message, Image):
            image = rgb_from_image(message)
            size = image.shape[:2]
        else:
            image, size = rgb_from_compressed(message, (spec.input_height, spec.input_width))
        decoded = time.monotonic()
        calibration = self._calibration(message.header, size, parameters)
        joined = time.monotonic()
        K = resize_intrinsics(calibration.intrinsics, size, image.shape[:2])
        prediction = self._predictor.predict(image, K)
        assert prediction.K is not None  # since K was given
        self.range_m = range_m(spec, focal_of(prediction.K))
        predicted = time.monotonic()
        frame = Frame(
            header=_output_header(message.header, parameters.frame_id),
            image=image,
            calibration=calibration,
            prediction=prediction,
        )
        self._outputs.publish(frame, parameters)
        published = time.monotonic()
        return {
            'wait': started - received.at_s,
            'decode': decoded - started,
            'join': joined - decoded,
            'predict': predicted - joined,
            'publish': published - predicted,
            'latency': published - received.at_s,
        }

    def close(self) -> None:
        """Let an image in work go that waits for its camera_info."""
        self._cameras.close()

    def _calibration(
        self, header: Header, size: tuple[int, int], parameters: Parameters
    ) -> Calibration:
        """Find the camera of an image: by its stamp, else the newest, else by parameter."""
        info, is_exact = self._cameras.find(header, parameters.camera_info_timeout)
        if info is not None and is_calibrated(info):
            calibration = read_camera_info(info)
            if not is_exact:
                self._logger.warning(
                    f"{self._topic} has no message of the image's stamp; the newest one is used",
                    once=True,
                )
        elif any(parameters.intrinsics):
            calibration = calibration_from(parameters.intrinsics, size)
            self._logger.warning(
                f'no calibrated camera_info on {self._topic}; the parameter intrinsics is used',
                once=True,
            )
        elif info is None:
            raise ValueError(
                f'no camera_info on {self._topic}; publish it there, remap camera_info, or set '
                'the parameter intrinsics'
            )
        else:
            raise ValueError(
                f'{self._topic} has zero focal length; calibrate the camera, or set the '
                'parameter intrinsics'
            )
        if calibration.is_distorted:
            self._logger.warning(
                f'{self._topic} has distortion: depth is right for rectified images only; '
                'is the image rectified?',
                once=True,
            )
        if calibration.size != size:
            raise ValueError(
                f'{self._topic} is for {calibration.size[1]}x{calibration.size[0]} pixels, the '
                f'image has {size[1]}x{size[0]}; both must come from the same camera and mode'
            )
        return calibration


def _output_header(header: Header, frame_id: str) -> Header:
    return Header(stamp=header.stamp, frame_id=frame_id) if frame_id else header
