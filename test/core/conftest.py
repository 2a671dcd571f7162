import itertools

import numpy as np
import pytest
from ssd_depth_core.synthdrive.nuscenes_writer import Scene, write_nuscenes
from ssd_depth_core.synthdrive.sensors import CameraFrame, EgoPose, LidarSweep

START_US = 1_700_000_000_000_000
K = np.array(((60.0, 0.0, 40.25), (0.0, 60.0, 23.5), (0.0, 0.0, 1.0)))

# Camera axes (right, down, forward) in the car's (forward, left, up).
T_EGO_CAMERA = np.array(((0, 0, 1, 1.7), (-1, 0, 0, 0.1), (0, -1, 0, 1.5), (0, 0, 0, 1.0)))
T_EGO_LIDAR = np.array(((0, 1, 0, 0.9), (-1, 0, 0, 0), (0, 0, 1, 1.8), (0, 0, 0, 1.0)))


def ego_pose(timestamp_us):
    """The car drives at 10 m/s towards the north-east."""
    seconds = (timestamp_us - START_US) / 1e6
    c = np.sqrt(0.5)
    T = np.array(((c, -c, 0, 0), (c, c, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1.0)))
    T[:2, 3] = 10 * seconds * c
    return EgoPose(timestamp_us=timestamp_us, T_world_ego=T, speed_mps=10.0)


def camera_frame(timestamp_us, channel='CAM_FRONT', size=(48, 80)):
    """A picture with a brighter half; depth grows with the row, and the top row is sky."""
    image = np.full((*size, 3), (40, 90, 160), np.uint8)
    image[:, size[1] // 2 :] += 60
    depth = np.repeat(np.linspace(50, 5, size[0], dtype=np.float32)[:, None], size[1], axis=1)
    depth[0] = np.inf
    return CameraFrame(
        channel=channel,
        ego_pose=ego_pose(timestamp_us),
        image=image,
        depth=depth,
        K=K,
        T_ego_camera=T_EGO_CAMERA,
    )


def lidar_sweep(timestamp_us):
    points = np.array(((1, 2, 3, 40, 5), (6, 7, 8, 255, 31)), np.float32)
    return LidarSweep(
        channel='LIDAR_TOP',
        ego_pose=ego_pose(timestamp_us),
        points=points + np.float32((timestamp_us - START_US) / 1e6),
        T_ego_lidar=T_EGO_LIDAR,
    )


@pytest.fixture(scope='session')
def drive():
    """Make the records of a drive: cameras at 12 Hz, a LiDAR at 20 Hz, in time order."""

    def make(seconds=1.0, channels=('CAM_FRONT', 'CAM_BACK'), start_us=START_US):
        frame_times = [start_us + round(i * 1e6 / 12) for i in range(round(12 * seconds))]
        frames = [camera_frame(t, c) for t, c in itertools.product(frame_times, channels)]
        sweeps = [lidar_sweep(start_us + i * 50_000) for i in range(round(20 * seconds))]
        return sorted([*frames, *sweeps], key=lambda record: record.ego_pose.timestamp_us)

    return make


@pytest.fixture(scope='session')
def nuscenes_root(tmp_path_factory, drive):
    """A data set of two scenes of a second each; only to be read."""
    root = tmp_path_factory.mktemp('nuscenes')
    scenes = [
        Scene(name='scene-0001', description='Clear day', records=drive()),
        Scene(
            name='scene-0002', description='Night', records=drive(start_us=START_US + 9_000_000)
        ),
    ]
    write_nuscenes(root, scenes)
    return root
