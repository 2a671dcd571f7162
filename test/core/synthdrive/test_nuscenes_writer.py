import dataclasses
import json

import cv2
import numpy as np
import pytest
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar
from ssd_depth_core.exact_depth import decode_exact_depth
from ssd_depth_core.synthdrive.nuscenes_writer import (
    is_complete,
    is_written,
    Scene,
    write_nuscenes,
    write_scene,
    write_tables,
)
from ssd_depth_core.synthdrive.sensors import ActorBox, LidarSweep

# What the official reader loads, by its own list.
OFFICIAL_TABLES = {
    'attribute', 'calibrated_sensor', 'category', 'ego_pose', 'instance', 'log', 'map', 'sample',
    'sample_annotation', 'sample_data', 'scene', 'sensor', 'visibility',
}  # fmt: skip


def _write(root, records):
    write_nuscenes(root, [Scene(name='scene-0001', description='x', records=records)])
    return NuScenes(root)


def _table(root, name):
    return json.loads((root / 'v1.0-synth' / f'{name}.json').read_text())


def test_records_come_back_through_the_reader(tmp_path, drive):
    written = drive()
    data = _write(tmp_path, written)
    read = data.records(data.scene('scene-0001'))
    assert len(read) == len(written) == 2 * 12 + 20
    for record in written:
        (found,) = (
            r
            for r in read
            if (r.channel, r.timestamp_us) == (record.channel, record.ego_pose.timestamp_us)
        )
        np.testing.assert_allclose(found.T_world_ego, record.ego_pose.T_world_ego, atol=1e-12)
        if found.modality == 'lidar':
            np.testing.assert_array_equal(read_lidar(found.path), record.points)
            np.testing.assert_allclose(found.T_ego_sensor, record.T_ego_lidar, atol=1e-12)
            continue
        np.testing.assert_allclose(found.T_ego_sensor, record.T_ego_camera, atol=1e-12)
        np.testing.assert_array_equal(found.K, record.K)
        assert found.size == (48, 80)
        image = cv2.imread(str(found.path))[..., ::-1].astype(int)
        assert np.abs(image - record.image).mean() < 3  # lossy, and red is not blue
        coded = cv2.imread(
            str(tmp_path / 'exact_depth' / found.channel / f'{found.path.stem}.png'),
            cv2.IMREAD_UNCHANGED,
        )
        depth = decode_exact_depth(coded)
        assert np.isposinf(depth[0]).all()
        np.testing.assert_allclose(depth[1:], record.depth[1:], atol=0.5 / 256)


def test_key_frames_come_at_2_hz_in_samples(tmp_path, drive):
    data = _write(tmp_path, drive())
    records = data.records(data.scenes[0])
    key_frames = [r for r in records if r.is_key_frame]
    start = records[0].timestamp_us
    for channel in ('CAM_FRONT', 'CAM_BACK', 'LIDAR_TOP'):
        times = [r.timestamp_us - start for r in key_frames if r.channel == channel]
        assert times == [0, 500_000]
    assert all(('samples' in r.path.parts) == r.is_key_frame for r in records)
    assert len({r.sample_token for r in key_frames}) == 2
    assert all(r.path.is_file() for r in records)


def test_every_table_is_there_and_chains_run_both_ways(nuscenes_root):
    folder = nuscenes_root / 'v1.0-synth'
    assert {path.stem for path in folder.iterdir()} == OFFICIAL_TABLES
    samples = {row['token']: row for row in _table(nuscenes_root, 'sample')}
    frames = {row['token']: row for row in _table(nuscenes_root, 'sample_data')}
    for rows in (samples, frames):
        for row in rows.values():
            assert row['next'] == '' or rows[row['next']]['prev'] == row['token']
            assert row['prev'] == '' or rows[row['prev']]['timestamp'] < row['timestamp']
    starts = [row for row in frames.values() if row['prev'] == '']
    assert len(starts) == 2 * 3  # scenes, channels
    for scene in _table(nuscenes_root, 'scene'):
        walked = [scene['first_sample_token']]
        while following := samples[walked[-1]]['next']:
            walked.append(following)
        assert walked[-1] == scene['last_sample_token']
        assert len(walked) == scene['nbr_samples'] == 2
        assert all(samples[token]['scene_token'] == scene['token'] for token in walked)
    (map_row,) = _table(nuscenes_root, 'map')
    assert (nuscenes_root / map_row['filename']).is_file()
    assert map_row['log_tokens'] == [row['token'] for row in _table(nuscenes_root, 'log')]


def test_same_drive_gives_the_same_files(tmp_path, drive):
    for name in 'ab':
        _write(tmp_path / name, drive(seconds=0.5))
    files = [p.relative_to(tmp_path / 'a') for p in (tmp_path / 'a').rglob('*') if p.is_file()]
    assert len(files) == 13 + 1 + 2 * 2 * 6 + 10  # tables, map, pictures with depth, sweeps
    for file in files:
        assert (tmp_path / 'a' / file).read_bytes() == (tmp_path / 'b' / file).read_bytes()


def test_drive_ending_between_two_sensors_leaves_no_half_sample(tmp_path, drive):
    records = drive(channels=('CAM_FRONT',))
    first = next(r for r in records if r.channel == 'CAM_FRONT')
    pose = dataclasses.replace(
        first.ego_pose, timestamp_us=first.ego_pose.timestamp_us + 1_000_000
    )
    data = _write(tmp_path, [*records, dataclasses.replace(first, ego_pose=pose)])
    last = data.records(data.scenes[0])[-1]
    assert (last.channel, last.timestamp_us) == ('CAM_FRONT', pose.timestamp_us)
    assert not last.is_key_frame
    assert last.path.is_file()
    assert last.path.parent == tmp_path / 'sweeps' / 'CAM_FRONT'
    samples = _table(tmp_path, 'sample')
    assert len(samples) == 2
    assert last.sample_token == samples[-1]['token']


def test_sensor_missing_in_the_midst_is_named(tmp_path, drive):
    records = drive(seconds=1.5)
    start = records[0].ego_pose.timestamp_us
    broken = [
        r
        for r in records
        if r.channel != 'CAM_BACK' or not 4e5 < r.ego_pose.timestamp_us - start < 9.7e5
    ]
    with pytest.raises(ValueError, match='sample 1 lacks CAM_BACK'):
        _write(tmp_path, broken)


def test_failed_drive_leaves_no_tables_and_can_be_repeated(tmp_path, drive):
    def broken():
        yield from drive(seconds=0.5)
        raise RuntimeError('out of memory')

    with pytest.raises(RuntimeError, match='out of memory'):
        _write(tmp_path, broken())
    assert not list(tmp_path.glob('v1.0*'))
    assert len(_write(tmp_path, drive(seconds=0.5)).scenes) == 1


def test_existing_data_set_is_kept(tmp_path, drive):
    _write(tmp_path, drive(seconds=0.5))
    with pytest.raises(FileExistsError, match='v1.0-synth exists already'):
        _write(tmp_path, drive(seconds=0.5))


def test_records_out_of_order_are_refused(tmp_path, drive):
    with pytest.raises(ValueError, match='time order'):
        _write(tmp_path, drive(seconds=0.5)[::-1])


def test_changing_calibration_is_refused(tmp_path, drive):
    first, *others = (r for r in drive(seconds=0.5) if r.channel == 'CAM_FRONT')
    moved = dataclasses.replace(first, T_ego_camera=first.T_ego_camera + np.eye(4, k=3))
    with pytest.raises(ValueError, match='calibration of CAM_FRONT changes'):
        _write(tmp_path, [moved, *others])


def test_depth_of_another_size_is_refused(tmp_path, drive):
    frame = drive(seconds=0.5)[0]
    with pytest.raises(ValueError, match='depth must be of the picture size'):
        _write(tmp_path, [dataclasses.replace(frame, depth=frame.depth[1:])])


def test_scene_names_must_be_unique_file_names(tmp_path, drive):
    def scene(name):
        return Scene(name=name, description='x', records=drive(seconds=0.5))

    with pytest.raises(ValueError, match='used twice'):
        write_nuscenes(tmp_path, [scene('a'), scene('a')])
    with pytest.raises(ValueError, match='letters, digits'):
        write_nuscenes(tmp_path, [scene('a/b')])


@pytest.mark.parametrize('num_scenes', [0, 1])
def test_nothing_to_write_is_an_error(tmp_path, num_scenes):
    empty = [Scene(name='a', description='x', records=[])] * num_scenes
    with pytest.raises(ValueError, match='there is no'):
        write_nuscenes(tmp_path, empty)


def _files(root):
    return {p.relative_to(root): p.read_bytes() for p in root.rglob('*') if p.is_file()}


def test_scenes_may_be_written_one_by_one_in_any_order(tmp_path, drive):
    def scene(name):
        return Scene(name=name, description='x', records=drive(seconds=0.5))

    write_nuscenes(tmp_path / 'a', [scene('one'), scene('two')])
    root = tmp_path / 'b'
    for name in ('two', 'one'):
        assert not is_written(root, name)
        write_scene(root, scene(name))
        assert is_written(root, name)
    assert not is_complete(root)
    write_tables(root, ['one', 'two'])
    assert is_complete(root)
    assert _files(tmp_path / 'a') == _files(root)
    assert not (root / '.scenes').exists()


def test_interrupted_scene_is_written_again_to_the_same_bytes(tmp_path, drive):
    def broken():
        yield from drive(seconds=0.75)[:-3]
        raise RuntimeError('killed')

    with pytest.raises(RuntimeError, match='killed'):
        write_scene(tmp_path / 'a', Scene(name='one', description='x', records=broken()))
    assert not is_written(tmp_path / 'a', 'one')
    torn = next((tmp_path / 'a').rglob('*.jpg'))
    torn.write_bytes(b'half a picture')
    for name in 'ab':
        write_nuscenes(
            tmp_path / name, [Scene(name='one', description='x', records=drive(seconds=0.75))]
        )
    assert _files(tmp_path / 'a') == _files(tmp_path / 'b')


def test_key_frames_carry_the_annotations(tmp_path, drive):
    box = ActorBox(
        instance=1, category='vehicle.car', attribute='vehicle.moving', T_world_box=np.eye(4),
        size=(100.0, 100.0, 100.0), velocity=(0.0, 0.0, 0.0),
    )  # fmt: skip
    records = [
        dataclasses.replace(r, boxes=(box,)) if isinstance(r, LidarSweep) else r for r in drive()
    ]
    _write(tmp_path, records)
    samples = [row['token'] for row in _table(tmp_path, 'sample')]
    rows = _table(tmp_path, 'sample_annotation')
    assert [row['sample_token'] for row in rows] == samples
    assert [row['num_lidar_pts'] for row in rows] == [2, 2]  # both points of each sweep
    assert rows[0]['next'] == rows[1]['token']
    (instance,) = _table(tmp_path, 'instance')
    assert instance['nbr_annotations'] == 2


def test_motion_becomes_can_bus_messages(tmp_path, drive):
    poses = [r.ego_pose for r in drive() if isinstance(r, LidarSweep)]
    scene = Scene(name='scene-0001', description='x', records=drive(), motion=poses)
    write_nuscenes(tmp_path, [scene])
    messages = json.loads((tmp_path / 'can_bus' / 'scene-0001_vehicle_monitor.json').read_text())
    assert [m['vehicle_speed'] for m in messages] == pytest.approx([36.0, 36.0])


def test_twins_begin_microseconds_apart_for_the_devkit(tmp_path, drive):
    names = ('day', 'night', 'rain')
    write_nuscenes(
        tmp_path, [Scene(name=name, description='x', records=drive()) for name in names]
    )
    samples = {row['token']: row for row in _table(tmp_path, 'sample')}
    scenes = _table(tmp_path, 'scene')
    starts = [samples[scene['first_sample_token']]['timestamp'] for scene in scenes]
    assert np.diff(starts).tolist() == [1, 1]
    ends = [samples[scene['last_sample_token']]['timestamp'] for scene in scenes]
    assert [b - a for a, b in zip(starts, ends, strict=True)] == [500_000] * 3
    data = NuScenes(tmp_path)  # what the sensors recorded keeps its stamps
    stamps = [[r.timestamp_us for r in data.records(scene)] for scene in data.scenes]
    assert stamps[0] == stamps[1] == stamps[2]
