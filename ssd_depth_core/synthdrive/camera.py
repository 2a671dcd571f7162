"""Pinhole cameras, their rays, and pictures cut into tiles of 8 x 8 rays."""

from dataclasses import dataclass

import torch

TILE = 8
"""Rays along a tile's side."""


@dataclass(frozen=True, slots=True)
class Camera:
    """Hold one pinhole camera."""

    K: torch.Tensor
    """(3, 3), pixels."""
    T_world_camera: torch.Tensor
    """(4, 4)."""
    height: int
    """Pixels; a multiple of 8 costs nothing extra."""
    width: int
    """Pixels."""


def camera_rays(camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut a picture into tiles of rays.

    Args:
        camera: Where from.

    Returns:
        Origin (3,) [m] and directions (T, R, 3) in the world, whose camera z is 1, so that the
        distance along a ray is the depth; tiles lie row by row, the last row and column may
        reach beyond the picture.
    """
    device = camera.K.device
    rows, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    v, u = torch.meshgrid(
        torch.arange(rows * TILE, device=device, dtype=torch.float32),
        torch.arange(columns * TILE, device=device, dtype=torch.float32),
        indexing='ij',
    )
    x = (u - camera.K[0, 2]) / camera.K[0, 0]
    y = (v - camera.K[1, 2]) / camera.K[1, 1]
    rays = torch.stack([x, y, torch.ones_like(x)], -1)  # (rows*8, columns*8, 3)
    rays = rays.view(rows, TILE, columns, TILE, 3).transpose(1, 2)  # (rows, columns, 8, 8, 3)
    rays = rays.reshape(rows * columns, TILE * TILE, 3)
    return camera.T_world_camera[:3, 3], rays @ camera.T_world_camera[:3, :3].T


def untile(values: torch.Tensor, camera: Camera) -> torch.Tensor:
    """Lay tiles out as a picture again.

    Args:
        values: (T, R) or (T, R, C).
        camera: Whose rays they were.

    Returns:
        (H, W) or (H, W, C).
    """
    rows, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    channels = values.shape[2:]
    picture = values.view(rows, columns, TILE, TILE, *channels).transpose(1, 2)
    picture = picture.reshape(rows * TILE, columns * TILE, *channels)
    return picture[: camera.height, : camera.width]


def tile(picture: torch.Tensor) -> torch.Tensor:
    """Cut a picture into the tiles that `untile` lays out.

    Args:
        picture: (H, W, C).

    Returns:
        (T, R, C); 0 beyond the picture.
    """
    height, width, channels = picture.shape
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = picture.new_zeros(rows * TILE, columns * TILE, channels)
    padded[:height, :width] = picture
    tiles = padded.view(rows, TILE, columns, TILE, channels).transpose(1, 2)
    return tiles.reshape(rows * columns, TILE * TILE, channels)


def mirrored(camera: Camera) -> Camera:
    """Give the camera that sees what the flat ground mirrors.

    Args:
        camera: Above the ground.

    Returns:
        The camera below the ground whose pixel sees what the first one's pixel sees mirrored; its
        picture is true only where the first sees the ground.
    """
    pose = camera.T_world_camera.clone()
    pose[2] = -pose[2]
    return Camera(camera.K, pose, camera.height, camera.width)
