"""Compressed pictures to arrays; a damaged one is an error, never a half-grey picture.

A picture is taken as its pixels are stored, whatever orientation its EXIF asks for: K and
camera_info speak of the stored pixels, and a robot's camera is not turned by hand.
"""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file

Reduction = Literal[1, 2, 4, 8]

_FLAGS = {
    1: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
    2: cv2.IMREAD_REDUCED_COLOR_2 | cv2.IMREAD_IGNORE_ORIENTATION,
    4: cv2.IMREAD_REDUCED_COLOR_4 | cv2.IMREAD_IGNORE_ORIENTATION,
    8: cv2.IMREAD_REDUCED_COLOR_8 | cv2.IMREAD_IGNORE_ORIENTATION,
}
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


def decode_image(data: bytes, reduction: Reduction = 1) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or any other picture that OpenCV reads.

    Args:
        data: The file's bytes.
        reduction: Divides both sides, rounded up; a JPEG decodes the faster for it.

    Returns:
        (H, W, 3) uint8 RGB, as stored.

    Raises:
        ValueError: If the bytes are no picture, one too large, or a JPEG that was cut short.
    """
    # OpenCV fills what is missing of a JPEG with grey and only prints a warning. In the last scan
    # 0xFF is always followed by a zero or a restart marker, so the end marker cannot be mistaken.
    # Mostly nothing follows it, which spares a search as long as a tenth of a reduced decode.
    if (
        data.startswith(_JPEG_START)
        and not data.endswith(_JPEG_END)
        and data.find(_JPEG_END, data.rfind(_JPEG_SCAN)) < 0
    ):
        raise ValueError(f'JPEG of {len(data)} bytes has no end; it was cut short, copy it again')
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), _FLAGS[reduction]) if data else None
    except cv2.error as error:
        raise ValueError(
            f'OpenCV cannot decode these {len(data)} bytes ({error.err}); the picture is damaged '
            'or too large, save it again or smaller'
        ) from None
    if picture is None:
        raise ValueError(f'{len(data)} bytes are no picture that OpenCV reads; use JPEG or PNG')
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a picture.

    Args:
        path: JPEG, PNG or any other format that OpenCV reads.

    Returns:
        (H, W, 3) uint8 RGB, as stored.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no picture, one too large, or a JPEG that was cut short.
    """
    check_file(path, 'picture', 'check the path')
    try:
        return decode_image(path.read_bytes())
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
