"""Segments of a picture: patches of one look, as a rule of one object."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.frame_reader import Image

SCALE = 100.0
"""Of Felzenszwalb's predicate, of values in [0, 255]: larger ones join more."""
SIGMA_PX = 0.8
"""Of the blur before, which takes the noise away."""
MIN_SHARE = 1 / 600
"""Of the picture: smaller segments join a neighbour. 300 px at 576x320."""


def segments_of(picture: Image) -> NDArray[np.int64]:
    """Cut a picture into patches of one look.

    It stands in for masks of objects, which need a large network: a car is a few patches.

    Reference: Felzenszwalb and Huttenlocher, 2004, doi 10.1023/B:VISI.0000022288.19776.77.

    Args:
        picture: (H, W, 3).

    Returns:
        (H, W), the number of each pixel's patch, from 0.

    Raises:
        ValueError: If scikit-image is not installed.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError:
        raise ValueError(
            'reliability: segment needs scikit-image; install it with `pip install scikit-image`, '
            'or set reliability: pixel'
        ) from None
    height, width = picture.shape[:2]
    found = felzenszwalb(
        picture, scale=SCALE, sigma=SIGMA_PX, min_size=max(1, round(MIN_SHARE * height * width))
    )
    return np.asarray(found, np.int64)
