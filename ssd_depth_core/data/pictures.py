"""Files of a data set to arrays; a damaged one is an error, never a half-grey picture."""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_file

Reduction = Literal[1, 2, 4, 8]
"""The sides of a picture over those that are decoded of it."""

_REDUCED: dict[int, int] = {
    1: 0,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,  # these stay in colour beside IMREAD_COLOR_RGB
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}
_JPEG_START, _JPEG_SCAN, _JPEG_END = b'\xff\xd8', b'\xff\xda', b'\xff\xd9'


def read_picture(path: Path, reduction: Reduction = 1) -> NDArray[np.uint8]:
    """Read a picture as its pixels are stored, whatever orientation its EXIF asks for.

    Args:
        path: JPEG or PNG.
        reduction: How much smaller both sides shall be; a JPEG is then decoded without its finest
            cosines, in a quarter of the time or less; a PNG is read whole and averaged.

    Returns:
        (H / reduction, W / reduction, 3) RGB, rounded up.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, no picture, or a JPEG that was cut short.
    """
    check_file(path, 'picture', 'copy the data set again')
    data = path.read_bytes()
    # OpenCV fills what is missing of a JPEG with grey and only prints a warning. In the last scan
    # 0xFF is always followed by a zero or a restart marker, so the end marker cannot be mistaken.
    is_jpeg = data.startswith(_JPEG_START)
    if is_jpeg and data.find(_JPEG_END, data.rfind(_JPEG_SCAN)) < 0:
        raise ValueError(f'picture {path} has no end; it was cut short, copy it again')
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    if is_jpeg:
        flags |= _REDUCED[reduction]
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # e.g. a damaged header that asks for too large a picture
        image = None
    if image is None:
        raise ValueError(f'{path} is no picture or a damaged one; copy it again')
    if not is_jpeg and reduction > 1:  # OpenCV would leave out rows and columns
        size = [-(-side // reduction) for side in image.shape[1::-1]]
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)


def read_coded_depth(path: Path) -> NDArray[np.uint16]:
    """Read a rendered picture's exact depth, still coded: `decode_exact_depth` makes it metres.

    Args:
        path: 16-bit PNG.

    Returns:
        (H, W).

    Raises:
        ValueError: If the file is missing, damaged or not 16 bit, one channel.
    """
    coded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if coded is None or coded.dtype != np.uint16 or coded.ndim != 2:
        raise ValueError(
            f'exact depth {path} is missing, damaged or not 16 bit; render the set again'
        )
    return np.asarray(coded, np.uint16)
