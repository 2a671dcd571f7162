"""Which camera_info belongs to an image, what it says, and how it follows a resize."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Condition

import numpy as np
from sensor_msgs.msg import CameraInfo
from ssd_depth_core.preprocess import resize_intrinsics
from ssd_depth_core.runtime import calibration
from std_msgs.msg import Header

REMEMBERED = 32
"""Messages kept to find the one of an image's stamp: a second at 30 Hz, and they are small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration(calibration.Calibration):
    """Hold, beside what a camera_info says of its image, the message itself."""

    source: CameraInfo
    """Where distortion and rectification are copied from."""

    def camera_info(self, header: Header, size: tuple[int, int]) -> CameraInfo:
        """Describe the same view at another size.

        Args:
            header: Of the message that this one accompanies.
            size: (H, W), pixels.

        Returns:
            K and P follow the resize by the half-pixel rule; there is no region or binning left.
        """
        return CameraInfo(
            header=header,
            height=size[0],
            width=size[1],
            distortion_model=self.source.distortion_model,
            d=self.source.d,
            r=self.source.r,
            k=resize_intrinsics(self.K, self.size, size).ravel(),
            p=resize_intrinsics(self.P, self.size, size).ravel(),
        )


def is_calibrated(info: CameraInfo) -> bool:
    """Tell whether a camera knows its focal length; drivers send zeros until it is calibrated.

    Args:
        info: As received.

    Returns:
        Whether P or K has a focal length.
    """
    return bool(info.p[0] or info.k[0])


def read_camera_info(info: CameraInfo) -> Calibration:
    """Read the message of a calibrated camera; a zero P or K means that the other serves for both.

    Args:
        info: Of which `is_calibrated` holds.

    Returns:
        The calibration of the image that comes with it.
    """
    roi = info.roi
    image = calibration.read_calibration(
        size=(info.height, info.width),
        K=info.k,
        P=info.p,
        D=info.d,
        region=calibration.Region(
            x_offset=roi.x_offset, y_offset=roi.y_offset, height=roi.height, width=roi.width
        ),
        binning=(info.binning_y, info.binning_x),
    )
    return Calibration(
        size=image.size, K=image.K, P=image.P, is_distorted=image.is_distorted, source=info
    )


def calibration_from(intrinsics: tuple[float, ...], size: tuple[int, int]) -> Calibration:
    """Make a calibration from plain numbers.

    Args:
        intrinsics: fx, fy, cx, cy, pixels.
        size: (H, W) of the image that they belong to, pixels.

    Returns:
        A pinhole camera without distortion.
    """
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
    source = CameraInfo(distortion_model='plumb_bob', d=[0.0] * 5, r=np.eye(3).ravel())
    P = np.hstack([K, np.zeros((3, 1))])
    return Calibration(size=size, K=K, P=P, is_distorted=False, source=source)


class CacheClosed(Exception):
    """Says that an image waits for its camera_info in vain, because the node stops."""


class CameraInfoCache:
    """Find the camera_info of an image's stamp among those received, or else the newest."""

    def __init__(self) -> None:
        """Start with none."""
        self._arrived = Condition()
        self._by_stamp: OrderedDict[tuple[int, int], CameraInfo] = OrderedDict()
        self._newest: CameraInfo | None = None
        self._paired = True
        self._missed: tuple[int, int] | None = None
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """Whether no message has come yet."""
        return self._newest is None

    def add(self, info: CameraInfo) -> None:
        """Remember a message.

        Args:
            info: As received.
        """
        with self._arrived:
            key = _key(info.header)
            self._by_stamp[key] = self._newest = info
            self._paired |= key == self._missed
            if len(self._by_stamp) > REMEMBERED:
                self._by_stamp.popitem(last=False)
            self._arrived.notify_all()

    def find(self, header: Header, timeout_s: float) -> tuple[CameraInfo | None, bool]:
        """Look up the message of an image.

        The two are sent apart, so the pair of an image may be under way. Where none came in time
        (a latched camera_info, or one with stamps of its own) the next images do not wait, until
        a late pair shows that waiting is worth it.

        Args:
            header: Of the image.
            timeout_s: How long to wait for the pair.

        Returns:
            The message, None if there is none at all; and whether its stamp is the image's.

        Raises:
            CacheClosed: If the cache was closed, also under the wait.
        """
        key = _key(header)
        with self._arrived:
            if self._paired:
                self._arrived.wait_for(lambda: self._closed or key in self._by_stamp, timeout_s)
            if self._closed:
                raise CacheClosed
            exact = self._by_stamp.get(key)
            self._paired = exact is not None
            self._missed = None if exact else key
            return exact or self._newest, exact is not None

    def close(self) -> None:
        """Let an image go that waits for its camera_info."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()


def _key(header: Header) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec
