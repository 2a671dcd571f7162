"""How unlike two pictures are, and the loss of a depth that warps one into the other."""

from collections.abc import Sequence
from typing import Literal

from ssd_depth_core.geometry.warp import Padding, warp
import torch
import torch.nn.functional as F

C1, C2 = 0.01**2, 0.03**2
"""Keep SSIM's quotients finite; of Wang et al., 2004, for pictures in [0, 1]."""


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Compare structure in windows of 3x3 pixels, mirrored at the border.

        SSIM = (2 m_x m_y + C1) (2 s_xy + C2) / ((m_x^2 + m_y^2 + C1) (s_x^2 + s_y^2 + C2))

    with means m, variances s^2 and covariance s_xy of the window, C1 = 1e-4, C2 = 9e-4.

    Reference: Wang et al., 2004, doi 10.1109/TIP.2003.819861; Godard et al., 2019,
    arXiv 1806.01260. Differs from the former: a box of 3x3, not a Gaussian of 11x11.

    Args:
        x: (B, C, H, W) in [0, 1].
        y: Same shape.

    Returns:
        Same shape, in [-1, 1]; 1 where the windows are equal.
    """
    mean_x, mean_y, mean_xx, mean_yy, mean_xy = (
        F.avg_pool2d(F.pad(z, (1, 1, 1, 1), mode='reflect'), 3, stride=1)
        for z in (x, y, x * x, y * y, x * y)
    )
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    numerator = (2 * product + C1) * (2 * (mean_xy - product) + C2)
    return numerator / ((squares + C1) * (mean_xx + mean_yy - squares + C2))


def photometric_error(x: torch.Tensor, y: torch.Tensor, ssim_weight: float = 0.85) -> torch.Tensor:
    """Mix structural and absolute difference, averaged over the channels.

        pe(x, y) = ssim_weight (1 - SSIM(x, y)) / 2 + (1 - ssim_weight) |x - y|

    Args:
        x: (B, C, H, W) in [0, 1].
        y: Same shape.
        ssim_weight: In [0, 1].

    Returns:
        (B, 1, H, W) in [0, 1].
    """
    structural = ((1 - ssim(x, y)) / 2).clamp(0, 1)
    return (ssim_weight * structural + (1 - ssim_weight) * (x - y).abs()).mean(1, keepdim=True)


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
    upsampling: Literal['nearest', 'bilinear'] = 'bilinear',
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Average the photometric error of the best source, pixel by pixel, for each scale of depth.

        L = mean over pixels of min { pe(target, warped source), pe(target, source) + noise }

    Reference: Godard et al., 2019, arXiv 1806.01260, Eq. 4 and 5.

    Args:
        target: (B, 3, H, W) in [0, 1].
        sources: (B, S, 3, H, W) in [0, 1].
        depths: Of the target, finest first, each (B, 1, h, w) [m], positive.
        K: (B, 3, 3), pixels of the target and the sources.
        T_source_target: (B, S, 4, 4), metres.
        ssim_weight: In [0, 1].
        automask: Whether the error of the unmoved source takes part in the minimum.
        tie_noise: Standard deviation of what is added to that error.
        padding: See `warp`.
        upsampling: How inverse depth comes to (H, W).
        generator: Of the noise, on the device of the pictures; None: torch's own.

    Returns:
        (number of scales,).
    """
    num_sources = sources.shape[1]
    dtype = torch.promote_types(target.dtype, torch.float32)
    target, sources = target.to(dtype), sources.to(dtype)
    with torch.autocast(target.device.type, enabled=False):
        raw = []
        for s in range(num_sources if automask else 0):
            error = photometric_error(sources[:, s], target, ssim_weight)
            noise = torch.randn(
                error.shape, generator=generator, dtype=dtype, device=target.device
            )
            raw.append(error + tie_noise * noise)
        losses = []
        for depth in depths:
            inverse_depth = 1 / depth.to(dtype)
            if upsampling == 'bilinear':
                inverse_depth = F.interpolate(
                    inverse_depth, target.shape[2:], mode='bilinear', align_corners=False
                )
            else:
                inverse_depth = F.interpolate(inverse_depth, target.shape[2:], mode='nearest')
            errors = [
                photometric_error(
                    warp(sources[:, s], 1 / inverse_depth, K, T_source_target[:, s], padding),
                    target,
                    ssim_weight,
                )
                for s in range(num_sources)
            ]
            losses.append(torch.cat(errors + raw, 1).amin(1).mean())
    return torch.stack(losses)
