"""The night post-step: diffusion paints nights too bright, real ones have a known brightness.

Differs: SSD's authors adjust the brightness too, but do not say how or by how much. Here each
picture is darkened to a mean that is drawn about the one of real nights.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_GAMMA = 4.0
"""Beyond it only lamps and what they shine on would be left of an 8-bit street. It still takes a
grey of 0.64 to 0.165."""
_MAX_DEVIATIONS = 2.0
"""Draws farther out are taken for this one: nobody has seen the tails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExposureConfig:
    """Configure how bright real pictures of a condition are."""

    mean_luminance: float = 0.165
    """Mean of all pixels and channels over many pictures, in (0, 1) of the coded value. At night
    0.165 in nuScenes, 0.247 in RobotCar, as md4all measured; by day 0.413 and 0.576."""
    spread: float = 0.25
    """Standard deviation between pictures of the logarithm of their mean; 0: all are alike. md4all
    gives the deviation of pixels only (0.173), which bounds it by 0.9; a quarter is a choice."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: If one is out of its range.
        """
        if not 0 < self.mean_luminance < 1:
            raise ValueError(
                f'mean_luminance must be in (0, 1), got {self.mean_luminance}; divide by 255'
            )
        if not 0 <= self.spread <= 1:
            raise ValueError(f'spread must be in [0, 1], got {self.spread}')


def draw_luminance(config: ExposureConfig, rng: np.random.Generator) -> float:
    """Draw how bright one picture is to be.

    Args:
        config: About which mean, and how far from it.
        rng: Gives one number.

    Returns:
        Mean over its pixels and channels, > 0. Log-normal, because scenes differ in light by
        factors, and of that mean, but for the cut tails.
    """
    deviation = np.clip(rng.standard_normal(), -_MAX_DEVIATIONS, _MAX_DEVIATIONS)
    return float(config.mean_luminance * np.exp(config.spread * deviation - config.spread**2 / 2))


def darken(picture: NDArray[np.uint8], luminance: float) -> NDArray[np.uint8]:
    """Darken a picture to a mean, and leave it alone where it is no brighter.

    Each pixel is scaled by V^(gamma - 1), V being the brightest of its channels in [0, 1]. So
    black and what is saturated stay as they are, lamps of any colour keep their glow and no value
    is clipped; hue and saturation are kept, and brighter stays brighter. Never brightens: that
    would spread the few codes of dark pixels into bands, and dark nights are real as well.

    Args:
        picture: (H, W, 3) RGB.
        luminance: Wanted mean over pixels and channels, of the coded value in [0, 1].

    Returns:
        (H, W, 3), whose mean is the wanted one within rounding where a gamma from 1 to
        `MAX_GAMMA` gives it; else that of the nearer end.
    """
    brightest = picture.max(axis=2)
    # What the pixels of each V add to the mean: 256 numbers say all that a gamma does to it.
    share = np.bincount(brightest.ravel(), picture.sum(axis=2).ravel(), 256) / (255 * picture.size)
    levels = np.arange(256) / 255
    low, high = 1.0, MAX_GAMMA
    if share.sum() <= luminance:
        return picture
    if share @ levels ** (high - 1) < luminance:
        # The mean falls as gamma grows. 30 halvings leave 3e-9 of a gamma.
        for _ in range(30):
            middle = (low + high) / 2
            if share @ levels ** (middle - 1) > luminance:
                low = middle
            else:
                high = middle
    scale = levels ** (high - 1)
    return np.rint(picture * scale[brightest][..., None]).astype(np.uint8)
