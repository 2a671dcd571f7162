"""What a backend may offer beside the network's call: pictures in, metres out, on its device."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.runtime.backends import Backend


@runtime_checkable
class PictureBackend(Backend, Protocol):
    """Resize, normalise and turn inverse depth into metres where the network runs."""

    def predict_pictures(
        self, pictures: Sequence[NDArray[np.uint8]], focal_scales: Sequence[float]
    ) -> dict[str, NDArray[np.float32]]:
        """Predict the depth of pictures.

        Args:
            pictures: Each (H, W, 3) uint8 RGB, of any size; at least one.
            focal_scales: For each, the live focal length at the network's input size over the
                canonical one; 1 where there is no live one.

        Returns:
            `depth` (B, 1, h, w) [m], NaN beyond range, and, where the network has it,
            `confidence` (B, 1, h, w) in [0, 1]; valid until the next call, copy what must last.

        Raises:
            ValueError: If the network gives what is no inverse depth.
        """
        ...
