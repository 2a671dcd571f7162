"""Our own exported network where GDT wants a depth estimator."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.runtime.predictor import DepthPredictor

NUM_THREADS = 1
"""On a CPU, of each worker: sums over several threads round in another order, and so change bytes.
More cores are used by more workers."""


class ExportedDepth:
    """Estimate depth with a network that this project exported; a `DepthEstimator`."""

    def __init__(self, config: DepthPriorConfig) -> None:
        """Load it.

        Args:
            config: Names the `.onnx` file, or the shipped student.
        """
        path = None if config.model is None else Path(config.model)
        self._predictor = DepthPredictor.load(path, num_threads=NUM_THREADS)
        self._batch_size = config.batch_size
        self.models = {'depth': config.model or self._predictor.spec.name}

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        Args:
            pictures: (H, W, 3) RGB, all of one size.
            K: (3, 3) each, pixels.

        Returns:
            One a picture [1/m]; 0 beyond the network's range.
        """
        estimates = []
        for start in range(0, len(pictures), self._batch_size):
            part = slice(start, start + self._batch_size)
            for picture, said in zip(
                pictures[part],
                self._predictor.predict_batch(pictures[part], K[part]),
                strict=True,
            ):
                inverse_depth = np.nan_to_num(1 / said.depth, nan=0.0)
                height, width = picture.shape[:2]
                resized = cv2.resize(inverse_depth, (width, height))
                estimates.append(EstimatedDepth(np.asarray(resized), metric=True))
        return estimates
