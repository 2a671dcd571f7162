from dataclasses import replace
from pathlib import Path
import shutil

import cv2
import numpy as np
import pytest
from ssd_depth_core.config import from_dict, to_dict
from ssd_depth_core.data.index import IndexHeader, read_lines, write_index
from ssd_depth_core.data.robotcar import RobotCarSource
from ssd_depth_core.data.robotcar_index import index_robotcar, RobotCarIndexConfig
from ssd_depth_core.exact_depth import decode_exact_depth
from ssd_depth_core.geometry.pose import invert, transform_from_euler
from ssd_depth_core.synthdrive.robotcar_writer import mosaic, Traversal, write_robotcar
from ssd_depth_core.synthdrive.sensors import EgoPose

DAY, NIGHT = 'street-0001-day-clear', 'street-0002-night'
PERIOD_US = 62_500


@pytest.fixture
def recording(robotcar_root, tmp_path):
    """The first street as if it were a recording: two seconds, nothing said of it."""
    root = tmp_path / 'robotcar'
    for name in ('models', 'extrinsics', DAY):
        shutil.copytree(robotcar_root / name, root / name)
    (root / DAY).rename(root / '2014-12-09-13-21-02')
    return root


def picture(root, street, number):
    (folder,) = root.glob('*/stereo/left')
    return folder / f'{street.start_us + number * PERIOD_US}.png'


def numbers(lines, street):
    return [(line.timestamp_us - street.start_us) // PERIOD_US for line in lines]


def blocks(**options):
    """Blocks that a drive of two seconds can hold."""
    return RobotCarIndexConfig(**{'block_s': 1.0, 'guard_s': 0.2, **options})


def test_a_rendered_set_goes_from_writer_through_index_to_pictures_and_depth(
    robotcar_root, street, tmp_path
):
    config = RobotCarIndexConfig()
    lines, dropped = index_robotcar(robotcar_root, config)
    assert dropped == {'train: without both neighbours': 2}
    header = IndexHeader(
        format='robotcar',
        root=str(robotcar_root),
        options=to_dict(config),
        kept={},
        dropped=dropped,
    )
    write_index(tmp_path, header, lines)

    train, test = read_lines(tmp_path, 'train'), read_lines(tmp_path, 'test')
    assert numbers(train, street) == list(range(1, 31))
    assert numbers(test, street) == list(range(32))
    assert {line.condition for line in train} == {'day-clear'}
    assert {(line.condition, line.scene) for line in test} == {('night', NIGHT)}
    assert test[0].previous is None
    assert test[-1].next is None

    line = train[9]
    assert line.id == f'{DAY}_{street.start_us + 10 * PERIOD_US}'
    assert line.speed_mps == pytest.approx(10.0, abs=0.05)
    source = RobotCarSource(robotcar_root)
    for frame in (line, line.previous, line.next):
        assert source.read_image(frame).shape == (192, 320, 3)
    sparse = source.read_depth(line)
    exact = decode_exact_depth(
        cv2.imread(str(robotcar_root / line.exact_depth), cv2.IMREAD_UNCHANGED)
    )
    assert sparse.shape == exact.shape == line.size
    seen = np.isfinite(sparse)
    assert np.median(np.abs(sparse - exact)[seen]) < 0.05


def test_neighbours_lie_where_the_car_was(robotcar_root, street):
    lines, _ = index_robotcar(robotcar_root, RobotCarIndexConfig())
    line = lines['train'][4]
    for neighbour, number in ((line.previous, 4), (line.next, 6)):
        assert neighbour.timestamp_us == street.start_us + number * PERIOD_US
        T_world_camera = {
            stamp: street.ego_pose(stamp).T_world_ego @ street.T_ego_camera
            for stamp in (line.timestamp_us, neighbour.timestamp_us)
        }
        expected = (
            invert(T_world_camera[neighbour.timestamp_us]) @ T_world_camera[line.timestamp_us]
        )
        np.testing.assert_allclose(neighbour.T_source_target, expected, atol=1e-9)


def test_a_recording_is_cut_into_blocks(recording, street):
    lines, dropped = index_robotcar(recording, blocks(block_splits=('train', 'test')))
    # A second each: 16 pictures, of which those within 0.2 s of the border are left out.
    assert numbers(lines['train'], street) == list(range(1, 13))
    assert numbers(lines['test'], street) == list(range(20, 32))
    assert dropped == {'guard between splits': 7, 'train: without both neighbours': 1}
    scene = '2014-12-09-13-21-02-block'
    assert {line.scene for line in lines['train']} == {f'{scene}-000'}
    assert {line.scene for line in lines['test']} == {f'{scene}-001'}
    assert {line.condition for line in lines['train']} == {'day-clear'}
    touched = {frame.image for line in lines['train'] for frame in (line.previous, line.next)}
    assert touched.isdisjoint(line.image for line in lines['test'])


def test_lists_decide_for_a_recording(recording, street, tmp_path):
    stamps = [street.start_us + number * PERIOD_US for number in range(32)]
    (tmp_path / 'train.txt').write_text(f'{stamps[2]} {stamps[4]} {stamps[6]}\n{stamps[9]}\n')
    (tmp_path / 'test.txt').write_text(f'{stamps[20]}\n')
    config = RobotCarIndexConfig(
        split_files={'train': (tmp_path / 'train.txt',), 'test': (tmp_path / 'test.txt',)}
    )
    lines, dropped = index_robotcar(recording, config)
    assert numbers(lines['train'], street) == [4, 9]
    assert numbers(lines['test'], street) == [20]
    assert dropped == {'in no list': 29}
    skipping, adjacent = lines['train']
    assert skipping.previous.timestamp_us == stamps[2]
    assert skipping.next.timestamp_us == stamps[6]
    assert adjacent.previous.timestamp_us == stamps[8]


def test_a_listed_picture_that_no_traversal_has_is_refused_or_counted(recording, tmp_path):
    (tmp_path / 'test.txt').write_text('17\n')
    files = {'test': (tmp_path / 'test.txt',)}
    with pytest.raises(FileNotFoundError, match='1 listed pictures are of no traversal'):
        index_robotcar(recording, RobotCarIndexConfig(split_files=files))
    _, dropped = index_robotcar(
        recording, RobotCarIndexConfig(split_files=files, on_missing='drop')
    )
    assert dropped == {'in no list': 32, 'listed, but of no traversal': 1}


def test_missing_pictures_are_refused_or_counted(recording, street):
    picture(recording, street, 10).unlink()
    config = blocks(block_splits=('train',))
    with pytest.raises(FileNotFoundError, match=r'1 of 32 pictures .* first is 1418132000625000'):
        index_robotcar(recording, config)
    lines, dropped = index_robotcar(
        recording, blocks(block_splits=('train',), on_missing='drop', max_gap_s=0.1)
    )
    # The pictures beside the missing one lack a neighbour: 0.125 s is too far.
    assert numbers(lines['train'], street) == [*range(1, 9), *range(12, 31)]
    assert dropped == {'train: picture missing': 1, 'train: without both neighbours': 4}


def test_neighbours_may_be_as_far_as_the_config_says(recording, street):
    picture(recording, street, 10).unlink()
    lines, _ = index_robotcar(recording, blocks(block_splits=('train',), on_missing='drop'))
    assert numbers(lines['train'], street) == [*range(1, 10), *range(11, 31)]
    assert lines['train'][8].next.timestamp_us == street.start_us + 11 * PERIOD_US


def test_missing_scans_are_refused_or_leave_pictures_without_truth(recording, street):
    scan = recording / '2014-12-09-13-21-02' / 'lms_front' / f'{street.start_us + 3_000}.bin'
    scan.unlink()
    with pytest.raises(FileNotFoundError, match='1 of 100 scans'):
        index_robotcar(recording, blocks())
    lines, dropped = index_robotcar(
        recording, blocks(block_splits=('train', 'test'), on_missing='drop')
    )
    assert lines['test'] == []
    assert len(lines['train']) == 12  # which needs no truth
    assert dropped['test: no LiDAR truth'] == 12


def test_gaps_in_the_odometry_are_refused_or_part_neighbours(recording, street):
    vo = recording / '2014-12-09-13-21-02' / 'vo' / 'vo.csv'
    rows = vo.read_text().splitlines()
    del rows[10]  # the way from picture 9 to picture 10
    vo.write_text('\n'.join(rows) + '\n')
    with pytest.raises(ValueError, match=r'has 1 gap\(s\), the first after 1418132000562500'):
        index_robotcar(recording, blocks())
    lines, dropped = index_robotcar(recording, blocks(block_splits=('train',), on_missing='drop'))
    assert numbers(lines['train'], street) == [*range(1, 9), *range(11, 31)]
    assert dropped == {'train: without both neighbours': 4}


def test_training_leaves_out_a_standing_car(tmp_path, street):
    stamps = [street.start_us + number * PERIOD_US for number in range(6)]
    where = dict(zip(stamps, (0.0, 0.6, 1.2, 1.2005, 1.8, 2.4), strict=True))
    records = []
    for stamp, x in where.items():
        T = transform_from_euler((x, 0, 0, 0, 0, 0))
        pose = EgoPose(timestamp_us=stamp, T_world_ego=T, speed_mps=0.0)
        frame, sweep = street.frame(stamp), street.sweep(stamp)
        records += [replace(record, ego_pose=pose) for record in (frame, sweep)]
    write_robotcar(
        tmp_path, [Traversal(name=DAY, condition='day-clear', split='train', records=records)]
    )
    lines, dropped = index_robotcar(tmp_path, RobotCarIndexConfig())
    assert numbers(lines['train'], street) == [1, 4]
    assert dropped == {'train: without both neighbours': 2, 'train: static': 2}
    lines, _ = index_robotcar(tmp_path, RobotCarIndexConfig(drop_static=False))
    assert numbers(lines['train'], street) == [1, 2, 3, 4]


def test_training_leaves_out_over_exposed_and_jumping_pictures(recording, street):
    for number, level in ((10, 255), (20, 100), (21, 115), (22, 130)):
        grey = np.full((240, 320, 3), level, np.uint8)
        cv2.imwrite(str(picture(recording, street, number)), mosaic(grey))
    lines, dropped = index_robotcar(recording, blocks(block_splits=('train',)))
    # 10 is white, its neighbours differ from it; 20 and 22 differ from 19 and 23, 21 (0.45)
    # from 20 (0.39) and 22 (0.51) by more than 0.05.
    assert dropped['train: over-exposed'] == 1
    left = set(numbers(lines['train'], street))
    assert left.isdisjoint({9, 10, 11, 20, 21, 22})
    assert {1, 8, 12, 30} <= left
    lines, dropped = index_robotcar(
        recording, blocks(block_splits=('train',), drop_exposure=False)
    )
    assert numbers(lines['train'], street) == list(range(1, 31))
    assert dropped == {'train: without both neighbours': 2}


def test_the_bonnet_does_not_count_towards_exposure(recording, street):
    for number in (10, 11, 12):
        image = np.full((240, 320, 3), 100, np.uint8)
        image[200:] = 0 if number == 11 else 255
        cv2.imwrite(str(picture(recording, street, number)), mosaic(image))
    lines, _ = index_robotcar(recording, blocks(block_splits=('train',)))
    assert 11 in numbers(lines['train'], street)


def test_training_takes_only_the_conditions_asked_for(recording):
    config = {'conditions': {'2014-12-09-13-21-02': 'night'}, 'block_splits': ('train',)}
    lines, dropped = index_robotcar(recording, blocks(**config))
    assert lines['train'] == []
    assert dropped == {'train: condition night': 32}
    lines, _ = index_robotcar(recording, blocks(**config, train_conditions=None))
    assert {line.condition for line in lines['train']} == {'night'}


def test_a_traversal_of_unknown_condition_is_refused(recording):
    with pytest.raises(ValueError, match=r'condition of .*2014-12-09-13-21-02 is unknown'):
        index_robotcar(recording, RobotCarIndexConfig(conditions={}))


def test_lists_do_not_overrule_a_rendered_set(robotcar_root, tmp_path):
    (tmp_path / 'test.txt').write_text('1\n')
    config = RobotCarIndexConfig(split_files={'test': (tmp_path / 'test.txt',)})
    with pytest.raises(ValueError, match='leave split_files empty'):
        index_robotcar(robotcar_root, config)


def test_an_unfinished_rendered_set_is_refused(robotcar_root, tmp_path):
    root = tmp_path / 'robotcar'
    shutil.copytree(robotcar_root, root)
    shutil.rmtree(root / NIGHT)
    with pytest.raises(FileNotFoundError, match=f'splits.json names {NIGHT}'):
        index_robotcar(root, RobotCarIndexConfig())


def test_a_traversal_without_split_in_a_rendered_set_is_refused(robotcar_root, tmp_path):
    root = tmp_path / 'robotcar'
    shutil.copytree(robotcar_root, root)
    (root / 'splits.json').write_text(f'{{"schema_version": 1, "splits": {{"{NIGHT}": "test"}}}}')
    with pytest.raises(ValueError, match=f'says nothing of {DAY}'):
        index_robotcar(root, RobotCarIndexConfig())


def test_a_config_survives_its_file():
    config = RobotCarIndexConfig(split_files={'test': (Path('a.txt'),)}, block_s=30.0)
    assert from_dict(RobotCarIndexConfig, to_dict(config), 'options') == config


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'block_s': 8.0}, 'block_s must be > 2 guard_s'),
        ({'block_splits': ()}, 'block_splits must name a split'),
        ({'max_gap_s': 5.0}, 'max_gap_s must be > 0 and <= guard_s'),
        ({'max_gap_s': 0.0}, 'max_gap_s must be > 0'),
        ({'train_conditions': ()}, 'train_conditions must be one or more'),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        RobotCarIndexConfig(**options)
