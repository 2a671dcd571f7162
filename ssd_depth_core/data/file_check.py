"""Look at a data set's files before anything is trained on them."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from ssd_depth_core.data.nuscenes import LIDAR_POINT_BYTES
from ssd_depth_core.data.pictures import read_picture

Fault = Literal['missing', 'empty', 'truncated', 'broken']

PICTURES = ('.jpg', '.png')
"""Files that are decoded where that is asked for."""


class FileCheck:
    """Look at files, each once and many at a time, and remember what is wrong with them."""

    def __init__(self, root: Path, *, decode: bool) -> None:
        """Look at nothing yet.

        Args:
            root: Folder that the paths start from.
            decode: Whether pictures are decoded; else only sizes are asked for.
        """
        self._root = root
        self._decode = decode
        self._faults: dict[str, Fault | None] = {}

    def look(self, paths: Iterable[str]) -> None:
        """Look at files.

        Args:
            paths: From the root.
        """
        new = [path for path in dict.fromkeys(paths) if path not in self._faults]
        self._faults.update((path, self._fault_by_size(path)) for path in new)
        if self._decode:
            pictures = [path for path in new if path.endswith(PICTURES) and not self._faults[path]]
            with ThreadPoolExecutor() as pool:  # OpenCV works outside the interpreter's lock
                faults = pool.map(self._fault_by_decoding, pictures)
                self._faults.update(zip(pictures, faults, strict=True))

    def fault(self, path: str) -> Fault | None:
        """Say what is wrong with a file.

        Args:
            path: One that was looked at.

        Returns:
            In one word; None where nothing is.
        """
        return self._faults[path]

    def refuse_faults(self) -> None:
        """Require that all files looked at are whole.

        Raises:
            ValueError: If one is not; the message counts and names them.
        """
        bad = [f'{path} is {fault}' for path, fault in self._faults.items() if fault]
        if bad:
            raise ValueError(
                f'{len(bad)} of {len(self._faults)} files in {self._root} are at fault: '
                f'{", ".join(bad[:3])}{", ..." if bad[3:] else ""}; copy them again, or leave '
                'their frames out with `--set on_missing=drop`'
            )

    def _fault_by_size(self, path: str) -> Fault | None:
        try:
            size = (self._root / path).stat().st_size
        except FileNotFoundError:
            return 'missing'
        if size == 0:
            return 'empty'
        is_sweep = path.endswith('.pcd.bin')
        return 'truncated' if is_sweep and size % LIDAR_POINT_BYTES else None

    def _fault_by_decoding(self, path: str) -> Fault | None:
        try:
            read_picture(self._root / path)
        except ValueError:
            return 'broken'
        return None
