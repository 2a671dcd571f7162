"""Real pictures with LiDAR depth, read straight from what their authors published."""

from collections.abc import Iterator
from dataclasses import dataclass
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar
from ssd_depth_core.geometry.quaternion import transform_from
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


def project_ddad(root: Path) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Project DDAD's LiDAR points through the poses of its scenes, to prove `ddad_depth`.

    Every datum has a pose of its own in the world, so the points go from the LiDAR's into the
    camera's frame as it stood 0.2 s later. Pixels are rounded; of several points in one the
    nearest stays.

    Args:
        root: The folder that holds `ddad`.

    Yields:
        Name of a picture, as `read_ddad` gives it, and (N, 3) pixel column, row, depth [m].
    """
    for path in sorted((root / 'ddad').glob('*/scene_*.json')):
        scene = json.loads(path.read_text())
        data = {datum['key']: datum for datum in scene['data']}
        for sample in scene['samples']:
            file = path.parent / 'calibration' / f'{sample["calibration_key"]}.json'
            calibration = json.loads(file.read_text())
            datums = [data[key] for key in sample['datum_keys']]
            (cloud,) = (d['datum']['point_cloud'] for d in datums if 'point_cloud' in d['datum'])
            with np.load(path.parent / cloud['filename']) as arrays:
                points = arrays['data'][:, :3]
            points_world = _transformed(points, _pose(cloud['pose']))
            for datum in datums:
                image = datum['datum'].get('image')
                if image is None:
                    continue
                channel = datum['id']['name']
                K = _pinhole(calibration['intrinsics'][calibration['names'].index(channel)])
                points_camera = _transformed(points_world, np.linalg.inv(_pose(image['pose'])))
                name = f'{path.parent.name}_{channel}_{Path(image["filename"]).stem}'
                yield name, _nearest(points_camera, K, (image['height'], image['width']))


def read_nuscenes(root: Path) -> Iterator[RealFrame]:
    """Read the nuScenes key frame, its LiDAR sweep projected into each camera.

    Args:
        root: The folder that holds `nuscenes_one_sample`.

    Yields:
        The six cameras' pictures, in the order of time.
    """
    data = NuScenes(root / 'nuscenes_one_sample')
    records = data.records(data.scenes[0])
    (sweep,) = (record for record in records if record.modality == 'lidar')
    points = read_lidar(sweep.path)[:, :3].astype(np.float64)
    points = np.column_stack([points, np.ones(len(points))])
    T_world_lidar = sweep.T_world_ego @ sweep.T_ego_sensor
    for camera in records:
        if camera.K is None:
            continue
        # The car moves between the sweep's instant and the camera's: through the world and back.
        T_camera_world = np.linalg.inv(camera.T_world_ego @ camera.T_ego_sensor)
        T_camera_lidar = T_camera_world @ T_world_lidar
        image = read_image(camera.path)
        uv, truth = _project(points @ T_camera_lidar[:3].T, camera.K, image.shape[:2])
        yield RealFrame(
            dataset='nuScenes',
            channel=camera.channel,
            name=camera.path.stem,
            image=image,
            K=camera.K,
            uv=uv,
            truth=truth,
            height_m=camera.T_ego_sensor[2, 3],
            down_camera=-camera.T_ego_sensor[2, :3],
        )


def _nearest(
    points: NDArray[np.float64], K: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Give column, row, depth (N, 3) of the nearest point in each whole pixel of a picture."""
    points = points[points[:, 2] > 0]
    uv = np.rint((points @ K.T)[:, :2] / points[:, 2:])
    inside = ((uv >= 0) & (uv < size[::-1])).all(axis=1)
    uvz = np.column_stack([uv[inside], points[inside, 2]])
    uvz = uvz[np.argsort(uvz[:, 2])]
    _, first = np.unique(uvz[:, :2], axis=0, return_index=True)
    return uvz[first]


def _transformed(points: NDArray[np.float64], T: NDArray[np.floating]) -> NDArray[np.float64]:
    return points @ T[:3, :3].T + T[:3, 3]


def _pose(pose: dict[str, dict[str, float]]) -> NDArray[np.float64]:
    return transform_from(
        [pose['translation'][axis] for axis in 'xyz'],
        [pose['rotation'][f'q{part}'] for part in 'wxyz'],
    )


def _pinhole(intrinsics: dict[str, float]) -> NDArray[np.float64]:
    fx, fy, cx, cy, skew = (intrinsics[name] for name in ('fx', 'fy', 'cx', 'cy', 'skew'))
    return np.array([[fx, skew, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


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
