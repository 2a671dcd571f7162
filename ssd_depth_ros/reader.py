"""What is done with an image before the network: decode it, find its calibration."""

from dataclasses import dataclass
import time

import numpy as np
from numpy.typing import NDArray
from rclpy.impl.rcutils_logger import RcutilsLogger
from sensor_msgs.msg import CompressedImage, Image
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_ros.camera_info import (
    Calibration,
    calibration_from,
    CameraInfoCache,
    is_calibrated,
    read_camera_info,
)
from ssd_depth_ros.conversions import rgb_from_compressed, rgb_from_image
from ssd_depth_ros.parameters import Parameters
from std_msgs.msg import Header


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """Hold an image as it came."""

    message: Image | CompressedImage
    """Not yet decoded."""
    at_s: float
    """When, by `time.monotonic`."""
    age_s: float
    """How old its stamp was then, by the node's clock [s]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Hold an image that is ready for the network."""

    camera: str
    """Name of its camera."""
    received: Received
    """What it was made of."""
    image: NDArray[np.uint8]
    """(h, w, 3) RGB, possibly smaller than the image that was sent."""
    K: NDArray[np.float64]
    """(3, 3), pixels of `image`."""
    calibration: Calibration
    """Of the image as it was sent."""
    read_s: float
    """When it was ready, by `time.monotonic`."""
    seconds: dict[str, float]
    """What each stage until then took."""


class Reader:
    """Read the images of one camera."""

    def __init__(
        self,
        camera: str,
        infos: CameraInfoCache,
        at_least: tuple[int, int],
        logger: RcutilsLogger,
        camera_info_topic: str,
    ) -> None:
        """Join the parts.

        Args:
            camera: Its name.
            infos: Where every camera_info of this camera is left.
            at_least: (H, W) that compressed images keep when they are decoded smaller, pixels.
            logger: For facts said once.
            camera_info_topic: Resolved name, for the messages.
        """
        self._camera = camera
        self._infos = infos
        self._at_least = at_least
        self._logger = logger
        self._topic = camera_info_topic

    def read(self, received: Received, parameters: Parameters) -> Picture:
        """Make an image ready for the network.

        Args:
            received: The image.
            parameters: In force for this image.

        Returns:
            The picture, its stages timed.

        Raises:
            ValueError: If the image or its camera_info cannot be used; the message says why.
            CacheClosed: If `close` was called before the image's camera_info came.
        """
        message = received.message
        started = time.monotonic()
        if isinstance(message, Image):
            image = rgb_from_image(message)
            size = image.shape[:2]
        else:
            image, size = rgb_from_compressed(message, self._at_least)
        decoded = time.monotonic()
        calibration = self._calibration(message.header, size, parameters)
        joined = time.monotonic()
        return Picture(
            camera=self._camera,
            received=received,
            image=image,
            K=resize_intrinsics(calibration.intrinsics, size, image.shape[:2]),
            calibration=calibration,
            read_s=joined,
            seconds={
                'receive': received.age_s,
                'wait': started - received.at_s,
                'decode': decoded - started,
                'join': joined - decoded,
            },
        )

    def close(self) -> None:
        """Let an image go that waits for its camera_info."""
        self._infos.close()

    def _calibration(
        self, header: Header, size: tuple[int, int], parameters: Parameters
    ) -> Calibration:
        """Find the camera of an image: by its stamp, else the newest, else by parameter."""
        info, is_exact = self._infos.find(header, parameters.camera_info_timeout)
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
