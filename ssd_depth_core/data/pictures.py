"""Pictures of a data set to arrays; a damaged one is an error, never a half-grey picture."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file

_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as its pixels are stored, whatever orientation its EXIF asks for.

    Args:
        path: JPEG or PNG.

    Returns:
        (H, W, 3) RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, no picture, or a JPEG that was cut short.
    """
    check_file(path, 'picture', 'copy the data set again')
    data = path.read_bytes()
    # OpenCV fills what is missing of a JPEG with grey and only prints a warning. In the last scan
    # 0xFF is always followed by a zero or a restart marker, so the end marker cannot be mistaken.
    if data.startswith(_JPEG_START) and data.find(_JPEG_END, data.rfind(_JPEG_SCAN)) < 0:
        raise ValueError(f'picture {path} has no end; it was cut short, copy it again')
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # e.g. a damaged header that asks for too large a picture
        image = None
    if image is None:
        raise ValueError(f'{path} is no picture or a damaged one; copy it again')
    return np.asarray(image, np.uint8)
