"""Checks at the border, so that every error names the thing, the rule, the value, the remedy."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def check_image(image: NDArray[np.uint8], name: str = 'image') -> None:
    """Require a non-empty 8-bit RGB image.

    Args:
        image: Expected as (H, W, 3) uint8.
        name: What the image is called in the message.

    Raises:
        TypeError: If the image is not a NumPy array of uint8.
        ValueError: If its shape is not (H, W, 3) with H and W at least 1.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        got = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise TypeError(f'{name} must be a NumPy array of uint8, got {got}; convert it first')
    if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f'{name} must be (H, W, 3) RGB with H, W >= 1, got {image.shape}')


def check_intrinsics(K: NDArray[np.floating], name: str = 'K') -> None:
    """Require a pinhole matrix with positive, finite focal lengths.

    Args:
        K: Expected as (3, 3), pixels.
        name: What the matrix is called in the message.

    Raises:
        ValueError: If the shape is wrong, a value is not finite, a focal length is not positive,
            or the last row is not (0, 0, 1).
    """
    if K.shape != (3, 3):
        raise ValueError(f'{name} must be (3, 3), got {K.shape}')
    if not np.isfinite(K).all():
        raise ValueError(f'{name} must be finite, got {K.tolist()}')
    if K[0, 0] <= 0 or K[1, 1] <= 0:
        raise ValueError(
            f'{name} must have focal lengths > 0 px, got fx={K[0, 0]:g}, fy={K[1, 1]:g}; '
            'is the camera calibrated?'
        )
    if not np.allclose(K[2], (0.0, 0.0, 1.0)):
        raise ValueError(f'{name} must end in the row (0, 0, 1), got {K[2].tolist()}')


def check_file(path: Path, name: str, remedy: str) -> None:
    """Require a readable, non-empty file.

    Args:
        path: The file.
        name: What the file is called in the message.
        remedy: What the user can do about its absence.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{name} not found at {path}; {remedy}')
    if path.stat().st_size == 0:
        raise ValueError(f'{name} at {path} is empty; {remedy}')


def sha256_of(path: Path) -> str:
    """Hash a file.

    Args:
        path: The file.

    Returns:
        64 lower-case hexadecimal digits.
    """
    with path.open('rb') as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
