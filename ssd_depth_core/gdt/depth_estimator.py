"""What GDT asks of a depth network: the control picture's depth, and the gate's second look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EstimatedDepth:
    """Hold what a network, or a rendered set, says about one picture."""

    inverse_depth: NDArray[np.float32]
    """(H, W) of the picture, near is large; 0 is infinitely far. Not finite where a network
    failed, as it may in float16: who uses the map must look."""
    metric: bool
    """Whether the unit is 1/m; else it is known up to a scale, and to a shift too where the
    network was trained so."""


class DepthEstimator(Protocol):
    """Estimate depth in pictures of one size."""

    models: dict[str, str]
    """Hub id, folder or file of each network in it, by its part, for the manifest."""

    def estimate(
        self, pictures: Sequence[NDArray[np.uint8]], K: Sequence[NDArray[np.float64]]
    ) -> list[EstimatedDepth]:
        """Estimate.

        `pictures` are (H, W, 3) RGB, all of one size; `K` are their (3, 3) intrinsics, pixels.
        The result of one picture must not depend on the others, and one whose depth is not finite
        stops nobody: its map says so itself.
        """
        ...
