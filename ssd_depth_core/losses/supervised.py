"""Losses against true depth, all in the natural log of canonical depth.

A residual of log depth is a relative error, so that near and far count alike.
"""

import math

import torch

BEYOND_MARGIN = 0.98
"""Beyond range (sky), a prediction of this share of the maximum is as good as any."""


def canonical_log_depth(
    depth: torch.Tensor, K: torch.Tensor, canonical_focal_px: float
) -> torch.Tensor:
    """Say what depth a camera of the canonical focal length would have to see.

    Args:
        depth: (B, 1, H, W) [m]; NaN where unknown, inf where beyond range.
        K: (B, 3, 3), pixels of these images.
        canonical_focal_px: The focal length that the network pretends to look through.

    Returns:
        ln(depth * canonical_focal_px / f), (B, 1, H, W), with f the geometric mean of fx and fy.

    Raises:
        ValueError: If the batch sizes differ or K is not (B, 3, 3).
    """
    if K.shape != (depth.shape[0], 3, 3):
        raise ValueError(f'K must be ({depth.shape[0]}, 3, 3), got {tuple(K.shape)}')
    focal = torch.sqrt(K[:, 0, 0] * K[:, 1, 1])[:, None, None, None]
    return torch.log(depth * (canonical_focal_px / focal))


def log_depth_residual(
    log_depth: torch.Tensor, true_log_depth: torch.Tensor, max_depth_m: float
) -> torch.Tensor:
    """Subtract, one-sidedly where the truth lies beyond the network's range.

    Args:
        log_depth: Predicted, (B, 1, H, W), at most ln(max_depth_m).
        true_log_depth: Same shape; NaN where unknown, any value up to inf beyond range.
        max_depth_m: The greatest depth that the network can say.

    Returns:
        (B, 1, H, W); NaN where unknown. Beyond range it is the shortfall against 98 % of the
        maximum, or zero: the sigmoid reaches its end only with infinite weights.

    Raises:
        ValueError: If the shapes differ.
    """
    if log_depth.shape != true_log_depth.shape:
        raise ValueError(
            'log_depth and true_log_depth must have one shape, '
            f'got {tuple(log_depth.shape)} and {tuple(true_log_depth.shape)}'
        )
    beyond = true_log_depth >= math.log(max_depth_m)
    shortfall = (log_depth - math.log(BEYOND_MARGIN * max_depth_m)).clamp(max=0.0)
    return torch.where(beyond, shortfall, log_depth - true_log_depth)


def laplace_nll(
    residual: torch.Tensor, log_scale: torch.Tensor, valid_mask: torch.Tensor, beta: float = 1.0
) -> torch.Tensor:
    """Average the negative log likelihood of a Laplace distribution, each pixel weighed by b^beta.

    b^beta * (ln 2b + |r| / b), the weight held constant. With beta = 0 (the plain likelihood)
    a pixel's pull on depth is 1 / b, so that what is already easy is learnt best and the night
    last; with beta = 1 depth follows the mean absolute error and b still its own likelihood.

    Reference: Seitzer et al., 2022, arXiv 2203.09168, Eq. 5. Differs: Laplace, not Gaussian.

    Args:
        residual: Predicted minus true log depth, (B, 1, H, W); any value where invalid.
        log_scale: ln b, same shape.
        valid_mask: True = use, same shape.
        beta: In [0, 1].

    Returns:
        Scalar; zero where nothing is valid.

    Raises:
        ValueError: If the shapes differ or beta is outside [0, 1].
    """
    _check_shapes(residual, log_scale=log_scale, valid_mask=valid_mask)
    if not 0 <= beta <= 1:
        raise ValueError(f'beta must be in [0, 1], got {beta}')
    # `where`, not a product with the mask: 0 * NaN is NaN, in the gradient too.
    error = torch.where(valid_mask, residual, 0.0).abs()
    weight = torch.exp(beta * log_scale.detach()) * valid_mask
    nll = weight * (math.log(2.0) + log_scale + error * torch.exp(-log_scale))
    return nll.sum() / valid_mask.sum().clamp(min=1)


def gradient_matching(
    residual: torch.Tensor, valid_mask: torch.Tensor, num_scales: int = 4
) -> torch.Tensor:
    """Average the differences between neighbouring residuals over several scales.

    The residual may be off by a constant for free, but not by an edge that is blurred or
    misplaced: predicted edges become as sharp as the true ones.

    Reference: Li and Snavely, 2018, arXiv 1804.00607, Eq. 4.

    Args:
        residual: Predicted minus true log depth, (B, 1, H, W); any value where invalid.
        valid_mask: True = use, same shape.
        num_scales: Scale s takes every 2^s-th pixel.

    Returns:
        Scalar: the mean over scales of the mean absolute difference; zero where nothing is valid.

    Raises:
        ValueError: If the shapes differ or `num_scales` is below 1.
    """
    _check_shapes(residual, valid_mask=valid_mask)
    if num_scales < 1:
        raise ValueError(f'num_scales must be >= 1, got {num_scales}')
    residual = torch.where(valid_mask, residual, 0.0)
    total = residual.new_zeros(())
    for scale in range(num_scales):
        r, valid = (x[..., :: 2**scale, :: 2**scale] for x in (residual, valid_mask))
        along_x, valid_x = r[..., :, 1:] - r[..., :, :-1], valid[..., :, 1:] & valid[..., :, :-1]
        along_y, valid_y = r[..., 1:, :] - r[..., :-1, :], valid[..., 1:, :] & valid[..., :-1, :]
        summed = (along_x.abs() * valid_x).sum() + (along_y.abs() * valid_y).sum()
        total = total + summed / (valid_x.sum() + valid_y.sum()).clamp(min=1)
    return total / num_scales


def _check_shapes(residual: torch.Tensor, **others: torch.Tensor) -> None:
    for name, other in others.items():
        if other.shape != residual.shape:
            raise ValueError(
                f'{name} must have the shape of residual, {tuple(residual.shape)}, '
                f'got {tuple(other.shape)}'
            )
