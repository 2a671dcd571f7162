"""Images between messages and arrays, without cv_bridge for the encodings that cameras send.

cv_bridge copies once more than needed and its builds have broken on newer NumPy; what is not in
`runtime.image_encodings` (Bayer patterns, odd depths) goes to it, where it is installed.
"""

from array import array
import math
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from ssd_depth_core.runtime.image_encodings import decode_raw, ENCODINGS
from ssd_depth_core.runtime.images import decode_image, Reduction
from std_msgs.msg import Header

_REDUCTIONS: tuple[Reduction, ...] = (4, 2)
_JPEG_START = b'\xff\xd8'
# SOF0 to SOF15 hold the size; C4, C8 and CC in between are tables.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def rgb_from_image(message: Image) -> NDArray[np.uint8]:
    """Read a raw image.

    Args:
        message: Of any of `ENCODINGS`, or one that cv_bridge knows where it is installed.

    Returns:
        (H, W, 3) RGB; shares the message's memory where no conversion was needed.

    Raises:
        ValueError: If the image is empty or cut off, or its encoding is unknown.
    """
    # An empty image goes on in any encoding, to be refused with a remedy.
    if message.encoding not in ENCODINGS and message.height and message.width:
        return _rgb_by_cv_bridge(message)
    return decode_raw(
        message.data,
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
    )


def rgb_from_compressed(
    message: CompressedImage, at_least: tuple[int, int]
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Decode a compressed image, no larger than needed: a JPEG shrinks while it is decoded.

    The bytes tell what they are; `format` is spelled differently by every driver.

    Args:
        message: JPEG, or another kind that OpenCV reads.
        at_least: (H, W) that the result must keep where the original has it.

    Returns:
        (h, w, 3) RGB, and the (H, W) of the original.

    Raises:
        ValueError: If the image is empty, cut off or cannot be decoded.
    """
    data = bytes(message.data)
    if not data.startswith(_JPEG_START):
        decoded = decode_image(data)
        return decoded, decoded.shape[:2]
    size = jpeg_size(data)
    return decode_image(data, _reduction(size, at_least)), size


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Read the size of a JPEG from its header.

    Args:
        data: The file's bytes.

    Returns:
        (H, W), pixels.

    Raises:
        ValueError: If there is no frame header.
    """
    position = len(_JPEG_START)
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker, length = data[position + 1], struct.unpack_from('>H', data, position + 2)[0]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from('>HH', data, position + 5)
            return height, width
        # 0xFF may be repeated as padding before a marker.
        position += 1 if marker == 0xFF else 2 + length
    raise ValueError(
        f'JPEG of {len(data)} bytes has no frame header; it was damaged on its way, look at the '
        'camera driver'
    )


def _reduced(size: tuple[int, int], reduction: Reduction) -> tuple[int, int]:
    return -(-size[0] // reduction), -(-size[1] // reduction)


def _reduction(size: tuple[int, int], at_least: tuple[int, int]) -> Reduction:
    for reduction in _REDUCTIONS:
        height, width = _reduced(size, reduction)
        if height >= at_least[0] and width >= at_least[1]:
            return reduction
    return 1


def _rgb_by_cv_bridge(message: Image) -> NDArray[np.uint8]:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        raise ValueError(
            f'image encoding {message.encoding!r} is not one of {", ".join(ENCODINGS)}; '
            'for others install ros-$ROS_DISTRO-cv-bridge'
        ) from None
    try:
        return CvBridge().imgmsg_to_cv2(message, 'rgb8')
    except CvBridgeError as error:
        raise ValueError(
            f'image encoding {message.encoding!r} is not one that cv_bridge makes RGB of '
            f'({error}); set one of {", ".join(ENCODINGS)} in the camera driver'
        ) from error


class ImageWriter:
    """Write arrays into one Image message over and over, without memory allocated each time.

    Assigning a NumPy array to `data` costs half a second a full image, a fresh message
    several milliseconds; copying into the memory of the last message costs well below one.
    `publish` serialises before it returns, so that the memory is free for the next image then.
    """

    def __init__(self) -> None:
        """Start without memory; the first write takes it."""
        self._message = Image()
        self._pixels: NDArray[Any] = np.empty(0, np.uint8)

    def pixels(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Give the memory of the message, to be filled in place of a `write`.

        Args:
            shape: (h, w) or (h, w, channels).
            dtype: Of a value.

        Returns:
            A view, with what was written last where shape and type are those of before.
        """
        if (shape, np.dtype(dtype)) != (self._pixels.shape, self._pixels.dtype):
            num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
            self._message = Image(height=shape[0], width=shape[1])
            self._message.step = num_bytes // shape[0]
            self._message.is_bigendian = int(sys.byteorder == 'big')
            self._message.data = array('B', bytes(num_bytes))
            # The setter copies, so the view must be of what it kept.
            self._pixels = np.frombuffer(self._message.data, dtype).reshape(shape)
        return self._pixels

    def message(self, header: Header, encoding: str) -> Image:
        """Give the message with what is in `pixels`.

        Args:
            header: Of the message.
            encoding: ROS name, e.g. `32FC1`, that fits the pixels.

        Returns:
            The message, valid until its pixels are written again.
        """
        self._message.header, self._message.encoding = header, encoding
        return self._message

    def write(self, header: Header, encoding: str, pixels: NDArray[np.generic]) -> Image:
        """Fill the message.

        Args:
            header: Of the message.
            encoding: ROS name, e.g. `32FC1`, that fits the array.
            pixels: (h, w) or (h, w, channels).

        Returns:
            The message, valid until the next write.
        """
        np.copyto(self.pixels(pixels.shape, pixels.dtype), pixels)
        return self.message(header, encoding)
