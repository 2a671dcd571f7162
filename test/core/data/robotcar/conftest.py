from dataclasses import dataclass

import numpy as np
import pytest
from ssd_depth_core.geometry.pose import transform_from_euler
from ssd_depth_core.synthdrive.robotcar_writer import Traversal, write_robotcar
from ssd_depth_core.synthdrive.sensors import CameraFrame, EgoPose, LidarSweep


@dataclass(frozen=True)
class Street:
    """A flat road between two walls, driven through on a winding way, all in closed form."""

    start_us: int = 1_418_132_000_000_000
    size: tuple[int, int] = (240, 320)
    half_width_m: float = 8.0
    speed_mps: float = 10.0
    K = np.array(((246.0, 0, 161.0), (0, 246.0, 123.0), (0, 0, 1)))
    # Camera axes (right, down, forward) in the car's (forward, left, up), looking a little down.
    T_ego_camera = transform_from_euler((1.7, 0.1, 1.5, -np.pi / 2 - 0.04, 0, -np.pi / 2))
    # The scan's plane stands across the road, as RobotCar's: x down, y right.
    T_ego_lidar = transform_from_euler((3.4, -0.1, 0.4, np.pi - 0.05, 1.49, -0.05))

    def ego_pose(self, stamp_us):
        # Not an even bend: its poses are powers of one motion, which can be exchanged unnoticed.
        t = (stamp_us - self.start_us) / 1e6
        pitch, yaw = 0.01 * np.sin(3 * t), 0.1 + 0.05 * np.sin(2 * t)
        T = transform_from_euler((self.speed_mps * t, 0.5 * np.sin(1.3 * t), 0, 0, pitch, yaw))
        return EgoPose(timestamp_us=stamp_us, T_world_ego=T, speed_mps=self.speed_mps)

    def cast(self, origin, rays):
        """Go along rays (..., 3) to the road or a wall; inf for the sky."""
        with np.errstate(divide='ignore'):
            down = np.where(rays[..., 2] < 0, -origin[2] / rays[..., 2], np.inf)
            wall = np.sign(rays[..., 1]) * self.half_width_m
            across = np.where(rays[..., 1] != 0, (wall - origin[1]) / rays[..., 1], np.inf)
        distance = np.minimum(down, across)
        height = origin[2] + distance * rays[..., 2]
        return np.where(height < 12, distance, np.inf)

    def depth(self, stamp_us, u, v):
        """Depth along the optical axis at pixels of any shape."""
        T = self.ego_pose(stamp_us).T_world_ego @ self.T_ego_camera
        rays = np.stack((u, v, np.ones_like(u)), -1) @ np.linalg.inv(self.K).T
        return self.cast(T[:3, 3], rays @ T[:3, :3].T)  # rays have z = 1: distance is depth

    def frame(self, stamp_us, brightness=1.0):
        v, u = np.mgrid[: self.size[0], : self.size[1]].astype(float)
        depth = self.depth(stamp_us, u, v)
        shade = 0.5 + 0.3 * np.sin(8 / np.minimum(depth, 100) * 3)
        image = np.stack((shade, shade * 0.8, 0.2 + 0.5 * shade), -1) * 255 * brightness
        return CameraFrame(
            channel='stereo/left',
            ego_pose=self.ego_pose(stamp_us),
            image=image.clip(0, 255).astype(np.uint8),
            depth=depth.astype(np.float32),
            K=self.K,
            T_ego_camera=self.T_ego_camera,
        )

    def sweep(self, stamp_us):
        pose = self.ego_pose(stamp_us)
        angles = np.deg2rad(np.arange(-135, 135.1, 0.5))
        rays = np.stack((np.cos(angles), np.sin(angles), 0 * angles), -1)
        T = pose.T_world_ego @ self.T_ego_lidar
        distance = self.cast(T[:3, 3], rays @ T[:3, :3].T)
        near = distance < 50
        points = np.zeros((near.sum(), 5), np.float32)
        points[:, :3] = rays[near] * distance[near, None]
        points[:, 3] = 80
        return LidarSweep(
            channel='lms_front', ego_pose=pose, points=points, T_ego_lidar=self.T_ego_lidar
        )

    def records(self, seconds, brightness=1.0):
        """Pictures at 16 Hz, scans at 50 Hz, in time order."""
        pictures = [self.start_us + i * 62_500 for i in range(round(16 * seconds))]
        scans = [self.start_us + 3_000 + i * 20_000 for i in range(round(50 * seconds))]
        records = [
            *(self.frame(stamp, brightness) for stamp in pictures),
            *(self.sweep(stamp) for stamp in scans),
        ]
        return sorted(records, key=lambda record: record.ego_pose.timestamp_us)


@pytest.fixture(scope='session')
def street():
    return Street()


@pytest.fixture(scope='session')
def robotcar_root(tmp_path_factory, street):
    """A rendered set of one street by day and by night, two seconds each; only to be read."""
    root = tmp_path_factory.mktemp('robotcar')
    write_robotcar(
        root,
        [
            Traversal(
                name='street-0001-day-clear',
                condition='day-clear',
                split='train',
                records=street.records(2.0),
            ),
            Traversal(
                name='street-0002-night',
                condition='night',
                split='test',
                records=street.records(2.0, brightness=0.2),
            ),
        ],
    )
    return root
