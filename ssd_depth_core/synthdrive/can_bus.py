"""Speed and motion as the car's own bus reports them, in the files of nuScenes' CAN bus expansion.

Two of its messages: `<scene>_pose.json` at the rate of the poses given, and, at 2 Hz,
`<scene>_vehicle_monitor.json`, with those of its fields that a rendered drive knows.
"""

from collections.abc import Sequence
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.geometry.quaternion import quaternion_of
from ssd_depth_core.synthdrive.sensors import EgoPose

MONITOR_PERIOD_US = 500_000

Float = NDArray[np.float64]


def write_can_bus(folder: Path, scene_name: str, motion: Sequence[EgoPose]) -> None:
    """Write one scene's messages.

    Args:
        folder: The data set's `can_bus`; made where missing.
        scene_name: Begins the files' names.
        motion: Where the car was, at least twice, in time order; nuScenes has 50 Hz.

    Raises:
        ValueError: If there are less than two poses or they are out of order.
    """
    stamps = np.array([pose.timestamp_us for pose in motion])
    if len(stamps) < 2 or (np.diff(stamps) <= 0).any():
        raise ValueError(f'{scene_name}: motion must be two poses or more in time order')
    poses = _pose_messages(stamps, np.stack([pose.T_world_ego for pose in motion]))
    monitor, last_us = [], stamps[0] - MONITOR_PERIOD_US
    for pose, message in zip(motion, poses, strict=True):
        if pose.timestamp_us - last_us >= MONITOR_PERIOD_US:
            last_us = pose.timestamp_us
            monitor.append(
                {
                    'utime': pose.timestamp_us,
                    'vehicle_speed': pose.speed_mps * 3.6,  # km/h
                    'yaw_rate': float(np.rad2deg(message['rotation_rate'][2])),  # degrees/s
                }
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name, messages in (('pose', poses), ('vehicle_monitor', monitor)):
        (folder / f'{scene_name}_{name}.json').write_text(json.dumps(messages) + '\n')


def _pose_messages(stamps: NDArray[np.int64], T: Float) -> list[dict[str, Any]]:
    """Differentiate the poses; vectors are in the ego frame, the acceleration without gravity."""
    seconds = (stamps - stamps[0]) / 1e6
    to_ego = T[:, :3, :3].swapaxes(1, 2)
    velocity = np.gradient(T[:, :3, 3], seconds, axis=0)
    acceleration = np.gradient(velocity, seconds, axis=0)
    # R^T dR/dt is the cross product with the angular velocity.
    spin = to_ego @ np.gradient(T[:, :3, :3], seconds, axis=0)
    rate = np.stack([spin[:, 2, 1], spin[:, 0, 2], spin[:, 1, 0]], -1)
    return [
        {
            'utime': int(stamps[i]),
            'pos': T[i, :3, 3].tolist(),
            'orientation': quaternion_of(T[i]).tolist(),
            'vel': (to_ego[i] @ velocity[i]).tolist(),
            'accel': (to_ego[i] @ acceleration[i]).tolist(),
            'rotation_rate': rate[i].tolist(),
        }
        for i in range(len(stamps))
    ]
