from dataclasses import replace
import json

import pytest
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.index import (
    IndexHeader,
    IndexLine,
    Neighbour,
    read_header,
    read_lines,
    write_index,
)

EYE = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
K = ((20.0, 0.0, 12.0), (0.0, 20.0, 8.0), (0.0, 0.0, 1.0))
LINE = IndexLine(
    id='n015-2018+0800__CAM_FRONT__1.5',
    scene='scene-0061',
    channel='CAM_FRONT',
    condition='night-rain',
    timestamp_us=1_600_000_000_000_000,
    image='samples/CAM_FRONT/a.jpg',
    size=(16, 24),
    K=K,
    speed_mps=8.125,
    previous=Neighbour(image='b.jpg', timestamp_us=-1, T_source_target=EYE),
    lidar='samples/LIDAR_TOP/a.pcd.bin',
    T_camera_lidar=EYE,
)
HEADER = IndexHeader(
    format='nuscenes',
    root='/data/nuscenes',
    options={'channels': ['CAM_FRONT'], 'version': None},
    kept={'train': {'night-rain': 1}, 'validation': {}, 'test': {'night-rain': 1}},
    dropped={'train: without both neighbours': 3},
)
BARE = replace(LINE, id='bare', previous=None, lidar=None, T_camera_lidar=None, speed_mps=None)


@pytest.fixture
def folder(tmp_path):
    write_index(tmp_path, HEADER, {'train': [LINE], 'test': [BARE]})
    return tmp_path


def rewrite(folder, **fields):
    (folder / 'train.jsonl').write_text(json.dumps(to_dict(LINE) | fields) + '\n')


def test_index_survives_the_round_trip(folder):
    assert read_header(folder) == HEADER
    assert read_lines(folder, 'train') == [LINE]
    assert read_lines(folder, 'test') == [BARE]
    assert read_lines(folder, 'validation') == []


def test_a_relative_root_goes_by_the_index(tmp_path):
    write_index(tmp_path / 'index', replace(HEADER, root='../set'), {})
    assert read_header(tmp_path / 'index').root == str(tmp_path / 'index' / '../set')


def test_the_header_of_an_older_index_goes_first(folder):
    def broken():
        yield LINE
        raise RuntimeError('interrupted')

    with pytest.raises(RuntimeError, match='interrupted'):
        write_index(folder, HEADER, {'train': broken()})
    with pytest.raises(FileNotFoundError, match=r'index not found at .*index\.json; make the'):
        read_header(folder)


def test_missing_files_are_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match='index.json; make the index with `python -m'):
        read_header(tmp_path)
    with pytest.raises(FileNotFoundError, match='index not found at .*test.jsonl; make the index'):
        read_lines(tmp_path, 'test')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'schema_version': 2}, 'schema_version must be one of 1, got 2'),
        ({'depth': 'a.png'}, r'unknown field\(s\) depth for IndexLine'),
        ({'condition': 'dusk'}, 'condition must be one of day-clear, night'),
        ({'id': 'a/b'}, r"id must be letters, digits and \._\+-, got 'a/b'"),
        ({'id': 'é'}, 'id must be letters'),
        ({'size': [0, 24]}, r'size must be at least 1x1 pixels, got \(0, 24\)'),
        ({'K': EYE}, r'K must be \(3, 3\)'),
        ({'K': [[0, 0, 1], [0, 1, 1], [0, 0, 1]]}, 'K must have focal lengths > 0'),
        ({'T_camera_lidar': K}, r'T_camera_lidar must be \(4, 4\)'),
        ({'T_camera_lidar': None}, 'has a LiDAR sweep and no T_camera_lidar'),
        (
            {'next': {'image': 'c.jpg', 'timestamp_us': 3, 'T_source_target': [[1.0]]}},
            r'next: T_source_target must be \(4, 4\)',
        ),
    ],
)
def test_a_line_that_breaks_the_form_is_named(folder, fields, message):
    rewrite(folder, **fields)
    with pytest.raises(ValueError, match=rf'train\.jsonl:1: .*{message}'):
        read_lines(folder, 'train')


def test_a_field_left_out_is_named(folder):
    values = to_dict(LINE)
    del values['image']
    (folder / 'train.jsonl').write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r'train\.jsonl:1: missing field\(s\) image'):
        read_lines(folder, 'train')


def test_a_truncated_line_is_named(folder):
    path = folder / 'train.jsonl'
    path.write_text(path.read_text() + path.read_text()[:-30])
    with pytest.raises(ValueError, match=r'train\.jsonl:2 is not JSON .*make the index'):
        read_lines(folder, 'train')


def test_an_id_that_comes_twice_is_named(folder):
    path = folder / 'train.jsonl'
    path.write_text(2 * path.read_text())
    with pytest.raises(
        ValueError, match=rf"train\.jsonl:2: id '{LINE.id}' comes twice".replace('+', r'\+')
    ):
        read_lines(folder, 'train')


def test_an_id_in_two_splits_is_not_written(tmp_path):
    with pytest.raises(ValueError, match='frame bare comes twice; ids must be unique'):
        write_index(tmp_path, HEADER, {'train': [BARE], 'test': [BARE]})


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"schema_version": 1,', 'index.json is no JSON'),
        ('{}', r'missing field\(s\) dropped, format, kept, options, root'),
        (json.dumps(to_dict(HEADER) | {'schema_version': 2}), 'schema_version must be one of 1'),
        (
            json.dumps(to_dict(HEADER) | {'format': 'kitti'}),
            'format must be one of nuscenes, robo',
        ),
        (json.dumps(to_dict(HEADER) | {'sha': 1}), r'unknown field\(s\) sha'),
    ],
)
def test_a_header_that_breaks_the_form_is_named(folder, text, message):
    (folder / 'index.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_header(folder)
