from dataclasses import replace
import json
import re
import time

import cv2
import numpy as np
import pytest
from ssd_depth_core.data.index import IndexHeader, read_header, read_lines, SPLITS, write_index
from ssd_depth_core.data.nuscenes_index import index_nuscenes, NuScenesIndexConfig
from ssd_depth_core.data.nuscenes_splits import official_scenes
from ssd_depth_core.exact_depth import encode_exact_depth

CONFIG = NuScenesIndexConfig()
SURROUND = (
    *('CAM_FRONT', 'CAM_FRONT_LEFT', 'CAM_FRONT_RIGHT'),
    *('CAM_BACK', 'CAM_BACK_LEFT', 'CAM_BACK_RIGHT'),
)
# Of mini: the last two test. A scene has three key frames; the first has no frame before it.
SCENES = {
    'scene-0061': ('Parked truck, turn left', 8.0),
    'scene-0553': ('Waiting at a light', 0.4),
    'scene-1094': ('Night, after RAIN', 8.0),
    'scene-0103': ('Many peds', 0.0),
    'scene-0916': ('Night, parking lot', 8.0),
}
KEPT, NO_NEIGHBOURS = 2, 1


@pytest.fixture
def root(tmp_path, make_nuscenes):
    """To break."""
    return make_nuscenes(tmp_path, SCENES)


@pytest.fixture(scope='module')
def whole(tmp_path_factory, make_nuscenes):
    """Only to be read."""
    return make_nuscenes(tmp_path_factory.mktemp('mini'), SCENES)


def edit(root, table, change):
    path = root / 'v1.0-mini' / f'{table}.json'
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def picture(root, scene, number, channel='CAM_FRONT'):
    """Find a scene's picture by its place in time."""
    return sorted(root.glob(f's*/{channel}/{scene}__*'), key=lambda path: path.name)[number]


def test_every_frame_is_kept_or_counted(whole):
    lines, dropped = index_nuscenes(whole, CONFIG)
    assert [(line.scene, line.condition) for line in lines['train']] == [
        ('scene-0061', 'day-clear')
    ] * KEPT
    assert dropped == {
        'train: condition night-rain': 3,
        'train: slower than 0.5 m/s': KEPT,
        'train: without both neighbours': 2 * NO_NEIGHBOURS,
    }
    # Standing or not, with neighbours or without: every key frame.
    assert [(line.scene, line.condition) for line in lines['test']] == [
        *[('scene-0103', 'day-clear')] * 3,
        *[('scene-0916', 'night')] * 3,
    ]
    assert lines['validation'] == []


def test_switches_open_what_they_say(whole):
    def counts(**fields):
        lines, _ = index_nuscenes(whole, replace(CONFIG, **fields))
        return [len(lines[split]) for split in SPLITS]

    assert counts() == [KEPT, 0, 6]
    assert counts(train_conditions=None) == [2 * KEPT, 0, 6]
    assert counts(min_speed_mps=0.3) == [2 * KEPT, 0, 6]
    assert counts(min_speed_mps=0.0, train_conditions=('night-rain',)) == [KEPT, 0, 6]
    # 15 frames a scene; the first and the last lack a neighbour. Test stays with key frames.
    assert counts(key_frames_only=False) == [13, 0, 6]
    # What validates is what would test: nothing is filtered.
    assert counts(validation_share=1.0) == [0, 9, 6]


def test_a_speed_is_the_mean_of_both_sides(root):
    def slow_down(rows):
        """From 8 m/s before the second key frame to standing after it."""
        poses = [row for row in rows if row['token'].startswith('scene-0061/CAM_FRONT/')]
        for row in poses[7:]:
            row['translation'] = poses[6]['translation']

    edit(root, 'ego_pose', slow_down)
    lines, dropped = index_nuscenes(root, CONFIG)
    (line,) = lines['train']
    assert line.speed_mps == pytest.approx(4.0, rel=1e-4)
    assert dropped['train: slower than 0.5 m/s'] == KEPT + 1
    first = index_nuscenes(root, CONFIG)[0]['test'][3]
    assert (first.previous, first.speed_mps) == (None, pytest.approx(8.0, rel=1e-4))


def test_neighbours_are_the_sweeps_around(whole):
    line = index_nuscenes(whole, CONFIG)[0]['train'][0]
    assert line.image == f'samples/CAM_FRONT/{line.id}.jpg'
    assert line.size == (16, 24)
    assert line.K == ((20, 0, 12), (0, 20, 8), (0, 0, 1))
    for neighbour, sign in ((line.previous, 1), (line.next, -1)):
        assert neighbour.image.startswith('sweeps/CAM_FRONT/scene-0061__CAM_FRONT__')
        assert neighbour.image.endswith(f'__{neighbour.timestamp_us}.jpg')
        assert (line.timestamp_us - neighbour.timestamp_us) * sign == pytest.approx(
            1e6 / 12, abs=1
        )
        # The camera looks where the car drives: seen from before, a point is farther away.
        expected = np.eye(4)
        expected[2, 3] = sign * 8.0 / 12
        np.testing.assert_allclose(neighbour.T_source_target, expected, atol=1e-5)


def test_neighbours_may_lie_farther_apart(whole):
    config = replace(CONFIG, key_frames_only=False, neighbour_step=3)
    lines = index_nuscenes(whole, config)[0]
    assert len(lines['train']) == 15 - 2 * 3
    for line in lines['train']:
        for neighbour, sign in ((line.previous, 1), (line.next, -1)):
            lead_us = (line.timestamp_us - neighbour.timestamp_us) * sign
            assert lead_us == pytest.approx(3e6 / 12, abs=2)
            assert neighbour.T_source_target[2][3] == pytest.approx(sign * 8.0 / 4, abs=1e-5)
        assert line.speed_mps == pytest.approx(8.0, rel=1e-4)
    assert lines['test'] == index_nuscenes(whole, CONFIG)[0]['test']  # not trained on


def test_sweep_comes_through_both_ego_poses(whole):
    line = index_nuscenes(whole, CONFIG)[0]['train'][0]
    assert (
        line.lidar
        == f'samples/LIDAR_TOP/scene-0061__LIDAR_TOP__{line.timestamp_us + 20_000}.pcd.bin'
    )
    # The LiDAR sits 0.8 m behind the camera, 0.3 m above it, and 20 ms at 8 m/s further on.
    expected = ((0, -1, 0, 0), (0, 0, -1, -0.3), (1, 0, 0, -0.8 + 0.16), (0, 0, 0, 1))
    np.testing.assert_allclose(line.T_camera_lidar, expected, atol=1e-8)


def test_all_six_cameras_have_their_own_lines(tmp_path, make_nuscenes):
    on_disk = (*SURROUND, 'LIDAR_TOP')
    root = make_nuscenes(tmp_path, dict([*SCENES.items()][:1]), on_disk, on_disk=on_disk)
    lines, _ = index_nuscenes(root, replace(CONFIG, channels=SURROUND))
    assert [line.channel for line in lines['train']] == sorted(SURROUND) * KEPT
    for line in lines['train']:
        assert {
            path.split('/')[1] for path in (line.image, line.previous.image, line.next.image)
        } == {line.channel}


def test_a_camera_that_a_scene_lacks_is_named(whole):
    config = replace(CONFIG, channels=('CAM_BACK', 'CAM_FRONT'))
    with pytest.raises(
        ValueError, match='scene-0061 has no frame of CAM_BACK; index the channels'
    ):
        index_nuscenes(whole, config)


def test_rendered_set_brings_splits_and_exact_depth(tmp_path, make_nuscenes):
    splits = {'street-0001': 'train', 'street-0002': 'validation', 'street-0003': 'test'}
    conditions = {'day-clear': 'Synthetic street, clear day', 'fog': 'Synthetic street, fog'}
    scenes = {f'{s}-{c}': (text, 8.0) for s in splits for c, text in conditions.items()}
    root = make_nuscenes(tmp_path, scenes, version='v1.0-synth')
    text = json.dumps(
        {
            'schema_version': 1,
            'splits': {f'{s}-{c}': splits[s] for s in splits for c in conditions},
        }
    )
    (root / 'splits.json').write_text(text)
    folder = root / 'exact_depth' / 'CAM_FRONT'
    folder.mkdir(parents=True)
    coded = cv2.imencode('.png', encode_exact_depth(np.full((16, 24), 9.0)))[1].tobytes()
    for path in root.glob('s*/CAM_FRONT/*.jpg'):
        (folder / f'{path.stem}.png').write_bytes(coded)

    lines, _ = index_nuscenes(root, CONFIG)
    assert {s: {(line.scene[:11], line.condition) for line in lines[s]} for s in SPLITS} == {
        'train': {('street-0001', 'day-clear')},
        'validation': {('street-0002', 'day-clear'), ('street-0002', 'fog')},
        'test': {('street-0003', 'day-clear'), ('street-0003', 'fog')},
    }
    line = lines['train'][0]
    assert line.exact_depth == f'exact_depth/CAM_FRONT/{line.id}.png'
    (root / line.exact_depth).unlink()
    with pytest.raises(ValueError, match=re.escape(f'{line.exact_depth} is missing')):
        index_nuscenes(root, CONFIG)


def test_no_scene_and_no_picture_is_in_two_splits(tmp_path, make_nuscenes):
    names = (*official_scenes('train')[:12], *official_scenes('val')[:4])
    root = make_nuscenes(tmp_path, {name: ('Sun', 8.0) for name in names}, version='v1.0-trainval')
    lines, _ = index_nuscenes(root, replace(CONFIG, validation_share=0.4))
    scenes = [{line.scene for line in lines[split]} for split in SPLITS]
    assert all(scenes)
    assert sum(map(len, scenes)) == len(set.union(*scenes)) == 16
    pictures = [
        {
            frame.image
            for line in lines[split]
            for frame in (line, line.previous, line.next)
            if frame
        }
        for split in SPLITS
    ]
    assert sum(map(len, pictures)) == len(set.union(*pictures))


# Files


@pytest.mark.parametrize(
    ('damage', 'word'),
    [
        (lambda path: path.unlink(), 'missing'),
        (lambda path: path.write_bytes(b''), 'empty'),
    ],
)
def test_bad_picture_is_refused_or_counted(root, damage, word):
    bad = picture(root, 'scene-0061', 6), picture(root, 'scene-0916', 6)
    for path in bad:
        damage(path)
    name = bad[0].relative_to(root).as_posix()
    with pytest.raises(
        ValueError, match=rf'2 of \d+ files .*: {re.escape(name)} is {word}, .*on_missing=drop'
    ):
        index_nuscenes(root, CONFIG)
    lines, dropped = index_nuscenes(root, replace(CONFIG, on_missing='drop'))
    assert [len(lines[split]) for split in SPLITS] == [KEPT - 1, 0, 5]
    assert dropped[f'train: picture {word}'] == dropped[f'test: picture {word}'] == 1


def test_a_neighbour_that_is_missing_costs_only_training_its_frame(root):
    for scene in ('scene-0061', 'scene-0916'):
        picture(root, scene, 7).unlink()
    lines, dropped = index_nuscenes(root, replace(CONFIG, on_missing='drop'))
    assert [len(lines[split]) for split in SPLITS] == [KEPT - 1, 0, 6]
    assert dropped['train: neighbour picture missing'] == 1
    (line,) = (line for line in lines['test'] if line.next is None)
    assert line.scene == 'scene-0916'
    assert line.previous is not None
    assert line.speed_mps == pytest.approx(8.0, rel=1e-4)


def test_truncated_sweep_is_refused_or_counted(root):
    sweep = picture(root, 'scene-0916', 0, 'LIDAR_TOP')
    sweep.write_bytes(sweep.read_bytes()[:-3])
    with pytest.raises(ValueError, match=r'1 of \d+ files .*samples/LIDAR_TOP/.* is truncated;'):
        index_nuscenes(root, CONFIG)
    lines, dropped = index_nuscenes(root, replace(CONFIG, on_missing='drop'))
    assert len(lines['test']) == 5
    assert dropped['test: LiDAR sweep truncated'] == 1


def test_only_decoding_finds_a_broken_picture(root):
    path = picture(root, 'scene-0061', 6)
    path.write_bytes(path.read_bytes()[:-40])
    assert len(index_nuscenes(root, CONFIG)[0]['train']) == KEPT
    with pytest.raises(ValueError, match=rf'1 of .*{path.name} is broken;'):
        index_nuscenes(root, replace(CONFIG, check_files=True))
    config = replace(CONFIG, check_files=True, on_missing='drop')
    lines, dropped = index_nuscenes(root, config)
    assert len(lines['train']) == KEPT - 1
    assert dropped['train: picture broken'] == 1


def test_a_copy_without_lidar_trains(root):
    for path in root.glob('s*/LIDAR_TOP/*'):
        path.unlink()
    with pytest.raises(ValueError, match='LIDAR_TOP/.* is missing'):
        index_nuscenes(root, CONFIG)
    lines, _ = index_nuscenes(root, replace(CONFIG, lidar=False))
    assert len(lines['train']) == KEPT
    assert {(line.lidar, line.T_camera_lidar) for line in lines['train']} == {(None, None)}


# Tables


def row_of(rows, token):
    return next(row for row in rows if row['token'] == token)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda row: row.update(prev='nowhere'), "prev of .* is 'nowhere', which is no record of"),
        (lambda row: row.update(next='scene-0553/CAM_FRONT/3'), 'no record of this scene and'),
        (lambda row: row.update(next='scene-0061/CAM_FRONT/5'), 'next of .* -83333 us later; the'),
        (
            lambda row: row.update(prev=row['token']),
            'prev of .* 0 us later; the tables contradict',
        ),
        (lambda row: row.update(sample_token='scene-0061/0'), 'two key frames of one channel'),
    ],
)
def test_contradictory_tables_are_refused(root, change, message):
    edit(root, 'sample_data', lambda rows: change(row_of(rows, 'scene-0061/CAM_FRONT/6')))
    with pytest.raises(ValueError, match=f'scene-0061: .*{message}'):
        index_nuscenes(root, replace(CONFIG, on_missing='drop'))


def test_a_neighbour_of_another_camera_is_refused(tmp_path, make_nuscenes):
    channels = ('CAM_FRONT', 'CAM_BACK')
    root = make_nuscenes(
        tmp_path, {'scene-0061': SCENES['scene-0061']}, channels, on_disk=channels
    )
    edit(
        root,
        'sample_data',
        lambda rows: row_of(rows, 'scene-0061/CAM_FRONT/6').update(next='scene-0061/CAM_BACK/7'),
    )
    with pytest.raises(ValueError, match='next of .* is no record of this scene and channel'):
        index_nuscenes(root, replace(CONFIG, channels=channels, lidar=False))


def test_tables_that_do_not_join_are_refused_whatever_the_switch(root):
    edit(root, 'ego_pose', lambda rows: rows.remove(row_of(rows, 'scene-0061/CAM_FRONT/6')))
    with pytest.raises(ValueError, match=r'ego_pose_token .* is not in ego_pose\.json'):
        index_nuscenes(root, replace(CONFIG, on_missing='drop'))


def test_a_sample_without_its_sweep_is_refused(root):
    edit(
        root,
        'sample_data',
        lambda rows: row_of(rows, 'scene-0103/LIDAR_TOP/10').update(is_key_frame=False),
    )
    with pytest.raises(ValueError, match='scene-0103: no LIDAR_TOP key frame .*lidar=false'):
        index_nuscenes(root, CONFIG)


def test_a_scene_without_description_is_refused(root):
    edit(root, 'scene', lambda rows: rows[0].update(description=''))
    with pytest.raises(ValueError, match='scene-0061 .* has no description'):
        index_nuscenes(root, CONFIG)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'channels': ()}, 'channels must be one or more'),
        ({'channels': ('CAM_BACK', 'CAM_BACK')}, 'each once'),
        ({'train_conditions': ()}, 'train_conditions must be'),
        ({'min_speed_mps': -1.0}, 'min_speed_mps must be >= 0'),
        ({'neighbour_step': 0}, 'neighbour_step must be >= 1, got 0'),
        ({'validation_share': 1.5}, r'validation_share must be in \[0, 1\], got 1.5'),
    ],
)
def test_config_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        NuScenesIndexConfig(**fields)


# The whole


def test_index_survives_the_round_trip_and_is_the_same_twice(whole, tmp_path):
    header = IndexHeader(format='nuscenes', root=str(whole), options={}, kept={}, dropped={})
    texts = []
    for name in ('first', 'second'):
        lines, _ = index_nuscenes(whole, replace(CONFIG, validation_share=0.5))
        write_index(tmp_path / name, header, lines)
        texts.append([(tmp_path / name / f'{split}.jsonl').read_bytes() for split in SPLITS])
        assert {split: read_lines(tmp_path / name, split) for split in SPLITS} == lines
    assert texts[0] == texts[1]
    assert read_header(tmp_path / 'first') == header


@pytest.mark.slow
def test_time_grows_with_the_rows_and_no_faster(tmp_path, make_nuscenes):
    """A scene has 3,240 rows, as a real one; trainval has 850 scenes and 2.6 million rows."""
    channels = (*SURROUND, 'LIDAR_TOP', *(f'RADAR_{number}' for number in range(5)))

    def seconds(num_scenes):
        scenes = {name: ('Sun', 8.0) for name in official_scenes('train')[:num_scenes]}
        root = tmp_path / str(num_scenes)
        make_nuscenes(root, scenes, channels, 'v1.0-trainval', 20, on_disk=('CAM_FRONT',))
        start = time.process_time()
        lines, dropped = index_nuscenes(root, replace(CONFIG, lidar=False))
        taken = time.process_time() - start
        assert sum(map(len, lines.values())) + sum(dropped.values()) == 40 * num_scenes
        return taken

    few, many = seconds(8), seconds(32)
    assert many < 10  # 104,000 rows
    assert many < 1.75 * 4 * few
