import json
from pathlib import Path

import cv2
import numpy as np
from real_data import read_ddad, read_nuscenes

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
