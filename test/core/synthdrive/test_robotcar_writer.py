from dataclasses import replace
import json

import cv2
import numpy as np
import pytest
from ssd_depth_core.exact_depth import decode_exact_depth
from ssd_depth_core.geometry.pose import invert, transform_from_euler
from ssd_depth_core.synthdrive.robotcar_writer import mosaic, Traversal, write_robotcar
from ssd_depth_core.synthdrive.sensors import CameraFrame, EgoPose, LidarSweep

START_US = 1_700_000_000_000_000
NAME = 'street-0001-day-clear'
SIZE = (60, 80)
K = np.array(((61.5, 0, 40.25), (0, 61.4, 30.5), (0, 0, 1)))
# Camera axes (right, down, forward) in the car's (forward, left, up).
T_EGO_CAMERA = np.array(((0, 0, 1, 1.7), (-1, 0, 0, 0.1), (0, -1, 0, 1.5), (0, 0, 0, 1.0)))
# A 2D LiDAR that scans a plane across the road: x down, y right.
T_EGO_LIDAR = np.array(((0, 0, -1, 3.4), (0, -1, 0, 0.1), (-1, 0, 0, 0.4), (0, 0, 0, 1.0)))


def pose(stamp_us):
    """Ten metres a second, a tenth of a turn a second to the left."""
    t = (stamp_us - START_US) / 1e6
    T = transform_from_euler((10 * t, t, 0, 0, 0, 0.6 * t))
    return EgoPose(timestamp_us=stamp_us, T_world_ego=T, speed_mps=10.0)


def frame(number):
    depth = np.repeat(np.linspace(50, 5, SIZE[0], dtype=np.float32)[:, None], SIZE[1], axis=1)
    depth[0] = np.inf
    return CameraFrame(
        channel='stereo/left',
        ego_pose=pose(START_US + number * 62_500),
        image=np.full((*SIZE, 3), (200, 100, 50), np.uint8),
        depth=depth,
        K=K,
        T_ego_camera=T_EGO_CAMERA,
    )


def sweep(number):
    return LidarSweep(
        channel='lms_front',
        ego_pose=pose(START_US + number * 20_000 + 5),
        points=np.array(((1, 2, 0, 40, 0), (3, -4, 0, 250, 0)), np.float32),
        T_ego_lidar=T_EGO_LIDAR,
    )


@pytest.fixture
def records():
    return [frame(0), sweep(0), sweep(1), frame(1), sweep(4), frame(2)]


@pytest.fixture
def write(tmp_path):
    def write(records, name=NAME, condition='day-clear', split='train'):
        traversal = Traversal(name=name, condition=condition, split=split, records=records)
        write_robotcar(tmp_path, [traversal])
        return tmp_path

    return write


def test_the_mosaic_is_green_blue_over_red_green():
    image = np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3)
    raw = mosaic(image)
    for row, column, colour in ((0, 0, 1), (0, 1, 2), (1, 0, 0), (1, 1, 1), (2, 3, 2), (3, 2, 0)):
        assert raw[row, column] == image[row, column, colour]


def test_files_lie_where_the_dataset_has_them(write, records):
    root = write(records)
    stamps = [START_US, START_US + 62_500, START_US + 125_000]
    drive = root / NAME
    assert (drive / 'stereo.timestamps').read_text() == ''.join(f'{s} 1\n' for s in stamps)
    scans = [START_US + 5, START_US + 20_005, START_US + 80_005]
    assert (drive / 'lms_front.timestamps').read_text() == ''.join(f'{s} 1\n' for s in scans)
    raw = cv2.imread(str(drive / 'stereo' / 'left' / f'{stamps[1]}.png'), cv2.IMREAD_UNCHANGED)
    assert raw.shape == SIZE
    assert raw.dtype == np.uint8
    np.testing.assert_array_equal(raw[:2, :2], ((100, 50), (200, 100)))
    scan = np.fromfile(drive / 'lms_front' / f'{scans[0]}.bin', np.float64)
    np.testing.assert_array_equal(scan, (1, 2, 40, 3, -4, 250))
    assert json.loads((root / 'splits.json').read_text()) == {
        'schema_version': 1,
        'splits': {NAME: 'train'},
    }
    assert json.loads((root / 'conditions.json').read_text()) == {
        'schema_version': 1,
        'conditions': {NAME: 'day-clear'},
    }
    assert not list(root.rglob('*.partial'))


def test_exact_depth_is_that_of_the_picture_without_its_bottom_fifth(write, records):
    root = write(records)
    path = root / NAME / 'exact_depth' / 'stereo' / 'left' / f'{START_US}.png'
    depth = decode_exact_depth(cv2.imread(str(path), cv2.IMREAD_UNCHANGED))
    np.testing.assert_allclose(depth, frame(0).depth[:48], atol=1 / 512)


def test_odometry_holds_the_later_picture_in_the_earlier_ones_frame(write, records):
    root = write(records)
    header, first, second = (root / NAME / 'vo' / 'vo.csv').read_text().splitlines()
    assert header == 'source_timestamp,destination_timestamp,x,y,z,roll,pitch,yaw'
    source, destination, *motion = first.split(',')
    assert (int(source), int(destination)) == (START_US + 62_500, START_US)
    assert second.startswith(f'{START_US + 125_000},{START_US + 62_500},')
    # Vehicle: x forward, y right, z down, in the camera. The car went 0.625 m ahead and 1/16 m to
    # the left, and turned left by 0.0375 rad about its axle, 1.7 m behind the camera.
    turn = 0.0375
    forward = 0.625 + 1.7 * np.cos(turn) - 0.1 * np.sin(turn) - 1.7
    left = 0.0625 + 1.7 * np.sin(turn) + 0.1 * np.cos(turn) - 0.1
    expected = (forward, -left, 0, 0, 0, -turn)
    np.testing.assert_allclose([float(text) for text in motion], expected, atol=1e-9)


def test_the_calibration_is_in_the_datasets_terms(write, records):
    root = write(records)
    model = np.loadtxt((root / 'models' / 'stereo_wide_left.txt').read_text().splitlines())
    np.testing.assert_array_equal(model[0], (61.5, 61.4, 40.25, 30.5))
    np.testing.assert_array_equal(
        model[1:], ((0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1))
    )
    assert (root / 'extrinsics' / 'stereo.txt').read_text() == '0 0 0 0 0 0\n'
    values = np.loadtxt(root / 'extrinsics' / 'lms_front.txt')
    # In the camera's forward, right, down: 1.7 m ahead and 1.1 m below it.
    np.testing.assert_allclose(values[:3], (1.7, 0, 1.1), atol=1e-12)
    forward_right_down = np.array(((0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
    T_ego_vehicle = T_EGO_CAMERA @ invert(forward_right_down)
    np.testing.assert_allclose(
        T_ego_vehicle @ transform_from_euler(values), T_EGO_LIDAR, atol=1e-9
    )


def test_the_table_bends_like_browns_barrel(write, records):
    root = write(records)
    table = np.fromfile(root / 'models' / 'stereo_wide_left_distortion_lut.bin', np.float64)
    lut = table.reshape(2, *SIZE)
    for row, column in ((0, 0), (30, 40), (59, 79), (12, 70)):
        x, y = (column - 40.25) / 61.5, (row - 30.5) / 61.4
        r2 = x * x + y * y
        factor = 1 - 0.05 * r2 + 0.01 * r2 * r2
        expected = (40.25 + 61.5 * x * factor, 30.5 + 61.4 * y * factor)
        np.testing.assert_allclose(lut[:, row, column], expected, atol=1e-9)
    # Every rectified pixel lies within the raw picture.
    assert lut.min() >= 0
    assert lut[0].max() <= SIZE[1] - 1
    assert lut[1].max() <= SIZE[0] - 1


def test_more_traversals_are_added_one_by_one(write, records):
    write(records)
    root = write(records, name='street-0001-night', condition='night')
    assert json.loads((root / 'conditions.json').read_text())['conditions'] == {
        NAME: 'day-clear',
        'street-0001-night': 'night',
    }
    with pytest.raises(FileExistsError, match='exists already'):
        write(records)


def test_an_interrupted_traversal_is_not_there_and_can_be_written_again(write, records, tmp_path):
    def interrupted():
        yield from records[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(interrupted())
    assert not (tmp_path / NAME).exists()
    assert not (tmp_path / 'splits.json').exists()
    write(records)
    assert len(list((tmp_path / NAME / 'lms_front').iterdir())) == 3


def test_another_calibration_is_refused_across_traversals(write, records):
    write(records)
    others = [
        replace(r, K=K + np.diag((1, 0, 0))) if isinstance(r, CameraFrame) else r for r in records
    ]
    with pytest.raises(ValueError, match='another has another calibration than .*wide_left.txt'):
        write(others, name='another')


@pytest.mark.parametrize(
    ('number', 'change', 'message'),
    [
        (3, {'K': K + np.diag((1, 0, 0))}, 'calibration of stereo/left changes'),
        (3, {'image': np.zeros((60, 81, 3), np.uint8)}, 'calibration of stereo/left changes'),
        (3, {'channel': 'CAM_FRONT'}, 'channel must be stereo/left or lms_front, got CAM_FRONT'),
        (3, {'ego_pose': pose(START_US)}, 'must come in time order, got stereo/left'),
        (2, {'T_ego_lidar': T_EGO_CAMERA}, 'calibration of lms_front changes'),
        (2, {'points': np.full((1, 5), 0.1, np.float32)}, 'must lie in its plane'),
    ],
)
def test_ill_formed_records_are_refused(write, records, number, change, message):
    records[number] = replace(records[number], **change)
    with pytest.raises(ValueError, match=message):
        write(records)


@pytest.mark.parametrize('kept', [[], [0, 1, 2], [0, 3, 5], [1, 2]])
def test_a_traversal_needs_two_pictures_and_a_scan(write, records, kept):
    with pytest.raises(ValueError, match='two pictures and a scan are needed'):
        write([records[i] for i in kept])


@pytest.mark.parametrize('name', ['', '.hidden', 'a/b', '../a'])
def test_a_name_that_is_no_file_name_is_refused(write, records, name):
    with pytest.raises(ValueError, match='traversal name must be'):
        write(records, name=name)
