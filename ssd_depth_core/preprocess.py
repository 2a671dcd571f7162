"""The arithmetic between a camera picture and a network input, written once.

Pixel centres lie at integers + 0.5 when the image is thought of as an area, so a resize by s maps
u to (u + 0.5) s - 0.5. Leaving the half out shifts the principal point by up to half a pixel.
"""

import numpy as np
from numpy.typing import NDArray


def resize_intrinsics(
    K: NDArray[np.floating], source_size: tuple[int, int], target_size: tuple[int, int]
) -> NDArray[np.float64]:
    """Follow a resize of the image with its intrinsics.

    Args:
        K: (3, 3), pixels of the source image.
        source_size: (H, W) before the resize, pixels.
        target_size: (H, W) after the resize, pixels.

    Returns:
        (3, 3) float64, pixels of the target image.
    """
    sy, sx = (target / source for target, source in zip(target_size, source_size, strict=True))
    resized = np.array(K, dtype=np.float64)
    resized[0] *= sx
    resized[1] *= sy
    resized[0, 2] += 0.5 * sx - 0.5
    resized[1, 2] += 0.5 * sy - 0.5
    return resized


def focal_of(K: NDArray[np.floating]) -> float:
    """Give the one focal length that canonical depth is scaled by.

    Args:
        K: (3, 3), pixels.

    Returns:
        The geometric mean of fx and fy, pixels: a resize that changes the aspect ratio by a little
        changes it least.
    """
    return float(np.sqrt(K[0, 0] * K[1, 1]))


def resize_image(
    image: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Bring a picture to a size, in training and at work by the same interpolation.

    Args:
        image: (H, W, 3).
        size: (h, w) of the result, pixels.
        out: (h, w, 3) to write into; allocated where None.

    Returns:
        (h, w, 3), averaged over areas, which keeps far, thin things from flickering; interpolated
        linearly where a side grows, since areas cannot enlarge.
    """
    import cv2  # here, so that the arithmetic above needs NumPy alone

    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size[::-1], dst=out, interpolation=how), np.uint8)


def normalize(
    image: NDArray[np.uint8],
    mean: tuple[float, float, float],
    std: tuple[float, float, float],
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Turn an 8-bit image of the input size into one network input.

    Args:
        image: (H, W, 3) uint8 in the network's colour order.
        mean: Per channel, of values in [0, 1].
        std: Per channel, of values in [0, 1].
        out: (3, H, W) float32 to write into; allocated where None.

    Returns:
        (3, H, W) float32, `(image / 255 - mean) / std`.
    """
    if out is None:
        out = np.empty((3, *image.shape[:2]), np.float32)
    for channel in range(3):
        scale = 1.0 / (255.0 * std[channel])
        np.multiply(image[..., channel], np.float32(scale), out=out[channel])
        out[channel] -= np.float32(mean[channel] / std[channel])
    return out
