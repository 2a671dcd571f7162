"""Snow: on what faces the sky, and in the air."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.air import (
    draw_visibility,
    extinction,
    through_air,
    transmission,
)
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.falling import snow_flakes
from ssd_depth_core.gdt.procedural.ground_noise import ground_noise, road_points
from ssd_depth_core.gdt.procedural.mixing import coloured, mixed
from ssd_depth_core.gdt.procedural.overcast import overcast
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread

_CLOUDS = (0.5, 0.8)
"""Linear luminance of a sky full of snow."""
_SNOW = (0.86, 0.89, 0.95)
"""Radiance of lying snow over that of the sky: a little darker, a little blue."""
_FLAKE = 1.15
"""Of flakes in the air over that of the sky."""
_LANE_M, _HALF_TRACK_M, _RUT_M = 3.5, 0.75, 0.3
"""Where wheels run, and how wide they clear the snow."""


def snow(
    scene: Scene, strength: float, config: ProceduralConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Let it snow by day.

    Args:
        scene: The clear frame.
        strength: In (0, 1].
        config: Between which visibilities to draw.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear.
    """
    beta = strength * extinction(draw_visibility(rng, config.snow_visibility_m))
    cloud = rng.uniform(*_CLOUDS)
    cover = snow_cover(scene, rng) * np.float32(strength)
    # What lies below still shades the snow a little: tracks, kerbs, the shadows of clouds.
    shade = np.float32(0.8) + np.float32(0.2) * scene.luma / (scene.luma + np.float32(0.02))
    white = coloured(shade, cloud * np.array(_SNOW))
    light = mixed(overcast(scene, strength), white, cover)
    light = through_air(light, transmission(scene.depth, beta), np.full(3, cloud, np.float32))
    veil = snow_flakes(scene, rng) * np.float32(strength)
    return mixed(light, np.full(3, _FLAKE * cloud), veil)


def snow_cover(scene: Scene, rng: np.random.Generator) -> NDArray[np.float32]:
    """Say where snow lies: on what faces upwards, less where wheels run.

    Args:
        scene: Depth and road.
        rng: Of the picture: how much there is, and where wind and wheels took it.

    Returns:
        (H, W) in [0, 1].
    """
    height, width = scene.depth.shape
    right, ahead = road_points(scene)
    amount, lane = rng.uniform(0.55, 0.95), rng.uniform(0, _LANE_M)
    patches = ground_noise(right, ahead, 2.5, rng) + ground_noise(right, ahead, 0.4, rng)
    across = np.abs((right + np.float32(lane)) % _LANE_M - _LANE_M / 2)
    rut = np.exp(-(((across - _HALF_TRACK_M) / _RUT_M) ** 2))
    # Far ahead the road need not be straight, and two tracks fall into one pixel.
    rut *= np.clip(1.4 - ahead / 40, 0, 1)
    cleared = rut * rng.uniform(0.3, 0.9) * (1 + np.float32(0.25) * patches)
    lying = np.clip(amount + np.float32(0.08) * patches - cleared, 0, 1).astype(np.float32)
    lying = cv2.resize(lying, (width, height), interpolation=cv2.INTER_LINEAR)
    # Leaves and branches that face upwards are the bright ones of a tree.
    bright = scene.luma / (spread(scene.luma, height / 60) + np.float32(0.01))
    upward = facing_up(scene) * np.clip(bright - np.float32(0.4), 0, 1) * np.float32(amount)
    ground = scene.ground
    return np.asarray(ground * lying + (1 - ground) * upward)


def facing_up(scene: Scene) -> NDArray[np.float32]:
    """Say how far a surface above the ground faces the sky, by the slope of inverse depth.

    A plane n . P = h has 1/Z = n . K^-1 (u, v, 1) / h: the slopes of inverse depth in u and v,
    and its value, are its normal.

    Args:
        scene: Depth and road.

    Returns:
        (H, W): 1 where snow stays, 0 where it slides off or nothing is.
    """
    height, width = scene.depth.shape
    size = (max(1, width // 2), max(1, height // 2))
    inverse = cv2.resize(1 / scene.depth, size, interpolation=cv2.INTER_NEAREST)
    inverse = cv2.blur(inverse, (3, 3))
    # Half as many pixels have half the focal length: the slopes in rays stay.
    du = cv2.Sobel(inverse, cv2.CV_32F, 1, 0, scale=1 / 8) * np.float32(scene.K[0, 0] / 2)
    dv = cv2.Sobel(inverse, cv2.CV_32F, 0, 1, scale=1 / 8) * np.float32(scene.K[1, 1] / 2)
    x = (np.arange(size[0], dtype=np.float32) * 2 + 0.5 - scene.K[0, 2]) / scene.K[0, 0]
    y = (np.arange(size[1], dtype=np.float32) * 2 + 0.5 - scene.K[1, 2]) / scene.K[1, 1]
    forward = inverse - du * x.astype(np.float32) - dv * y.astype(np.float32)[:, None]
    up = dv / np.sqrt(du * du + dv * dv + forward * forward + np.float32(1e-12))
    up = cv2.resize(up, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip((up - 0.6) / np.float32(0.25), 0, 1) * (1 - scene.sky))
