"""What a LiDAR reports of a scene: ranges with noise, fewer in bad air, some where nothing is.

Everything random is drawn for every ray, met or not, from the seed and the stamp alone. So twins
of one instant agree: what rain leaves of a sweep is bit for bit what the clear day shows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.synthdrive.camera import TILE
from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.lighting import Scene
from ssd_depth_core.synthdrive.renderer import cast_bundles
from ssd_depth_core.synthdrive.rig import LidarMount
from ssd_depth_core.synthdrive.sky import Sky
import torch

DARK_REFLECTANCE = 0.1
"""Of the surface that a mount's `dark_range_m` is told for."""
GROUND_REFLECTANCE = 0.12
"""Of dry asphalt, in the infrared, seen from above; at a grazing angle less comes back."""
WET_LOSS = 0.75
"""Share of the echo that a film of water mirrors away from the LiDAR."""
FALSE_ECHOES: dict[RenderedCondition, float] = {
    'day-rain': 0.002,
    'night-rain': 0.002,
    'snow': 0.01,
}
"""Share of rays that a drop or a flake sends back."""
FALSE_RANGE_M = 4.0
"""Mean distance of those beyond the minimum range: farther drops fill too little of the beam."""

Float = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Air:
    """Hold what weather does to a LiDAR's light."""

    extinction: float = 0.0
    """Of light [1/m]."""
    wetness: float = 0.0
    """Of the ground, in [0, 1]."""
    false_echoes: float = 0.0
    """Share of rays, in [0, 1]."""


def air_of(condition: RenderedCondition, sky: Sky) -> Air:
    """Tell the weather that the camera sees to the LiDAR.

    Args:
        condition: Kind of light and weather.
        sky: As drawn for it.

    Returns:
        The same weather.
    """
    return Air(
        extinction=sky.extinction,
        wetness=sky.wetness,
        false_echoes=FALSE_ECHOES.get(condition, 0.0),
    )


def sweep(
    scene: Scene, T_world_ego: Float, mount: LidarMount, air: Air, seed: tuple[int, ...]
) -> NDArray[np.float32]:
    """Take one sweep; all its rays belong to one instant.

    Args:
        scene: The street at that instant.
        T_world_ego: Where the car is, (4, 4).
        mount: The LiDAR.
        air: The weather.
        seed: Of noise and losses, e.g. the drive's seed and the stamp.

    Returns:
        (N, 5): x, y, z in the lidar frame [m], intensity in [0, 255], ring index, in the order of
        the rays.
    """
    rays = mount.rays()
    ring = np.broadcast_to(np.arange(mount.num_rings)[:, None], rays.shape[:2])
    distance, reflectance, ground = _echoes(scene, T_world_ego @ mount.T_ego_lidar, rays, mount)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, 1.0, distance.shape) * mount.noise_m
    luck = rng.random(distance.shape)
    drop = mount.min_range_m + rng.exponential(FALSE_RANGE_M, distance.shape)
    drop_luck = rng.random(distance.shape)

    seen = np.isfinite(distance) & (distance > mount.min_range_m)
    seen &= luck < keep_probability(distance, reflectance, ground, mount.dark_range_m, air)
    false = (drop_luck < air.false_echoes) & (drop < np.minimum(distance, mount.range_m))
    intensity = np.where(false, 1.0, 255.0 * reflectance)  # as of an almost transparent drop
    range_m = np.where(false, drop, distance + noise)
    kept = seen | false
    points = rays[kept] * range_m[kept, None]
    return np.column_stack([points, intensity[kept], ring[kept]]).astype(np.float32)


def keep_probability(
    distance: Float,
    reflectance: Float,
    ground: NDArray[np.bool_],
    dark_range_m: float,
    air: Air,
) -> Float:
    """Say how likely an echo is strong enough to be told from noise.

    The signal falls with the square of the range and, both ways, with the extinction of the air:
    `p = reflectance / 0.1 * (dark_range_m / r)^2 * exp(-2 * extinction * r)`, at most 1.

    Args:
        distance: Any shape [m]; inf where nothing was met.
        reflectance: Same shape, in [0, 1].
        ground: Same shape: whether the ground was met, which rain wets.
        dark_range_m: Of the LiDAR.
        air: The weather.

    Returns:
        Same shape, in [0, 1].
    """
    echo = reflectance * np.where(ground, 1 - WET_LOSS * air.wetness, 1.0)
    near = np.where(np.isfinite(distance), np.maximum(distance, 1e-3), 1e9)
    signal = echo / DARK_REFLECTANCE * (dark_range_m / near) ** 2
    return np.minimum(signal * np.exp(-2 * air.extinction * near), 1.0)


def _echoes(
    scene: Scene, T_world_lidar: Float, rays: Float, mount: LidarMount
) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Give each ray's distance [m], the reflectance that it met, and whether of the ground."""
    device = scene.solids.center.device
    T = torch.as_tensor(T_world_lidar, dtype=torch.float32, device=device)
    shape = rays.shape[:2]
    order, back = _bundles(*shape)
    directions = torch.as_tensor(rays.reshape(-1, 3)[order], dtype=torch.float32, device=device)
    directions = directions @ T[:3, :3].T
    hits = cast_bundles(scene.solids, T[:3, 3], directions, mount.range_m, scene.ground())
    distance = hits.distance.cpu().numpy().ravel()[back].reshape(shape).astype(np.float64)
    index = hits.index.cpu().numpy().ravel()[back].reshape(shape)
    brightness = scene.solids.albedo.mean(1).cpu().numpy().astype(np.float64)
    grazing = np.abs(rays @ T_world_lidar[2, :3])  # cosine of incidence: roads slope gently
    reflectance = np.where(index >= 0, brightness[index.clip(0)], GROUND_REFLECTANCE * grazing)
    return distance, reflectance, index == GROUND


def _bundles(rings: int, azimuths: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort rays into bundles of 64 neighbours.

    Args:
        rings: Rows of the pattern.
        azimuths: Its columns.

    Returns:
        Index of the ray at each place of each bundle, (T, 64), the last ray repeated where the
        pattern ends within a bundle; and where each ray lies in it flattened, (rings * azimuths,).
    """
    height = TILE if rings >= TILE else 1
    width = TILE * TILE // height
    row = np.arange(-(-rings // height) * height).reshape(-1, 1, height, 1)
    column = np.arange(-(-azimuths // width) * width).reshape(1, -1, 1, width)
    inside = np.minimum(row, rings - 1) * azimuths + np.minimum(column, azimuths - 1)
    order = np.asarray(inside.reshape(-1, TILE * TILE), np.int64)
    back = np.empty(rings * azimuths, np.int64)
    # A repeated ray may be read from any of its places.
    back[order.ravel()] = np.arange(order.size)
    return order, back
