"""One picture seen from where another was taken. Needs torch: the robot's packages stay away."""

from typing import Literal

import torch
import torch.nn.functional as F

Padding = Literal['zeros', 'border']

MIN_DEPTH_M = 1e-3
"""Depth below this, zero and negative depth too, counts as this: 1 / Z stays finite."""

MIN_DEPTH_RATIO = 1e-4
"""Points with less of Z_source / Z_target lie behind the source camera or beside it."""

OUTSIDE = 3.0
"""A coordinate that lies outside a picture of 2 pixels too, whose centres are at -1 and 1."""


def warp(
    source: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    T_source_target: torch.Tensor,
    padding: Padding = 'zeros',
) -> torch.Tensor:
    """Draw the target picture with the colours of a source picture, interpolated bilinearly.

    Each pixel u of the target, at depth Z, is looked up in the source at u':

        z' (u', 1) = K R K^-1 (u, 1) + K t / Z,    with T_source_target = (R, t), z' = Z' / Z

    Divided by Z, a point at infinity is an ordinary one: only the rotation moves it.

    - Outside the source's picture: black ('zeros', fading in over one pixel) or the nearest pixel
      of the border ('border').
    - Not in front of the source camera (z' < 1e-4), or depth NaN: black, or the last pixel.
    - Depth below 1 mm, zero or negative: taken as 1 mm.

    None of these has a gradient, but for NaN, whose is NaN. Computed in float32 at least, whatever
    autocast says: a mantissa of 8 bits cannot tell neighbouring pixels apart.

    Reference: Hartley and Zisserman, 2004, Multiple View Geometry, Eq. 9.7; Jaderberg et al.,
    2015, arXiv 1506.02025 (differentiable sampling); Zhou et al., 2017, arXiv 1704.07813, Eq. 2.

    Args:
        source: (B, C, H, W), any range.
        depth: Of the target along its optical axis, (B, 1, H, W) [m], positive; inf: moved by
            rotation alone.
        K: (B, 3, 3) of both pictures, pixels; pixel centres are whole numbers.
        T_source_target: (B, 4, 4), metres; maps points in the target camera into the source's.
        padding: What lies outside the source's picture.

    Returns:
        (B, C, H, W), float32 or, where an argument is, float64.

    Raises:
        ValueError: If shapes do not fit together, or padding is unknown.
    """
    if source.ndim != 4:
        raise ValueError(f'source must be (B, C, H, W), got {tuple(source.shape)}')
    batch, _, height, width = source.shape
    expected = {
        'depth': (depth, (batch, 1, height, width)),
        'K': (K, (batch, 3, 3)),
        'T_source_target': (T_source_target, (batch, 4, 4)),
    }
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape:
            raise ValueError(
                f'{name} must be {shape} for a source of {tuple(source.shape)}, '
                f'got {tuple(tensor.shape)}'
            )
    if padding not in ('zeros', 'border'):
        raise ValueError(f"padding must be 'zeros' or 'border', got {padding!r}")

    dtype = torch.float32
    for tensor in (source, depth, K, T_source_target):
        dtype = torch.promote_types(dtype, tensor.dtype)
    source, depth, K, T = (x.to(dtype) for x in (source, depth, K, T_source_target))
    with torch.autocast(source.device.type, enabled=False):
        # Scaled to what grid_sample calls -1 to 1, here and not pixel by pixel.
        K_source = _to_unit_square(height, width, K) @ K
        K_inverse = torch.linalg.inv_ex(K).inverse  # unlike `inv`, it does not wait for a GPU
        at_infinity = K_source @ T[:, :3, :3] @ K_inverse @ _pixels(height, width, K)
        at_infinity = at_infinity.view(batch, 3, height, width)
        parallax = (K_source @ T[:, :3, 3:])[..., None]  # (B, 3, 1, 1)
        points = at_infinity + parallax / depth.clamp(min=MIN_DEPTH_M)
        xy, z = points[:, :2], points[:, 2:]
        # Clamped although replaced: of 0 / 0, `where` would pass a NaN to the gradient.
        grid = torch.where(z > MIN_DEPTH_RATIO, xy / z.clamp(min=MIN_DEPTH_RATIO), OUTSIDE)
        grid = grid.movedim(1, -1)  # (B, H, W, 2)
        return F.grid_sample(source, grid, 'bilinear', padding, align_corners=True)


def _to_unit_square(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Give the matrix (3, 3) that maps pixels 0 to size - 1 to -1 to 1."""
    scale_x, scale_y = 2 / max(width - 1, 1), 2 / max(height - 1, 1)
    return like.new_tensor(((scale_x, 0, -1), (0, scale_y, -1), (0, 0, 1)))


def _pixels(height: int, width: int, like: torch.Tensor) -> torch.Tensor:
    """Give the homogeneous coordinates of all pixels, row by row, (3, H*W)."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=like.dtype, device=like.device),
        torch.arange(width, dtype=like.dtype, device=like.device),
        indexing='ij',
    )
    return torch.stack((x.flatten(), y.flatten(), torch.ones_like(x).flatten()))
