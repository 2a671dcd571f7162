from collections import Counter
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from rosbags.interfaces import QosDurability
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.nuscenes_to_bag import convert_scene, main, Selection
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar

REAL = Path(__file__).parents[4] / 'shared/realdata/nuscenes_one_sample'
EVERYTHING = Selection(lidar=True, exact_depth_stride=3)


def _read(path):
    with AnyReader([path]) as bag:
        return [(c.topic, t, bag.deserialize(raw, c.msgtype)) for c, t, raw in bag.messages()]


def _convert(root, out, selection=EVERYTHING, scene=0):
    data = NuScenes(root)
    convert_scene(data, data.scenes[scene], out, selection)
    return _read(out)


@pytest.fixture
def broken_root(tmp_path, nuscenes_root):
    return shutil.copytree(nuscenes_root, tmp_path / 'set')


def _first_picture(root):
    data = NuScenes(root)
    return data.records(data.scenes[0], ['CAM_FRONT'])[0].path


def test_bag_holds_every_record_once_at_its_stamp(tmp_path, nuscenes_root):
    read = _convert(nuscenes_root, tmp_path / 'a.mcap')
    per_camera = {
        'image_rect_color/compressed': 12,
        'camera_info': 12,
        'exact_depth/image/compressed': 12,
        'exact_depth/camera_info': 12,
    }
    # 12 and 20 Hz meet four times a second; one pose is enough there.
    assert Counter(topic for topic, _, _ in read) == {
        **{f'/cam_front/{name}': n for name, n in per_camera.items()},
        **{f'/cam_back/{name}': n for name, n in per_camera.items()},
        '/lidar_top': 20,
        '/tf': 12 + 20 - 4,
        '/tf_static': 1,
    }
    assert [time for _, time, _ in read] == sorted(time for _, time, _ in read)
    for topic, time, message in read:
        stamped = message.transforms[0] if topic.startswith('/tf') else message
        assert messages.stamp_ns(stamped) == time
    times = {t for topic, t, _ in read if topic == '/cam_front/image_rect_color/compressed'}
    data = NuScenes(nuscenes_root)
    assert times == {1000 * r.timestamp_us for r in data.records(data.scenes[0], ['CAM_FRONT'])}


def test_pictures_are_the_data_sets_own_bytes_with_their_calibration(tmp_path, nuscenes_root):
    read = _convert(nuscenes_root, tmp_path / 'a.mcap')
    data = NuScenes(nuscenes_root)
    by_stamp = {r.timestamp_us * 1000: r for r in data.records(data.scenes[0], ['CAM_FRONT'])}
    for topic, time, message in read:
        if topic == '/cam_front/image_rect_color/compressed':
            assert message.data.tobytes() == by_stamp[time].path.read_bytes()
            assert message.format == 'jpeg'
            assert message.header.frame_id == 'cam_front'
        if topic == '/cam_front/camera_info':
            assert message.header.frame_id == 'cam_front'
            np.testing.assert_array_equal(messages.intrinsics(message, (48, 80)), by_stamp[time].K)


def test_exact_depth_is_strided_together_with_its_intrinsics(tmp_path, nuscenes_root):
    read = _convert(nuscenes_root, tmp_path / 'a.mcap')
    picture = _first_picture(nuscenes_root)
    coded = cv2.imread(
        str(nuscenes_root / 'exact_depth/CAM_FRONT' / f'{picture.stem}.png'), cv2.IMREAD_UNCHANGED
    )
    image = next(m for t, _, m in read if t == '/cam_front/exact_depth/image/compressed')
    info = next(m for t, _, m in read if t == '/cam_front/exact_depth/camera_info')
    strided = cv2.imdecode(image.data, cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(strided, coded[::3, ::3])
    assert image.format == 'exact_depth; png, 1/256 m'
    assert messages.is_depth(image)
    # A ray through row 3 v, column 3 u of the picture goes through row v, column u.
    K = messages.intrinsics(info, (16, 27))
    whole = NuScenes(nuscenes_root)
    K_whole = whole.records(whole.scenes[0], ['CAM_FRONT'])[0].K
    ray = np.linalg.inv(K) @ (7, 5, 1)
    np.testing.assert_allclose(ray, np.linalg.inv(K_whole) @ (21, 15, 1))


def test_transforms_lead_from_the_map_to_the_sensors(tmp_path, nuscenes_root):
    read = _convert(nuscenes_root, tmp_path / 'a.mcap')
    static = next(m for t, _, m in read if t == '/tf_static')
    assert {(t.header.frame_id, t.child_frame_id) for t in static.transforms} == {
        ('base_link', 'cam_front'),
        ('base_link', 'cam_back'),
        ('base_link', 'lidar_top'),
    }
    last_time, last = [(time, m) for t, time, m in read if t == '/tf'][-1]
    (pose,) = last.transforms
    assert (pose.header.frame_id, pose.child_frame_id) == ('map', 'base_link')
    assert last_time == 1_700_000_000_950_000_000
    # 10 m/s for 0.95 s towards the north-east.
    assert pose.transform.translation.x == pytest.approx(9.5 * 0.5**0.5)


def test_static_transforms_are_latched(tmp_path, nuscenes_root):
    _convert(nuscenes_root, tmp_path / 'a.mcap')
    with AnyReader([tmp_path / 'a.mcap']) as bag:
        latched = {
            c.topic
            for c in bag.connections
            if c.ext.offered_qos_profiles[0].durability == QosDurability.TRANSIENT_LOCAL
        }
    assert latched == {'/tf_static'}


def test_sweep_comes_whole(tmp_path, nuscenes_root):
    read = _convert(nuscenes_root, tmp_path / 'a.mcap')
    cloud = next(m for t, _, m in read if t == '/lidar_top')
    data = NuScenes(nuscenes_root)
    path = data.records(data.scenes[0], ['LIDAR_TOP'])[0].path
    np.testing.assert_array_equal(cloud.data.view('<f4').reshape(-1, 5), read_lidar(path))


def test_start_and_duration_cut_a_half_open_interval(tmp_path, nuscenes_root):
    cut = Selection(cameras=('CAM_FRONT',), start_s=0.25, duration_s=0.5)
    read = _convert(nuscenes_root, tmp_path / 'a.mcap', cut)
    pictures = [t for topic, t, _ in read if topic.endswith('/compressed')]
    offsets = [(t - 1_700_000_000_000_000_000) / 1e9 for t in pictures]
    np.testing.assert_allclose(offsets, np.arange(3, 9) / 12, atol=1e-6)
    assert {topic.split('/')[1] for topic, _, _ in read} == {'cam_front', 'tf', 'tf_static'}


def test_command_writes_a_bag_a_scene(tmp_path, nuscenes_root, capsys):
    out = tmp_path / 'bags'
    assert main([str(nuscenes_root), '--out', str(out), '--cameras', 'CAM_FRONT']) == 0
    assert sorted(path.name for path in out.iterdir()) == ['scene-0001.mcap', 'scene-0002.mcap']
    assert 'scene-0002: 12 pictures and sweeps' in capsys.readouterr().out
    one = tmp_path / 'one.mcap'
    main([str(nuscenes_root), '--out', str(one), '--scene', 'scene-0002', '--bag-version', '8'])
    assert _read(one)[0][1] == 1_700_000_009_000_000_000


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--cameras', 'CAM_TOP'], 'no CAM_TOP; it has CAM_BACK, CAM_FRONT, LIDAR_TOP'),
        (['--scene', 'scene-7'], "no scene 'scene-7'"),
        (['--start', '60'], 'no record in the time asked for; it lasts 0.95 s'),
        (['--start', '-1'], 'start must be >= 0'),
        (['--duration', '0'], 'duration must be > 0'),
        (['--exact-depth-stride', '0'], 'stride must be >= 1'),
        (['--dataset-version', 'v1.0-mini'], 'v1.0-mini/scene.json; download'),
    ],
)
def test_wrong_choice_ends_with_one_line(tmp_path, nuscenes_root, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main([str(nuscenes_root), '--out', str(tmp_path / 'a.mcap'), *arguments])
    assert message in stopped.value.code
    assert stopped.value.code.startswith('depth_convert_nuscenes: ')
    assert not list(tmp_path.iterdir())


def test_missing_picture_is_named_and_leaves_no_bag(tmp_path, broken_root):
    picture = _first_picture(broken_root)
    picture.unlink()
    with pytest.raises(FileNotFoundError, match=f'CAM_FRONT not found at .*{picture.name}'):
        _convert(broken_root, tmp_path / 'a.mcap')
    assert [path.name for path in tmp_path.iterdir()] == ['set']


def test_truncated_picture_is_named(tmp_path, broken_root):
    picture = _first_picture(broken_root)
    picture.write_bytes(picture.read_bytes()[:-40])
    with pytest.raises(ValueError, match=f'{picture.name}: JPEG .* cut short'):
        _convert(broken_root, tmp_path / 'a.mcap')


def test_picture_of_another_size_than_its_intrinsics_is_named(tmp_path, broken_root):
    picture = _first_picture(broken_root)
    picture.write_bytes(cv2.imencode('.jpg', np.zeros((24, 40, 3), np.uint8))[1])
    with pytest.raises(ValueError, match='about 40x24 pixels, but sample_data says 80x48'):
        _convert(broken_root, tmp_path / 'a.mcap')


@pytest.mark.parametrize(
    ('damage', 'error', 'message'),
    [
        (Path.unlink, FileNotFoundError, 'only rendered data sets have it'),
        (lambda path: path.write_bytes(b'\x89PNG'), ValueError, 'got unreadable'),
        (
            lambda path: path.write_bytes(cv2.imencode('.png', np.zeros((48, 80), 'u1'))[1]),
            ValueError,
            'must be uint16',
        ),
    ],
)
def test_broken_exact_depth_is_named(tmp_path, broken_root, damage, error, message):
    stem = _first_picture(broken_root).stem
    damage(broken_root / 'exact_depth/CAM_FRONT' / f'{stem}.png')
    with pytest.raises(error, match=message):
        _convert(broken_root, tmp_path / 'a.mcap')


@pytest.mark.skipif(not REAL.is_dir(), reason='the real nuScenes sample is not on this machine')
def test_real_nuscenes_becomes_a_bag(tmp_path):
    read = _convert(REAL, tmp_path / 'a.mcap', Selection(lidar=True))
    assert Counter(topic.split('/')[-1] for topic, _, _ in read) == {
        'compressed': 6,
        'camera_info': 6,
        'lidar_top': 1,
        'tf': 7,
        'tf_static': 1,
    }
    (front,) = (m for t, _, m in read if t == '/cam_front/image_rect_color/compressed')
    assert messages.stamp_ns(front) == 1532402927612460000
    assert messages.rgb_image(front).shape == (900, 1600, 3)
    (cloud,) = (m for t, _, m in read if t == '/lidar_top')
    assert cloud.width == 34688
