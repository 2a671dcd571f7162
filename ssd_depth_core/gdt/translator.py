"""What every translator is asked and what it answers, whether it diffuses or computes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """Hold one picture to be made."""

    picture: NDArray[np.uint8]
    """(H, W, 3) RGB, the clear frame."""
    depth: EstimatedDepth
    """Of that frame, (H, W)."""
    K: NDArray[np.float64]
    """(3, 3), pixels of the frame."""
    condition: Condition
    """What it is to become."""
    caption: str | None
    """What the frame shows, in words; None where nobody looked."""
    seed: int
    """Of everything random in the making of this one picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """Hold a picture that was made."""

    picture: NDArray[np.uint8]
    """(H, W, 3) RGB, of the frame's size."""
    prompt: str | None
    """Text that steered it; None where there was none."""
    image_prompt: str | None
    """File name of the photograph that steered it; None where there was none."""


class Translator(Protocol):
    """Make pictures of one size."""

    name: str
    """For the manifest, e.g. `diffusion`, `procedural`."""
    models: dict[str, str]
    """Hub id or folder of each network in it, by its part."""

    def translate(self, requests: Sequence[Request]) -> list[Translation | str]:
        """Make the pictures of one batch, all of one size.

        In place of a picture that came out unusable stands the reason, one line (NaN, blanked by
        a safety filter): such a picture is not written. What ails the whole batch, such as
        memory, is raised.
        """
        ...
