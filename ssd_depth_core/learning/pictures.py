"""Pictures of a validation, as files."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


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
