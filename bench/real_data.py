"""Real pictures with LiDAR depth, read straight from what their authors published."""

from collections.abc import Iterator
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.runtime.images import read_image

_DDAD_HEIGHT_M = 1.5  # nominal: the recordings give no ground plane
_MIN_DEPTH_M = 1.0  # as the nuScenes devkit, which drops returns from the car's own body


@dataclass(frozen=True, kw_only=True, slots=True)
class RealFrame:
    """Hold one picture, its camera and its true depth at N pixels."""

    dataset: str
    """`nuScenes` or `DDAD`."""
    channel: str
    """The dataset's name of the camera."""
    name: str
    """Unique, fit for a file name."""
    image: NDArray[np.uint8]
    """(H, W, 3) RGB."""
    K: NDArray[np.float64]
    """(3, 3), pixels."""
    uv: NDArray[np.float64]
    """(N, 2) pixel column and row; centres of pixels are whole numbers."""
    truth: NDArray[np.float64]
    """(N,) along the optical axis [m]."""
    height_m: float
    """Of the camera above the ground."""
    down_camera: NDArray[np.float64]
    """(3,) unit vector to the ground, in the camera's frame."""


def read_ddad(root: Path) -> Iterator[RealFrame]:
    """Read the DDAD pictures.

    Their height is taken as 1.5 m and their optical axis as level.

    Args:
        root: The folder that holds `ddad_depth` and `ddad`.

    Yields:
        Each picture, in the order of the file names.
    """
    for path in sorted((root / 'ddad_depth').glob('*.npz')):
        with np.load(path) as arrays:
            uvz = arrays['uvz'].astype(np.float64)
            image_path, K = str(arrays['image']), arrays['K']
        yield RealFrame(
            dataset='DDAD',
            channel=Path(image_path).parent.name,
            name=path.stem,
            image=read_image(root / image_path),
            K=K,
            uv=uvz[:, :2],
            truth=uvz[:, 2],
            height_m=_DDAD_HEIGHT_M,
            down_camera=np.array([0.0, 1.0, 0.0]),
        )


def read_nuscenes(root: Path) -> Iterator[RealFrame]:
    """Read the nuScenes key frame, its LiDAR sweep projected into each camera.

    Args:
        root: The folder that holds `nuscenes_one_sample`.

    Yields:
        The six cameras' pictures, in the order of the table.
    """
    folder = root / 'nuscenes_one_sample'
    tables = next(folder.glob('v1.0-*'))
    sensors, mounts, poses = (
        {row['token']: row for row in json.loads((tables / f'{name}.json').read_text())}
        for name in ('sensor', 'calibrated_sensor', 'ego_pose')
    )
    by_channel = {
        sensors[mounts[row['calibrated_sensor_token']]['sensor_token']]['channel']: row
        for row in json.loads((tables / 'sample_data.json').read_text())
    }
    lidar = by_channel.pop('LIDAR_TOP')
    sweep = np.fromfile(folder / lidar['filename'], np.float32).reshape(-1, 5)
    points = np.column_stack([sweep[:, :3].astype(np.float64), np.ones(len(sweep))])
    T_world_lidar = _world_from_sensor(lidar, mounts, poses)
    for channel, camera in by_channel.items():
        mount = mounts[camera['calibrated_sensor_token']]
        T_ego_camera = _transform(mount)
        # The car moves between the sweep's instant and the camera's: through the world and back.
        T_camera_lidar = np.linalg.inv(_world_from_sensor(camera, mounts, poses)) @ T_world_lidar
        K = np.array(mount['camera_intrinsic'])
        image = read_image(folder / camera['filename'])
        uv, truth = _project(points @ T_camera_lidar[:3].T, K, image.shape[:2])
        yield RealFrame(
            dataset='nuScenes',
            channel=channel,
            name=Path(camera['filename']).stem,
            image=image,
            K=K,
            uv=uv,
            truth=truth,
            height_m=T_ego_camera[2, 3],
            down_camera=-T_ego_camera[2, :3],
        )


def _project(
    points: NDArray[np.float64], K: NDArray[np.float64], size: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give pixels (N, 2) and depths (N,) of the points that the devkit would draw.

    It asks for a depth above 1 m and for a pixel more than 1 px inside the border.
    """
    points = points[points[:, 2] > _MIN_DEPTH_M]
    uv = (points @ K.T)[:, :2] / points[:, 2:]
    inside = ((uv > 1) & (uv < np.array(size[::-1]) - 1)).all(axis=1)
    return uv[inside], points[inside, 2]


def _world_from_sensor(
    data: dict[str, Any], mounts: dict[str, Any], poses: dict[str, Any]
) -> NDArray[np.float64]:
    T_world_ego = _transform(poses[data['ego_pose_token']])
    return T_world_ego @ _transform(mounts[data['calibrated_sensor_token']])


def _transform(row: dict[str, Any]) -> NDArray[np.float64]:
    """Turn a table's translation and quaternion (w, x, y, z) into a (4, 4) matrix."""
    w, x, y, z = np.array(row['rotation']) / np.linalg.norm(row['rotation'])
    T = np.eye(4)
    T[:3, :3] = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    T[:3, 3] = row['translation']
    return T
