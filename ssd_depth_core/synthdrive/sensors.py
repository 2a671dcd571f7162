"""What the car carries and records: records of a drive, independent of any file format.

Frames: `world` x east, y north, z up [m]; `ego` x forward, y left, z up, on the ground below the
rear axle; `camera` x right, y down, z forward (optical); `lidar` axes like ego's. `T_a_b` maps
points in b into a.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, slots=True)
class EgoPose:
    """Hold where the car is at one instant."""

    timestamp_us: int
    """Since the epoch, microseconds, as nuScenes counts."""
    T_world_ego: NDArray[np.float64]
    """(4, 4)."""
    speed_mps: float
    """Along the ego's x axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CameraFrame:
    """Hold one picture and its exact depth."""

    channel: str
    """nuScenes' name of the camera, e.g. `CAM_FRONT`."""
    ego_pose: EgoPose
    """At the instant of exposure; its timestamp is the picture's."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    depth: NDArray[np.float32]
    """(H, W) along the optical axis [m]; +inf for the sky."""
    K: NDArray[np.float64]
    """(3, 3), pixels."""
    T_ego_camera: NDArray[np.float64]
    """(4, 4)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorBox:
    """Hold the box around one thing in the traffic at one instant, in nuScenes' words."""

    instance: int
    """Unique in the drive; the same thing keeps it."""
    category: str
    """E.g. `vehicle.car` or `human.pedestrian.adult`."""
    attribute: str
    """What it is doing, e.g. `vehicle.moving` or `vehicle.parked`."""
    T_world_box: NDArray[np.float64]
    """(4, 4), from the box's middle: x forward, y left, z up."""
    size: tuple[float, float, float]
    """Width, length and height [m]."""
    velocity: tuple[float, float, float]
    """In the world [m/s]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LidarSweep:
    """Hold one turn of the LiDAR."""

    channel: str
    """nuScenes' name, `LIDAR_TOP`."""
    ego_pose: EgoPose
    """At the instant of the sweep; its timestamp is the sweep's."""
    points: NDArray[np.float32]
    """(N, 5): x, y, z in the lidar frame [m], intensity in [0, 255], ring index."""
    T_ego_lidar: NDArray[np.float64]
    """(4, 4)."""
    boxes: tuple[ActorBox, ...] = ()
    """Of the traffic around the car at the instant of the sweep, seen or not."""
