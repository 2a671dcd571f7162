"""Pictures of a validation: drawn, and as files."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

NEAREST_M, FARTHEST_M = 2.0, 80.0
"""Ends of the depth colours, on a logarithmic scale; bright is near."""


def draw_depth(
    image: NDArray[np.uint8], depth: NDArray[np.floating], truth: NDArray[np.floating]
) -> NDArray[np.uint8]:
    """Draw a picture over what was predicted for it and over what is true.

    Args:
        image: RGB (H, W, 3).
        depth: Predicted, (H, W) [m].
        truth: (H, W) [m].

    Returns:
        RGB (3 H, W, 3); black where depth is unknown, the farthest colour beyond range.
    """
    return np.concatenate((image, _coloured(depth), _coloured(truth)))


def _coloured(depth: NDArray[np.floating]) -> NDArray[np.uint8]:
    clipped = np.clip(np.nan_to_num(depth, nan=FARTHEST_M), NEAREST_M, FARTHEST_M)
    nearness = np.log(FARTHEST_M / clipped) / np.log(FARTHEST_M / NEAREST_M)
    levels = (255 * nearness).round().astype(np.uint8)
    colours = cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1]
    return np.where(np.isnan(depth)[..., None], np.uint8(0), colours)


def write_pictures(folder: Path, pictures: dict[str, NDArray[np.uint8]], step: int) -> None:
    """Write a PNG a picture, `<name>-<step>.png`.

    Args:
        folder: Made if missing.
        pictures: RGB (H, W, 3) by name.
        step: Behind the network that made them; padded so that files sort by it.

    Raises:
        OSError: If a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        _, png = cv2.imencode('.png', picture[..., ::-1])
        (folder / f'{name}-{step:07d}.png').write_bytes(png.tobytes())
