"""How rendered depth lies on disk and in bags: 16-bit pictures, 1/256 m a step.

One coding for the data set, the training set and the demo's bag. It is not REP 118's 16UC1
(millimetres, 0 to 65 m), which could not hold a street's far end.
"""

import numpy as np
from numpy.typing import NDArray

STEPS_PER_METRE = 256
"""Steps of 4 mm, and 255 m in 16 bits."""
UNKNOWN = 0
"""Coded value where there is no depth (NaN)."""
SKY = 65535
"""Coded value of the sky and of whatever stands too far to be coded."""
MESSAGE_FORMAT = 'exact_depth; png, 1/256 m'
"""`format` of a `sensor_msgs/CompressedImage` that holds such a picture. It is not the
`16UC1; png compressed` of image_transport, which everybody reads as millimetres."""


def encode_exact_depth(depth: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Code depth in 16 bits.

    Args:
        depth: Any shape, along the optical axis [m], positive; +inf: sky, NaN: unknown.

    Returns:
        Same shape; rounded to the nearest step, at least one.
    """
    steps = np.rint(np.nan_to_num(depth, nan=0.0, posinf=np.inf) * STEPS_PER_METRE)
    coded = np.clip(steps, 1, SKY)
    return np.where(np.isnan(depth), UNKNOWN, coded).astype(np.uint16)


def decode_exact_depth(coded: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Read depth back.

    Args:
        coded: Any shape, as `encode_exact_depth` gives.

    Returns:
        Same shape [m]; +inf for the sky, NaN where unknown.

    Raises:
        TypeError: If the picture is not of 16 bits (it was read without `IMREAD_UNCHANGED`).
    """
    if coded.dtype != np.uint16:
        raise TypeError(
            f'exact depth must be uint16, got {coded.dtype}; read it with cv2.IMREAD_UNCHANGED'
        )
    depth = coded.astype(np.float32) / np.float32(STEPS_PER_METRE)
    depth[coded == UNKNOWN] = np.nan
    depth[coded == SKY] = np.inf
    return depth
