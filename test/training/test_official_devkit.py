"""The official nuScenes devkit (requirements/devkit.txt) opens what we render."""

import matplotlib

matplotlib.use('agg')  # before the devkit asks for a window

import cv2
import numpy as np
from nuscenes.can_bus.can_bus_api import NuScenesCanBus
from nuscenes.nuscenes import NuScenes as Devkit
from nuscenes.utils.data_classes import LidarPointCloud
from nuscenes.utils.geometry_utils import points_in_box
import pytest
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar
from ssd_depth_core.exact_depth import decode_exact_depth
from ssd_depth_core.synthdrive.drive import drive_motion, DriveConfig
from ssd_depth_core.synthdrive.nuscenes_writer import Scene, write_nuscenes
from ssd_depth_core.synthdrive.sensors import LidarSweep

from training.render_synthdrive import main

CHANNELS = ('CAM_FRONT', 'CAM_BACK_LEFT')
PLANE_M = 0.004
"""What the camera sees is one plane if its 3x3 depths leave it by no more than a coding step."""


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Two samples of a street on two cameras, without LiDAR noise, by day and in the rain."""
    folder = tmp_path_factory.mktemp('devkit')
    config = folder / 'config.yaml'
    config.write_text(
        'seed: 300003\nduration_s: 1.0\nstart_s: 3.0\nchannels: [CAM_FRONT, CAM_BACK_LEFT]\n'
        'conditions: [day-clear, day-rain]\nimage_height: 225\nimage_width: 400\n'
        'camera_hz: 2\nlidar_hz: 4\nlidar_noise_m: 0.0\n'
    )
    assert main(['--config', str(config), '--out', str(folder / 'set'), '--device', 'cpu']) == 0
    return folder / 'set'


@pytest.fixture(scope='module')
def devkit(root):
    return Devkit('v1.0-synth', str(root), verbose=False)


def samples_of(devkit, name):
    scene = next(scene for scene in devkit.scene if scene['name'].endswith(name))
    samples = [devkit.get('sample', scene['first_sample_token'])]
    while samples[-1]['next']:
        samples.append(devkit.get('sample', samples[-1]['next']))
    assert len(samples) == scene['nbr_samples'] == 2
    return samples


def test_devkit_lists_the_scenes(devkit, capsys):
    devkit.list_scenes()
    devkit.list_categories()
    devkit.list_attributes()
    output = capsys.readouterr().out
    for words in ('street-300003-day-rain', 'vehicle.car', 'vehicle.moving'):
        assert words in output


def test_devkit_walks_every_chain(devkit):
    for record in devkit.sample_data:
        path, _, K = devkit.get_sample_data(record['token'])
        assert (K is None) == (record['sensor_modality'] == 'lidar')
        if K is None:
            assert LidarPointCloud.from_file(path).nbr_points() > 5000
    for channel, count in (('CAM_FRONT', 2), ('LIDAR_TOP', 4)):
        for name in ('day-clear', 'day-rain'):
            token, walked = samples_of(devkit, name)[0]['data'][channel], 0
            while token:
                token, walked = devkit.get('sample_data', token)['next'], walked + 1
            assert walked == count


def test_devkit_projects_lidar_onto_our_exact_depth(devkit, root):
    ours = NuScenes(root)
    records = {r.token: r for scene in ours.scenes for r in ours.records(scene)}
    num_points, errors = 0, []
    for sample in samples_of(devkit, 'day-clear'):
        for channel in CHANNELS:
            lidar, camera = (records[sample['data'][name]] for name in ('LIDAR_TOP', channel))
            points, depth, _ = devkit.explorer.map_pointcloud_to_image(lidar.token, camera.token)
            np.testing.assert_allclose(points[:2].T, own_projection(lidar, camera), atol=0.01)
            error = depth_error(root, camera, *points[:2], depth)
            num_points += len(depth)
            errors.append(error)
    error = np.concatenate(errors)
    assert num_points > 10_000
    assert len(error) / num_points > 0.75
    # The LiDAR sits higher: behind a car it sees road that the camera does not.
    assert (error > 0.01).mean() < 0.03
    # The reverse is left to what is thinner than a pixel and falls between the camera's rays.
    assert (error < -0.01).mean() < 0.001
    assert np.median(np.abs(error)) < 0.001


def own_projection(lidar, camera):
    """Project as our tables' reader understands them, cut to the picture as the devkit does."""
    T_camera_lidar = (
        np.linalg.inv(camera.T_world_ego @ camera.T_ego_sensor)
        @ lidar.T_world_ego
        @ lidar.T_ego_sensor
    )
    points = read_lidar(lidar.path)[:, :3].astype(np.float64)
    x, y, z = T_camera_lidar[:3, :3] @ points.T + T_camera_lidar[:3, 3:]
    ahead = z > 1.0
    uv = (np.stack([x, y, z], -1)[ahead] / z[ahead, None]) @ camera.K[:2].T
    height, width = camera.size
    return uv[((uv > 1) & (uv < (width - 1, height - 1))).all(1)]


def depth_error(root, camera, u, v, depth):
    """Compare LiDAR depth with exact depth where the camera sees one plane; (n,) [m].

    Inverse depth of a plane is linear in u and v, so the plane through the 3x3 pixels around a
    point gives exact depth between them. At edges there is nothing to compare: there the two
    sensors, at two places, see two things.
    """
    coded = cv2.imread(
        str(root / 'exact_depth' / camera.channel / f'{camera.path.stem}.png'),
        cv2.IMREAD_UNCHANGED,
    )
    inverse = 1 / decode_exact_depth(coded).astype(np.float64)  # 0: the sky
    column, row = np.rint(u).astype(int), np.rint(v).astype(int)
    height, width = inverse.shape
    whole = (row > 0) & (row < height - 1) & (column > 0) & (column < width - 1)
    u, v, depth, column, row = (values[whole] for values in (u, v, depth, column, row))
    offsets = np.array([(1, j, i) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    around = np.stack([inverse[row + i, column + j] for _, j, i in offsets], 1)  # (N, 9)
    plane = around @ np.linalg.pinv(offsets).T  # (N, 3)
    solid = around.min(1) > 0
    residual = np.abs(around - plane @ offsets.T)[solid].max(1) / around[solid, 4] ** 2
    flat = solid.nonzero()[0][residual < PLANE_M]
    here = np.stack([np.ones(len(flat)), (u - column)[flat], (v - row)[flat]], 1)
    return depth[flat] - 1 / (plane[flat] * here).sum(1)


def test_annotations_are_the_devkits_boxes(devkit):
    first, second = samples_of(devkit, 'day-clear')
    assert len(first['anns']) > 5
    num_points = 0
    path = devkit.get_sample_data_path(first['data']['LIDAR_TOP'])
    points = LidarPointCloud.from_file(path).points[:3]
    _, boxes, _ = devkit.get_sample_data(first['data']['LIDAR_TOP'])
    for box in boxes:
        annotation = devkit.get('sample_annotation', box.token)
        inside = int(points_in_box(box, points).sum())
        assert abs(inside - annotation['num_lidar_pts']) <= 1  # one on a face, in float32
        num_points += inside
    assert num_points > 20
    assert second['prev'] == first['token']


def test_velocities_fit_the_attributes(devkit):
    speeds = {'moving': [], 'standing': []}
    for annotation in devkit.sample_annotation:
        velocity = devkit.box_velocity(annotation['token'])
        (attribute,) = annotation['attribute_tokens']
        kind = devkit.get('attribute', attribute)['name'].rpartition('.')[2]
        if kind in speeds and np.isfinite(velocity).all():
            speeds[kind].append(float(np.linalg.norm(velocity)))
    assert len(speeds['moving']) > 5
    assert min(speeds['moving']) > 0.3
    assert max(speeds['moving']) < 20
    assert max(speeds['standing']) < 0.01


def test_twins_share_annotations(devkit):
    def boxes(name):
        return [
            [(a['translation'], a['rotation'], a['size'], a['category_name'])
             for a in (devkit.get('sample_annotation', token) for token in sample['anns'])]
            for sample in samples_of(devkit, name)
        ]  # fmt: skip

    assert boxes('day-clear') == boxes('day-rain')


def test_devkit_reads_the_bus(tmp_path):
    # It takes scenes by nuScenes' own names only.
    motion = drive_motion(DriveConfig(seed=300003, duration_s=2.0, start_s=3.0))
    sweep = LidarSweep(
        channel='LIDAR_TOP',
        ego_pose=motion[0],
        points=np.zeros((1, 5), np.float32),
        T_ego_lidar=np.eye(4),
    )
    scene = Scene(name='scene-0001', description='x', records=[sweep], motion=motion)
    write_nuscenes(tmp_path, [scene])
    bus = NuScenesCanBus(str(tmp_path))
    poses = bus.get_messages('scene-0001', 'pose')
    assert len(poses) == 101
    speeds = [m['vehicle_speed'] for m in bus.get_messages('scene-0001', 'vehicle_monitor')]
    assert len(speeds) == 5
    assert speeds[0] == pytest.approx(3.6 * motion[0].speed_mps)
    # What the bus says of the speed fits the poses.
    assert poses[50]['vel'][0] == pytest.approx(motion[50].speed_mps, abs=0.15)
    assert np.abs(poses[50]['vel'][1:]).max() < 0.3
