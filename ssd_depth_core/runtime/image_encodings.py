"""Raw images of `sensor_msgs/Image` to RGB, from plain values: on a robot as over a bag."""

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from array import array

# Encoding -> bytes a pixel, OpenCV's conversion to RGB (None: already RGB).
_CONVERSIONS: dict[str, tuple[int, int | None]] = {
    'rgb8': (3, None),
    'bgr8': (3, cv2.COLOR_BGR2RGB),
    'rgba8': (4, cv2.COLOR_RGBA2RGB),
    'bgra8': (4, cv2.COLOR_BGRA2RGB),
    'mono8': (1, cv2.COLOR_GRAY2RGB),
    'mono16': (2, cv2.COLOR_GRAY2RGB),
    'yuv422': (2, cv2.COLOR_YUV2RGB_UYVY),
    'uyvy': (2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422_yuy2': (2, cv2.COLOR_YUV2RGB_YUY2),
    'yuyv': (2, cv2.COLOR_YUV2RGB_YUY2),
}
_YUV = ('yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv')

ENCODINGS = tuple(_CONVERSIONS)
"""Those that `decode_raw` knows, as `sensor_msgs/image_encodings` spells them."""


def decode_raw(
    data: 'bytes | array[int] | NDArray[np.uint8]',
    *,
    encoding: str,
    height: int,
    width: int,
    step: int,
    is_bigendian: bool,
) -> NDArray[np.uint8]:
    """Decode the pixels of a raw image.

    Args:
        data: Rows from the top; what follows the last one is ignored.
        encoding: One of `ENCODINGS`.
        height: Rows.
        width: Pixels a row.
        step: Bytes a row, padding included.
        is_bigendian: Byte order of 16-bit values.

    Returns:
        (H, W, 3) RGB; shares the memory of `data` where no conversion was needed.

    Raises:
        ValueError: If the image is empty or cut off, or its encoding is unknown.
    """
    if height == 0 or width == 0:
        raise ValueError(f'image is empty: {width}x{height}; look at the camera driver')
    if encoding not in _CONVERSIONS:
        raise ValueError(
            f'image encoding {encoding!r} is not one of {", ".join(ENCODINGS)}; convert it first'
        )
    pixel_bytes, conversion = _CONVERSIONS[encoding]
    row_bytes = width * pixel_bytes
    if step < row_bytes:
        raise ValueError(
            f'image step must be at least {row_bytes} bytes for {width} pixels of {encoding}, '
            f'got {step}; the camera driver fills the message wrongly'
        )
    if len(data) < step * height:
        raise ValueError(
            f'image is cut off: {step} x {height} bytes expected, got {len(data)}; the camera '
            'driver fills the message wrongly'
        )
    if encoding in _YUV and width % 2:
        raise ValueError(
            f'image of encoding {encoding} must have an even width, got {width}; set another '
            'width or encoding in the camera driver'
        )
    rows = np.frombuffer(data, np.uint8)[: step * height].reshape(height, step)[:, :row_bytes]
    if encoding == 'mono16':
        wide = np.ascontiguousarray(rows).view('>u2' if is_bigendian else '<u2')
        pixels = cv2.convertScaleAbs(wide.astype(np.uint16), alpha=255 / 65535)
    else:
        pixels = rows.reshape(height, width, pixel_bytes)
    return np.asarray(pixels if conversion is None else cv2.cvtColor(pixels, conversion), np.uint8)
