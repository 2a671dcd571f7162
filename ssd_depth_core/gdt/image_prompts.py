"""Real photographs that show an IP-Adapter what night or rain looks like."""

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.pictures import read_picture

SUFFIXES = ('.jpg', '.jpeg', '.png')
"""Files that are taken for photographs, in upper or lower case."""
BROKEN = 'image prompt: '
"""What a translator's reason begins with where a photograph cannot be read."""


class ImagePrompts:
    """Hold the names of a condition's photographs.

    Args:
        folder: Of photographs, in folders or not.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no photograph.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(
                f'image prompts not found at {folder}; name a folder of real photographs, or set '
                'image_prompts to null'
            )
        self._folder = folder
        # Sorted, because the order in which a file system lists is anyone's.
        self.names = sorted(
            path.relative_to(folder).as_posix()
            for path in folder.rglob('*')
            if path.suffix.lower() in SUFFIXES and path.is_file()
        )
        """From the folder."""
        if not self.names:
            raise ValueError(
                f'image prompts at {folder} must hold a photograph ({", ".join(SUFFIXES)}), got '
                'none; copy some there, or set image_prompts to null'
            )

    @property
    def record(self) -> dict[str, int | str]:
        """Tell what draws hang on: one photograph more or less changes nearly all of them.

        Returns:
            `number` of photographs, and `names_sha256`.
        """
        # Between names stands what no name can hold.
        names = os.fsencode('\0'.join(self.names))
        return {'number': len(self.names), 'names_sha256': hashlib.sha256(names).hexdigest()}

    def draw(self, rng: np.random.Generator) -> str:
        """Draw a photograph.

        Args:
            rng: Gives one number.

        Returns:
            Its name, from the folder.
        """
        return self.names[rng.integers(len(self.names))]

    def read(self, name: str) -> NDArray[np.uint8]:
        """Read a photograph.

        Args:
            name: From the folder.

        Returns:
            (H, W, 3) RGB.

        Raises:
            FileNotFoundError: If it is gone.
            ValueError: If it is damaged.
        """
        return read_picture(self._folder / name)
