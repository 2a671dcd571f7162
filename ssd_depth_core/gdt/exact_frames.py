"""Depth of a rendered set's frames, in place of a network's estimate."""

from pathlib import Path

import numpy as np
from ssd_depth_core.data.frame_reader import BrokenFrameError, read_exact_depth
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth


class ExactDepth:
    """Read what was rendered."""

    def __init__(self, root: Path) -> None:
        """Keep the folder.

        Args:
            root: Of the data set.
        """
        self._root = root

    def read(self, frame: IndexLine) -> EstimatedDepth:
        """Read one frame's depth.

        Args:
            frame: Which.

        Returns:
            (H, W) of the picture [1/m]; 0 for the sky, and where nothing is known.

        Raises:
            BrokenFrameError: If the frame has no exact depth, or its file is missing or damaged.
        """
        if frame.exact_depth is None:
            raise BrokenFrameError(
                f'frame {frame.id} has no exact depth; set depth.kind to transformers or onnx'
            )
        depth = read_exact_depth(self._root / frame.exact_depth, frame.size)
        return EstimatedDepth(np.nan_to_num(1 / depth, nan=0.0), metric=True)
