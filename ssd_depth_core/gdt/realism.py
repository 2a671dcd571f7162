"""How far translated pictures are from real ones of the condition: a distance of two sets.

The kernel distance is the squared maximum mean discrepancy with KID's polynomial kernel. Unlike
Frechet's distance its estimate is unbiased: sets of one distribution give 0 on average, be they
ever so small, and may give less. What is compared is features, and these decide what is seen:
`picture_statistics` are computed and know tones, colours and detail; `EncoderFeatures` are a
trained network's.

Reference: Binkowski et al., 2018, arXiv 1801.01401, Sec. 4 (KID).
Differs: features are ours instead of Inception's, and brought to unit variance first, so that
distances compare with each other under the same features only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
import torch

Picture = NDArray[np.uint8]
Features = NDArray[np.float64]
"""(N, D), one row a picture."""

GRID = (4, 4)
"""Cells (rows, columns) whose mean colours count: the sky is above and the road below."""
DETAIL_LEVELS = 4
"""Octaves of detail, from a pixel on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RealismDistance:
    """Hold a distance between two sets of pictures."""

    distance: float
    """Mean over subsets; about 0 for sets of one distribution, also less."""
    error: float
    """Standard deviation between subsets, over the root of how many of them are independent."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Bring features to zero mean and unit variance, as found in one set of pictures."""

    mean: NDArray[np.float64]
    """(D,)."""
    deviation: NDArray[np.float64]
    """(D,), positive."""

    def __call__(self, features: Features) -> Features:
        """Scale.

        Args:
            features: (N, D).

        Returns:
            (N, D).
        """
        return (features - self.mean) / self.deviation


def scale_of(features: Features) -> Scale:
    """Measure a scale.

    Args:
        features: (N, D) of real pictures; best of others than are compared.

    Returns:
        The scale; features that are the same in all pictures are left unscaled.
    """
    deviation = features.std(axis=0)
    return Scale(features.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


def realism_distance(
    first: Features, second: Features, *, subset_size: int = 100, num_subsets: int = 100, seed: int
) -> RealismDistance:
    """Estimate the squared kernel distance of two sets.

    Args:
        first: (N, D), scaled.
        second: (M, D), scaled alike.
        subset_size: Pictures of each set in a subset; fewer where a set has no more.
        num_subsets: Estimates that are averaged.
        seed: Of which pictures are drawn; the sets draw alike, so that their order is no matter.

    Returns:
        The distance; the same for both orders of sets that are equally large.

    Raises:
        ValueError: If a set has fewer than two pictures, or features of the two differ in number
            or are not finite.
    """
    if first.ndim != 2 or second.ndim != 2 or first.shape[1] != second.shape[1]:
        raise ValueError(f'features must be (N, D) and (M, D), got {first.shape}, {second.shape}')
    if min(len(first), len(second), subset_size) < 2:
        raise ValueError(
            f'sets and subsets must have >= 2 pictures, got {len(first)}, {len(second)} and '
            f'{subset_size}'
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError('features must be finite; look at the pictures they were taken from')
    size = min(subset_size, len(first), len(second))
    kernels = _kernel(first, first), _kernel(second, second), _kernel(first, second)
    generators = [np.random.default_rng(seed) for _ in range(2)]
    values = []
    for _ in range(num_subsets):
        rows, columns = (
            generator.choice(len(some), size, replace=False)
            for generator, some in zip(generators, (first, second), strict=True)
        )
        within = _mean_off_diagonal(kernels[0][np.ix_(rows, rows)])
        within += _mean_off_diagonal(kernels[1][np.ix_(columns, columns)])
        values.append(within - 2 * kernels[2][np.ix_(rows, columns)].mean())
    # So many subsets share no picture: more of them are not more pictures.
    independent = max(1.0, min(num_subsets, min(len(first), len(second)) / size))
    return RealismDistance(
        distance=float(np.mean(values)), error=float(np.std(values) / np.sqrt(independent))
    )


def picture_statistics(pictures: Sequence[Picture]) -> Features:
    """Compute what photographers look at: tones, colours, and detail, fine and coarse.

    Args:
        pictures: (H, W, 3) RGB, all of one size.

    Returns:
        (N, D): percentiles of luminance, mean and deviation of saturation, mean colour of the
        cells of a grid, logarithm of the mean detail in each octave.
    """
    return np.array([_statistics(picture) for picture in pictures])


class EncoderFeatures:
    """Describe pictures by what an encoder sees, layer by layer."""

    def __init__(
        self,
        encoder: Callable[[torch.Tensor], Sequence[torch.Tensor]],
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        batch_size: int = 16,
    ) -> None:
        """Take the network.

        Args:
            encoder: In evaluation mode, on the CPU; from (B, 3, H, W), normalised, to maps of
                any sizes and channels. Its training says what the distance means: one that learnt
                to see past the weather will not see all of it.
            mean: Per channel, of values in [0, 1].
            std: Per channel, of values in [0, 1].
            batch_size: Pictures a call.
        """
        self._encoder = encoder
        self._mean = torch.tensor(mean)[:, None, None]
        self._std = torch.tensor(std)[:, None, None]
        self._batch_size = batch_size

    @torch.inference_mode()
    def __call__(self, pictures: Sequence[Picture]) -> Features:
        """Describe.

        Args:
            pictures: (H, W, 3) RGB, all of one size that the encoder takes.

        Returns:
            (N, D): mean and deviation over the picture of each channel of each map.
        """
        rows = []
        for start in range(0, len(pictures), self._batch_size):
            batch = np.stack(pictures[start : start + self._batch_size]).transpose(0, 3, 1, 2)
            images = (torch.from_numpy(batch).float() / 255 - self._mean) / self._std
            parts = []
            for found in self._encoder(images):
                pixels = found.double().flatten(2)  # (B, C, H*W)
                parts += [pixels.mean(2), pixels.std(2, correction=0)]
            rows.append(torch.cat(parts, dim=1).numpy())
        return np.concatenate(rows)


def _kernel(first: Features, second: Features) -> Features:
    """Compute KID's kernel, (N, M)."""
    kernel: Features = (first @ second.T / first.shape[1] + 1) ** 3
    return kernel


def _mean_off_diagonal(kernel: Features) -> float:
    """Leave out each picture's likeness to itself, which is what makes the estimate unbiased."""
    count = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (count * (count - 1)))


def _statistics(picture: Picture) -> list[float]:
    values = picture.astype(np.float32) / 255
    luminance = cv2.cvtColor(values, cv2.COLOR_RGB2GRAY)
    saturation = cv2.cvtColor(values, cv2.COLOR_RGB2HSV)[..., 1]
    cells = cv2.resize(values, GRID[::-1], interpolation=cv2.INTER_AREA)
    statistics = [
        *np.percentile(luminance, (1, 10, 25, 50, 75, 90, 99)),
        saturation.mean(),
        saturation.std(),
        *cells.ravel(),
    ]
    for _ in range(DETAIL_LEVELS):
        coarser = cv2.pyrDown(luminance)
        detail = luminance - cv2.pyrUp(coarser, dstsize=luminance.shape[::-1])
        # A quarter of a grey level is what 8 bits cannot tell from none.
        statistics.append(np.log(np.abs(detail).mean() + 1 / 1024))
        luminance = coarser
    return [float(value) for value in statistics]
