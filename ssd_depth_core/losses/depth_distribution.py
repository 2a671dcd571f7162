"""How often which depth occurs: a street is as deep by night as it is by day."""

import torch
import torch.nn.functional as F


def depth_histogram(
    depth: torch.Tensor,
    *,
    num_bins: int = 101,
    min_depth_m: float = 3.5,
    max_depth_m: float = 80.0,
) -> torch.Tensor:
    """Count depths in evenly spaced bins, softly, so that a gradient can move them.

    A depth between the centres of two bins counts in both, more in the nearer one. Every bin has
    one pixel more than was counted, so that none is empty and a logarithm is finite.

    Reference: Yan et al., 2025, arXiv 2503.20211 (Syn2Real-Depth), and their code, from which
    the bins are. Differs: a triangle of one bin's width instead of two sigmoids, which touches two
    bins a pixel and not all 101.

    Args:
        depth: Any shape [m]; beyond the bins it does not count.
        num_bins: At least 2.
        min_depth_m: Centre of the first bin.
        max_depth_m: Centre of the last bin.

    Returns:
        (num_bins,), positive, of sum 1; float32 at least.

    Raises:
        ValueError: If the bins are not two or more, or do not rise from above zero.
    """
    if num_bins < 2:
        raise ValueError(f'num_bins must be >= 2, got {num_bins}')
    if not 0 < min_depth_m < max_depth_m:
        raise ValueError(
            f'bins must be 0 < min_depth_m < max_depth_m, got {min_depth_m} and {max_depth_m}'
        )
    depth = depth.to(torch.promote_types(depth.dtype, torch.float32))
    depth = depth[(depth >= min_depth_m) & (depth <= max_depth_m)]
    place = (depth - min_depth_m) * ((num_bins - 1) / (max_depth_m - min_depth_m))
    below = place.detach().long().clamp(max=num_bins - 2)  # the last centre closes the last gap
    share_above = place - below
    counts = depth.new_ones(num_bins)
    counts = counts.index_add(0, below, 1 - share_above).index_add(0, below + 1, share_above)
    return counts / counts.sum()


def distribution_divergence(histogram: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Measure how far a distribution is from the one that it should be.

        KL(q || p) = sum over bins of q ln(q / p)

    Reference: Yan et al., 2025, arXiv 2503.20211 (Syn2Real-Depth). Differs: the sum, which is
    the divergence, where their code takes the mean over the bins.

    Args:
        histogram: p, (num_bins,), positive, of sum 1.
        reference: q, likewise.

    Returns:
        Scalar [nat], at least 0.

    Raises:
        ValueError: If the shapes differ.
    """
    if histogram.ndim != 1 or histogram.shape != reference.shape:
        raise ValueError(
            'histogram and reference must be (num_bins,) both, '
            f'got {tuple(histogram.shape)} and {tuple(reference.shape)}'
        )
    return F.kl_div(histogram.log(), reference, reduction='sum')
