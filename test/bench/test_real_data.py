import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from real_data import project_ddad, read_ddad, read_nuscenes

SIZE = (90, 160)
K = [[100.0, 0.0, 80.0], [0.0, 100.0, 45.0], [0.0, 0.0, 1.0]]
# Camera looking along ego's x: its x is ego's -y, its y is ego's -z.
LOOKS_FORWARD = [0.5, -0.5, 0.5, -0.5]
UNTURNED = [1.0, 0.0, 0.0, 0.0]


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.zeros((*SIZE, 3), np.uint8))


def write_nuscenes(root: Path, points: list[tuple[float, float, float]], moved_m: float) -> None:
    """One camera 1.5 m high at ego's origin and a LiDAR 2 m high; the car drives `moved_m` along
    the world's x from the sweep to the picture."""
    folder = root / 'nuscenes_one_sample'
    write_picture(folder / 'front.png')
    sweep = np.array([(*point, 0.0, 0.0) for point in points], np.float32)
    sweep.tofile(folder / 'sweep.bin')
    mounts = {
        'camera': ([0.0, 0.0, 1.5], LOOKS_FORWARD, K),
        'lidar': ([0.0, 0.0, 2.0], UNTURNED, []),
    }
    tables = {
        'scene': [{'token': 'scene', 'name': 'scene-1', 'description': 'By day'}],
        'sample': [{'token': 'sample', 'scene_token': 'scene'}],
        'sensor': [
            {'token': 'camera', 'channel': 'CAM_FRONT', 'modality': 'camera'},
            {'token': 'lidar', 'channel': 'LIDAR_TOP', 'modality': 'lidar'},
        ],
        'calibrated_sensor': [
            {
                'token': name,
                'sensor_token': name,
                'translation': translation,
                'rotation': rotation,
                'camera_intrinsic': intrinsics,
            }
            for name, (translation, rotation, intrinsics) in mounts.items()
        ],
        'ego_pose': [
            {'token': 'lidar', 'translation': [500.0, 0.0, 0.0], 'rotation': UNTURNED},
            {'token': 'camera', 'translation': [500.0 + moved_m, 0.0, 0.0], 'rotation': UNTURNED},
        ],
        'sample_data': [
            {
                'token': name,
                'sample_token': 'sample',
                'calibrated_sensor_token': name,
                'ego_pose_token': name,
                'timestamp': 1,
                'is_key_frame': True,
                'height': SIZE[0],
                'width': SIZE[1],
                'filename': filename,
            }
            for name, filename in (('camera', 'front.png'), ('lidar', 'sweep.bin'))
        ],
    }
    (folder / 'v1.0-test').mkdir()
    for name, rows in tables.items():
        (folder / 'v1.0-test' / f'{name}.json').write_text(json.dumps(rows))


def test_sweep_is_projected_through_the_world(tmp_path: Path) -> None:
    # In the lidar frame 11 m ahead, 2 m to the left, 1 m down: 1 m above the ground. The car has
    # driven 1 m when the camera shoots: 10 m ahead of it, 2 m left, 0.5 m below.
    write_nuscenes(tmp_path, [(11.0, 2.0, -1.0)], moved_m=1.0)
    (frame,) = read_nuscenes(tmp_path)
    np.testing.assert_allclose(frame.truth, [10.0])
    np.testing.assert_allclose(frame.uv, [[80.0 - 20.0, 45.0 + 5.0]])
    assert frame.channel == 'CAM_FRONT'
    assert frame.height_m == 1.5
    np.testing.assert_allclose(frame.down_camera, [0.0, 1.0, 0.0], atol=1e-12)


def test_points_that_the_devkit_leaves_out_are_left_out(tmp_path: Path) -> None:
    kept = (10.0, 0.0, -0.5)
    behind, too_near = (-10.0, 0.0, -0.5), (0.9, 0.0, -0.5)
    beside, on_the_border = (10.0, 9.0, -0.5), (10.0, 7.95, -0.5)  # columns -10 and 0.5
    write_nuscenes(tmp_path, [behind, kept, too_near, beside, on_the_border], moved_m=0.0)
    (frame,) = read_nuscenes(tmp_path)
    np.testing.assert_allclose(frame.uv, [[80.0, 45.0]])


def test_ddad_record_is_read(tmp_path: Path) -> None:
    image = 'ddad/scene_01/rgb/CAMERA_05/7.png'
    write_picture(tmp_path / image)
    (tmp_path / 'ddad_depth').mkdir()
    uvz = np.array([[3, 4, 12.5]], np.float32)
    np.savez(tmp_path / 'ddad_depth' / 'scene_01_CAMERA_05_7.npz', image=image, K=K, uvz=uvz)
    (frame,) = read_ddad(tmp_path)
    assert (frame.channel, frame.name) == ('CAMERA_05', 'scene_01_CAMERA_05_7')
    assert frame.image.shape == (*SIZE, 3)
    np.testing.assert_array_equal(frame.uv, [[3, 4]])
    np.testing.assert_array_equal(frame.truth, [12.5])


def write_ddad_scene(root: Path, points: list[tuple[float, float, float]]) -> None:
    """A LiDAR at the world's (7, 0, 0), a camera 1 m before it that looks along x."""
    folder = root / 'ddad' / 'scene_09'
    (folder / 'calibration').mkdir(parents=True)
    np.savez(folder / 'cloud.npz', data=np.array([(*point, 0.5) for point in points]))

    def pose(x: float, rotation: list[float]) -> dict:
        return {
            'translation': {'x': x, 'y': 0.0, 'z': 0.0},
            'rotation': dict(zip(('qw', 'qx', 'qy', 'qz'), rotation, strict=True)),
        }

    cloud = {'filename': 'cloud.npz', 'pose': pose(7.0, UNTURNED)}
    image = {
        'filename': 'rgb/CAMERA_01/5.jpg',
        'height': SIZE[0],
        'width': SIZE[1],
        'pose': pose(8.0, LOOKS_FORWARD),
    }
    scene = {
        'samples': [{'calibration_key': 'calibration', 'datum_keys': ['a', 'b']}],
        'data': [
            {'key': 'a', 'id': {'name': 'LIDAR'}, 'datum': {'point_cloud': cloud}},
            {'key': 'b', 'id': {'name': 'CAMERA_01'}, 'datum': {'image': image}},
        ],
    }
    lens = {'fx': 100.0, 'fy': 100.0, 'cx': 80.0, 'cy': 45.0, 'skew': 0.0}
    calibration = {'names': ['LIDAR', 'CAMERA_01'], 'intrinsics': [{}, lens]}
    (folder / 'scene_x.json').write_text(json.dumps(scene))
    (folder / 'calibration' / 'calibration.json').write_text(json.dumps(calibration))


def test_ddad_points_go_through_both_poses(tmp_path: Path) -> None:
    # 11 m before the LiDAR, 2 m left, 1 m down: 10 m before the camera.
    left_and_down = (11.0, 2.0, -1.0)
    hidden = (21.0, 4.0, -2.0)  # in the same pixel
    almost = (11.0, 2.0, 0.96)  # row 35.4
    write_ddad_scene(
        tmp_path, [hidden, left_and_down, almost, (-11.0, 0.0, 0.0), (11.0, 9.0, 0.0)]
    )
    ((name, uvz),) = project_ddad(tmp_path)
    assert name == 'scene_09_CAMERA_01_5'
    np.testing.assert_allclose(uvz, [[60, 35, 10], [60, 55, 10]], atol=1e-12)


REALDATA = Path(__file__).parents[3] / 'shared' / 'realdata'


@pytest.mark.skipif(not REALDATA.is_dir(), reason='the real pictures are not on this machine')
def test_projected_ddad_points_are_those_of_its_depth() -> None:
    projected = dict(project_ddad(REALDATA))
    names = []
    for frame in read_ddad(REALDATA):
        names.append(frame.name)
        uvz = projected[frame.name]
        order = np.lexsort(frame.uv.T[::-1])
        np.testing.assert_array_equal(uvz[:, :2], frame.uv[order])
        # Stored as float32: 8 um at 100 m.
        np.testing.assert_allclose(uvz[:, 2], frame.truth[order], rtol=0, atol=2e-5)
    assert len(names) == 27
