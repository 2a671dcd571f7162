"""How unlike two pictures are, and the loss of a depth that warps one into the other.

Four scales and two sources are eight warped pictures a step. They are compared one after the
other, because the maps of one stay in a CPU's cache where those of all eight do not, and what
belongs to the target alone is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ssd_depth_core.geometry.warp import Padding, warp
from ssd_depth_core.losses.windows import window_mean
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

Upsampling = Literal['nearest', 'bilinear']

C1, C2 = 0.01**2, 0.03**2
"""Keep SSIM's quotient finite; of Wang et al., 2004, for pictures in [0, 1]."""


@dataclass(frozen=True, slots=True)
class _Reference:
    """Hold a picture and what SSIM has to know of it, however often it is compared."""

    image: torch.Tensor
    mean: torch.Tensor
    mean_square: torch.Tensor


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compare the structure of two pictures in windows of 3x3 pixels.

        SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    with means m, variances s^2 and covariance s_xy of a window, C1 = 1e-4, C2 = 9e-4. Pictures go
    on beyond their border as in a mirror.

    Reference: Wang et al., 2004, doi 10.1109/TIP.2003.819861, Eq. 13. Differs: a box of 3x3, as
    Godard et al., 2019, arXiv 1806.01260, in place of a Gaussian of 11x11.

    Args:
        x: (B, C, H, W) in [0, 1], H and W at least 2.
        y: Same shape.

    Returns:
        Same shape, in [-1, 1]; 1 where the windows are equal. Float32 at least.

    Raises:
        ValueError: If the shapes differ or a picture is too small.
    """
    _check_pair(x, y)
    return _ssim(_promoted(x), _reference(_promoted(y)))


def photometric_error(x: torch.Tensor, y: torch.Tensor, ssim_weight: float = 0.85) -> torch.Tensor:
    """Mix structural and absolute difference, averaged over the channels.

        pe(x, y) = ssim_weight (1 - SSIM(x, y)) / 2 + (1 - ssim_weight) |x - y|

    Reference: Godard et al., 2019, arXiv 1806.01260, Section 3.1. Differs: not clamped to
    [0, 1], from which it strays by rounding alone.

    Args:
        x: (B, C, H, W) in [0, 1], H and W at least 2.
        y: Same shape.
        ssim_weight: In [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1], float32 at least.

    Raises:
        ValueError: If the shapes differ, a picture is too small or the weight is out of range.
    """
    _check_weight(ssim_weight)
    _check_pair(x, y)
    return _error(_promoted(x), _reference(_promoted(y)), ssim_weight)


def reprojection_loss(
    target: torch.Tensor,
    sources: torch.Tensor,
    depths: Sequence[torch.Tensor],
    K: torch.Tensor,
    T_source_target: torch.Tensor,
    *,
    ssim_weight: float = 0.85,
    automask: bool = True,
    tie_noise: float = 1e-5,
    padding: Padding = 'border',
    upsampling: Upsampling = 'bilinear',
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Average the photometric error of each pixel's best source, for each scale of depth.

        L = mean over pixels of min over sources s of
            { pe(target, s warped by depth and T_s), pe(target, s as it is) + noise }

    The minimum over sources leaves out the one in which a pixel is hidden; the unwarped sources in
    it (auto-masking) leave out what moves along with the camera, and a car that stands. Where a
    warp changes nothing both errors are equal, and the noise decides.

    Reference: Godard et al., 2019, arXiv 1806.01260, Eq. 4 and 5; Gasperini et al., 2023,
    arXiv 2308.09711 and Mao et al., 2024, arXiv 2403.05056 use the same. Differs from the first:
    each scale has the same noise, so that unwarped errors are computed once.

    Args:
        target: (B, C, H, W) in [0, 1], H and W at least 2.
        sources: (B, S, C, H, W) in [0, 1].
        depths: Of the target, each (B, 1, h, w) [m] of any size, positive.
        K: (B, 3, 3), pixels of the target and the sources.
        T_source_target: (B, S, 4, 4), metres.
        ssim_weight: In [0, 1].
        automask: Whether the unwarped sources take part in the minimum.
        tie_noise: Standard deviation of the noise.
        padding: What lies outside a source; see `warp`, also for points behind it.
        upsampling: How inverse depth is brought to (H, W), where every scale is compared.
        generator: Of the noise, on the device of the pictures; None: torch's own.

    Returns:
        (number of depths,), float32 at least, whatever autocast says. It may be below zero by the
        noise.

    Raises:
        ValueError: If shapes do not fit together, there is no depth, or an option is out of range.
    """
    _check_weight(ssim_weight)
    if tie_noise < 0:
        raise ValueError(f'tie_noise must be >= 0, got {tie_noise}')
    if upsampling not in ('nearest', 'bilinear'):
        raise ValueError(f"upsampling must be 'nearest' or 'bilinear', got {upsampling!r}")
    _check_shapes(target, sources, depths, T_source_target)

    pictures = _promoted(sources).unbind(1)
    motions = T_source_target.unbind(1)
    reference = _reference(_promoted(target))
    unwarped = []
    if automask:
        error = torch.cat([_error(source, reference, ssim_weight) for source in pictures], 1)
        noise = torch.empty_like(error).normal_(generator=generator)
        unwarped = [(error + tie_noise * noise).amin(1, keepdim=True)]

    losses = []
    for depth in depths:
        full = 1 / _upsampled(1 / _promoted(depth), target.shape[2:], upsampling)
        errors = list(unwarped)
        for source, T in zip(pictures, motions, strict=True):
            errors.append(
                # Nothing is kept for the backward pass, but computed anew there: the maps of
                # eight pairs would add two thirds to the networks' memory (ResNet-18), and take
                # a fifth of their forward pass to compute.
                checkpoint(
                    _warped_error,
                    *(reference, source, full, K, T, padding, ssim_weight),
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
            )
        losses.append(torch.cat(errors, 1).amin(1).mean())
    return torch.stack(losses)


def reprojection_error(
    target: torch.Tensor,
    sources: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T_source_target: torch.Tensor,
    *,
    ssim_weight: float = 0.85,
    padding: Padding = 'border',
) -> torch.Tensor:
    """Measure each pixel's photometric error in the source that fits best.

        pe(depth) = min over sources s of pe(target, s warped by depth and T_s)

    It compares depths of the same frame with each other: no unwarped source takes part.

    Reference: Godard et al., 2019, arXiv 1806.01260, Eq. 4.

    Args:
        target: (B, C, H, W) in [0, 1], H and W at least 2.
        sources: (B, S, C, H, W) in [0, 1].
        depth: Of the target, (B, 1, H, W) [m], positive.
        K: (B, 3, 3), pixels of the target and the sources.
        T_source_target: (B, S, 4, 4), metres.
        ssim_weight: In [0, 1].
        padding: What lies outside a source; see `warp`, also for points behind it.

    Returns:
        (B, 1, H, W) in [0, 1], float32 at least.

    Raises:
        ValueError: If shapes do not fit together or the weight is out of range.
    """
    _check_weight(ssim_weight)
    _check_shapes(target, sources, [depth], T_source_target)
    if depth.shape[2:] != target.shape[2:]:
        raise ValueError(
            f'depth must have the size of the target, {tuple(target.shape[2:])}, '
            f'got {tuple(depth.shape[2:])}; resize its inverse'
        )
    reference = _reference(_promoted(target))
    pairs = zip(_promoted(sources).unbind(1), T_source_target.unbind(1), strict=True)
    errors = [
        _warped_error(reference, source, _promoted(depth), K, T, padding, ssim_weight)
        for source, T in pairs
    ]
    return torch.cat(errors, 1).amin(1, keepdim=True)


def _warped_error(
    reference: _Reference,
    source: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T_source_target: torch.Tensor,
    padding: Padding,
    ssim_weight: float,
) -> torch.Tensor:
    return _error(warp(source, depth, K, T_source_target, padding), reference, ssim_weight)


def _error(x: torch.Tensor, reference: _Reference, ssim_weight: float) -> torch.Tensor:
    similarity = _ssim(x, reference).mean(1, keepdim=True)
    difference = (x - reference.image).abs().mean(1, keepdim=True)
    return ssim_weight / 2 * (1 - similarity) + (1 - ssim_weight) * difference


def _ssim(x: torch.Tensor, reference: _Reference) -> torch.Tensor:
    mean_x, mean_y = window_mean(x), reference.mean
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = window_mean(x * reference.image) - product
    variances = window_mean(x * x) + reference.mean_square - squares
    numerator = (2 * product + C1) * (2 * covariance + C2)
    return numerator / ((squares + C1) * (variances + C2))


def _reference(image: torch.Tensor) -> _Reference:
    return _Reference(image, window_mean(image), window_mean(image * image))


def _upsampled(x: torch.Tensor, size: torch.Size, mode: Upsampling) -> torch.Tensor:
    return F.interpolate(x, size, mode=mode, align_corners=False if mode == 'bilinear' else None)


def _promoted(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check_picture(picture: torch.Tensor, name: str) -> None:
    if picture.ndim != 4 or min(picture.shape[2:]) < 2:
        raise ValueError(f'{name} must be (B, C, H, W) with H, W >= 2, got {tuple(picture.shape)}')


def _check_pair(x: torch.Tensor, y: torch.Tensor) -> None:
    _check_picture(x, 'x')
    if x.shape != y.shape:
        raise ValueError(f'x and y must have one shape, got {tuple(x.shape)} and {tuple(y.shape)}')


def _check_weight(ssim_weight: float) -> None:
    if not 0 <= ssim_weight <= 1:
        raise ValueError(f'ssim_weight must be in [0, 1], got {ssim_weight}')


def _check_shapes(
    target: torch.Tensor,
    sources: torch.Tensor,
    depths: Sequence[torch.Tensor],
    T_source_target: torch.Tensor,
) -> None:
    _check_picture(target, 'target')
    if sources.ndim != 5 or sources.shape[1] < 1 or sources[:, 0].shape != target.shape:
        raise ValueError(
            f'sources must be (B, S, C, H, W) with S >= 1 for a target of {tuple(target.shape)}, '
            f'got {tuple(sources.shape)}'
        )
    if T_source_target.shape != (*sources.shape[:2], 4, 4):
        raise ValueError(
            f'T_source_target must be {(*sources.shape[:2], 4, 4)} for these sources, '
            f'got {tuple(T_source_target.shape)}'
        )
    if not depths:
        raise ValueError('depths must hold at least one scale, got none')
    for depth in depths:
        if depth.ndim != 4 or depth.shape[:2] != (len(target), 1):
            raise ValueError(
                f'each of depths must be ({len(target)}, 1, h, w) for this target, '
                f'got {tuple(depth.shape)}'
            )
