"""Where the car carries its cameras and its LiDAR, after nuScenes' vehicle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # camera -> ego
_REFERENCE_SIZE = (900, 1600)


@dataclass(frozen=True, slots=True)
class CameraMount:
    """Hold one camera's place and lens."""

    channel: str
    """nuScenes' name."""
    focal_px: float
    """For a picture of 1600 x 900 pixels."""
    x: float
    y: float
    z: float
    """In the ego frame [m]."""
    yaw_deg: float
    """Counter-clockwise from straight ahead."""

    @property
    def T_ego_camera(self) -> NDArray[np.float64]:
        """Give the pose, (4, 4)."""
        yaw = np.deg2rad(self.yaw_deg)
        c, s = np.cos(yaw), np.sin(yaw)
        T = np.eye(4)
        T[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ _OPTICAL
        T[:3, 3] = (self.x, self.y, self.z)
        return T

    def intrinsics(self, height: int, width: int) -> NDArray[np.float64]:
        """Give the pinhole matrix for a picture size.

        Args:
            height: Pixels.
            width: Pixels.

        Returns:
            (3, 3), pixels; the principal point is the picture's middle.
        """
        fx = self.focal_px * width / _REFERENCE_SIZE[1]
        fy = self.focal_px * height / _REFERENCE_SIZE[0]
        return np.array([[fx, 0, (width - 1) / 2], [0, fy, (height - 1) / 2], [0, 0, 1.0]])


@dataclass(frozen=True, slots=True)
class LidarMount:
    """Hold the LiDAR's place and pattern."""

    channel: str
    x: float
    y: float
    z: float
    """In the ego frame [m]."""
    num_rings: int
    lowest_deg: float
    highest_deg: float
    num_azimuths: int
    """Rays of one ring; a multiple of 8."""
    range_m: float
    min_range_m: float
    """Nearer echoes come from the car itself."""
    noise_m: float
    """Standard deviation of the range."""

    @property
    def T_ego_lidar(self) -> NDArray[np.float64]:
        """Give the pose, (4, 4)."""
        T = np.eye(4)
        T[:3, 3] = (self.x, self.y, self.z)
        return T

    def bundles(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Give the rays in bundles of 8 rings x 8 azimuths.

        Returns:
            Directions (T, 64, 3), unit, in the lidar frame, and ring index (T, 64), 0 lowest.
        """
        elevation = np.deg2rad(np.linspace(self.lowest_deg, self.highest_deg, self.num_rings))
        azimuth = np.arange(self.num_azimuths) * (2 * np.pi / self.num_azimuths)
        e, a = np.meshgrid(elevation, azimuth, indexing='ij')
        rays = np.stack([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], -1)
        ring = np.broadcast_to(np.arange(self.num_rings)[:, None], e.shape)
        shape = (self.num_rings // 8, 8, self.num_azimuths // 8, 8)
        tiles = rays.reshape(*shape, 3).swapaxes(1, 2).reshape(-1, 64, 3)
        return tiles, ring.reshape(shape).swapaxes(1, 2).reshape(-1, 64)


CAMERAS = {
    mount.channel: mount
    for mount in (
        CameraMount('CAM_FRONT', 1266.0, 1.70, 0.0, 1.51, 0.0),
        CameraMount('CAM_FRONT_LEFT', 1266.0, 1.52, 0.49, 1.51, 55.0),
        CameraMount('CAM_FRONT_RIGHT', 1266.0, 1.55, -0.49, 1.51, -55.0),
        CameraMount('CAM_BACK', 809.0, 0.03, 0.0, 1.57, 180.0),
        CameraMount('CAM_BACK_LEFT', 1266.0, 1.03, 0.48, 1.56, 110.0),
        CameraMount('CAM_BACK_RIGHT', 1266.0, 1.03, -0.48, 1.56, -110.0),
    )
}
LIDAR = LidarMount('LIDAR_TOP', 0.94, 0.0, 1.84, 32, -30.0, 10.0, 1088, 100.0, 2.0, 0.02)
