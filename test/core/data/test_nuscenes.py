import json
from pathlib import Path
import shutil

import numpy as np
import pytest
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar

REAL = Path(__file__).parents[4] / 'shared/realdata/nuscenes_one_sample'


@pytest.fixture
def root(tmp_path, nuscenes_root):
    """A copy to break."""
    shutil.copytree(nuscenes_root / 'v1.0-synth', tmp_path / 'v1.0-synth')
    return tmp_path


def _edit(root, table, change):
    path = root / 'v1.0-synth' / f'{table}.json'
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def test_every_record_joins_and_scenes_stay_apart(nuscenes_root):
    data = NuScenes(nuscenes_root)
    assert [scene.name for scene in data.scenes] == ['scene-0001', 'scene-0002']
    assert data.scene('scene-0002').description == 'Night'
    first, second = (data.records(scene) for scene in data.scenes)
    assert len(first) == len(second) == 44
    assert first[-1].timestamp_us < second[0].timestamp_us
    assert all(record.path.is_file() for record in first + second)


def test_records_are_sorted_and_channels_selected(nuscenes_root):
    data = NuScenes(nuscenes_root)
    records = data.records(data.scenes[0], ['CAM_BACK', 'LIDAR_TOP'])
    assert {record.channel for record in records} == {'CAM_BACK', 'LIDAR_TOP'}
    order = [(record.timestamp_us, record.channel) for record in records]
    assert order == sorted(order)


def test_sample_data_is_sorted_once_for_all_scenes(nuscenes_root, monkeypatch):
    read = []
    get = NuScenes._get

    def watch(self, table, row, field):
        read.append((table, field))
        return get(self, table, row, field)

    monkeypatch.setattr(NuScenes, '_get', watch)
    data = NuScenes(nuscenes_root)
    assert all(len(data.records(scene)) == 44 for scene in data.scenes * 2)
    assert read.count(('sample_data', 'sample_token')) == 88


def test_tables_of_annotations_are_not_needed(root):
    for table in ('instance', 'sample_annotation', 'map', 'log', 'category', 'visibility'):
        (root / 'v1.0-synth' / f'{table}.json').unlink()
    data = NuScenes(root)
    assert len(data.records(data.scenes[0])) == 44


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='nuScenes data set not found at .*nowhere'):
        NuScenes(tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match=r'no v1\.0-\* folder'):
        NuScenes(tmp_path)


def test_two_versions_need_a_choice(root):
    shutil.copytree(root / 'v1.0-synth', root / 'v1.0-other')
    with pytest.raises(ValueError, match='v1.0-other, v1.0-synth; say which'):
        NuScenes(root)
    assert len(NuScenes(root, 'v1.0-other').scenes) == 2


def test_missing_table_is_named(root):
    (root / 'v1.0-synth/ego_pose.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'table ego_pose .*ego_pose\.json; download'):
        NuScenes(root)


@pytest.mark.parametrize('text', ['[{"token": "a"', '{"token": "a"}', '[1]', '\x00'])
def test_broken_table_is_named(root, text):
    (root / 'v1.0-synth/sample.json').write_text(text)
    with pytest.raises(ValueError, match=r'sample\.json (is not JSON|must be a list)'):
        NuScenes(root)


@pytest.mark.parametrize('table', ['ego_pose', 'calibrated_sensor', 'sensor', 'sample'])
def test_tables_that_do_not_join_are_named(root, table):
    _edit(root, table, lambda rows: rows.pop(0))
    data = NuScenes(root)
    with pytest.raises(ValueError, match=rf'{table}_token .* is not in {table}\.json; the tables'):
        data.records(data.scenes[0])


def test_missing_field_is_named(root):
    _edit(root, 'sample_data', lambda rows: rows[3].pop('timestamp'))
    data = NuScenes(root)
    with pytest.raises(ValueError, match=r'sample_data\.json: row .* has no timestamp'):
        data.records(data.scenes[0])


@pytest.mark.parametrize(
    ('intrinsic', 'message'),
    [
        ([], r'must be \(3, 3\)'),
        ([[0, 0, 40], [0, 60, 24], [0, 0, 1]], 'focal lengths > 0'),
        ([[600, 0, 800], [0, 600, 450], [0, 0, 1]], 'principal point .* outside the picture'),
    ],
)
def test_contradictory_intrinsics_are_named(root, intrinsic, message):
    def change(rows):
        next(row for row in rows if row['camera_intrinsic'])['camera_intrinsic'] = intrinsic

    _edit(root, 'calibrated_sensor', change)
    data = NuScenes(root)
    with pytest.raises(ValueError, match=message):
        data.records(data.scenes[0])


def test_broken_rotation_is_named(root):
    _edit(root, 'ego_pose', lambda rows: rows[0].update(rotation=[1, 1, 0, 0]))
    data = NuScenes(root)
    with pytest.raises(ValueError, match=r'ego_pose\.json: row .* unit quaternion'):
        data.records(data.scenes[0])


def test_unknown_scene_is_named_with_the_known_ones(nuscenes_root):
    with pytest.raises(ValueError, match="no scene 'scene-9' .* scene-0001, scene-0002"):
        NuScenes(nuscenes_root).scene('scene-9')


def test_truncated_sweep_is_named(tmp_path):
    path = tmp_path / 'sweep.pcd.bin'
    path.write_bytes(np.zeros(9, '<f4').tobytes())
    with pytest.raises(ValueError, match='36 bytes, no multiple of 20'):
        read_lidar(path)


@pytest.mark.skipif(not REAL.is_dir(), reason='the real nuScenes sample is not on this machine')
def test_real_sample_reads_as_published():
    data = NuScenes(REAL)
    records = data.records(data.scene('scene-0061'))
    assert len(records) == 7
    (front,) = (record for record in records if record.channel == 'CAM_FRONT')
    assert front.timestamp_us == 1532402927612460
    assert front.size == (900, 1600)
    assert front.K[0, 0] == pytest.approx(1266.417203046554)
    np.testing.assert_allclose(front.T_ego_sensor[:3, 3], (1.7008, 0.0159, 1.5110), atol=1e-4)
    # The camera looks along the car's x axis, its x axis to the right.
    np.testing.assert_allclose(front.T_ego_sensor[:3, 2], (1, 0, 0), atol=0.02)
    np.testing.assert_allclose(front.T_ego_sensor[:3, 0], (0, -1, 0), atol=0.02)
    (sweep,) = (record for record in records if record.modality == 'lidar')
    points = read_lidar(sweep.path)
    assert points.shape == (34688, 5)
    assert set(np.unique(points[:, 4])) == set(range(32))
