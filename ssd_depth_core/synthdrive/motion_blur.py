"""What moves while the shutter is open: image motion from exact geometry, and its blur."""

import math

from ssd_depth_core.synthdrive.camera import Camera
import torch
from torch.nn import functional

MAX_TAPS = 9
"""Looks along a pixel's way; a way of more pixels is sampled more coarsely."""
STILL_PX = 0.3
"""A shorter way is lost in the pixel."""
LONGEST = 0.15
"""Way at most, as a share of the picture's height: beyond, taps would leave gaps."""
_NEAREST_M = 0.2


def image_motion(
    points: torch.Tensor, moved: torch.Tensor, camera: Camera, later: Camera
) -> torch.Tensor:
    """Follow points through the picture.

    Args:
        points: (H, W, 3) in the world: what each pixel of `camera` sees [m].
        moved: (H, W, 3): where the same points are later [m].
        camera: Now.
        later: The same camera later.

    Returns:
        (H, W, 2): how far right and down each pixel's content moves, pixels.
    """

    def image(places: torch.Tensor, eye: Camera) -> torch.Tensor:
        T = eye.T_world_camera
        seen = (places - T[:3, 3]) @ T[:3, :3]
        ray = seen[..., :2] / seen[..., 2:].clamp(min=_NEAREST_M)
        return ray * torch.stack([eye.K[0, 0], eye.K[1, 1]])

    return image(moved, later) - image(points, camera)


def blur(radiance: torch.Tensor, motion: torch.Tensor) -> torch.Tensor:
    """Spread light along its way through the picture, half of it before and half after.

    Args:
        radiance: (H, W, 3) linear RGB, at the middle of the exposure.
        motion: (H, W, 2), pixels during the exposure.

    Returns:
        (H, W, 3); bit for bit the input where nothing moves.
    """
    height, width, _ = radiance.shape
    way = motion.norm(dim=-1, keepdim=True)
    moves = way > STILL_PX
    if not moves.any():
        return radiance
    motion = motion * (LONGEST * height / way.clamp(min=1e-6)).clamp(max=1.0)
    y, x = torch.meshgrid(
        torch.arange(height, device=motion.device, dtype=motion.dtype),
        torch.arange(width, device=motion.device, dtype=motion.dtype),
        indexing='ij',
    )
    here, size = torch.stack([x, y], -1), motion.new_tensor([width, height])
    # By day little moves, and not far: what stands still needs no look, a short way few.
    at = moves[..., 0]
    here, motion = here[at], motion[at]  # (n, 2)
    taps = min(MAX_TAPS, 1 + math.ceil(float(way.max())))
    picture = radiance.permute(2, 0, 1)[None]  # (1, 3, H, W)
    total = torch.zeros_like(radiance[at])
    for tap in range(taps):
        place = here + motion * ((tap + 0.5) / taps - 0.5)
        grid = (2 * place + 1) / size - 1
        total += functional.grid_sample(
            picture, grid[None, None], mode='bilinear', padding_mode='border', align_corners=False
        )[0, :, 0].T
    blurred = radiance.clone()
    blurred[at] = total / taps
    return blurred
