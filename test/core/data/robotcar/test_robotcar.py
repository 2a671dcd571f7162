import shutil

import numpy as np
import pytest
from ssd_depth_core.data.index import FrameSource, IndexLine
from ssd_depth_core.data.robotcar import nearest_depth, read_scan, RobotCar, RobotCarSource
from ssd_depth_core.synthdrive.robotcar_writer import Traversal, write_robotcar

NAME = 'street-0001-day-clear'


@pytest.fixture
def copied(robotcar_root, tmp_path):
    """A copy of the first street, to be damaged."""
    root = tmp_path / 'robotcar'
    for name in ('models', 'extrinsics', NAME):
        shutil.copytree(robotcar_root / name, root / name)
    return root


@pytest.fixture(scope='module')
def long_drive(tmp_path_factory, street):
    """Five seconds, so that pictures have scans from far ahead."""
    root = tmp_path_factory.mktemp('long')
    write_robotcar(
        root,
        [Traversal(name=NAME, condition='day-clear', split='train', records=street.records(5.0))],
    )
    return RobotCar(root)


def line(street, stamp_us):
    return IndexLine(
        id=f'{NAME}_{stamp_us}',
        scene=NAME,
        channel='stereo/left',
        condition='day-clear',
        timestamp_us=stamp_us,
        image=f'{NAME}/stereo/left/{stamp_us}.png',
        size=(192, 320),
        K=tuple(map(tuple, street.K.tolist())),
        speed_mps=10.0,
    )


def test_pictures_come_back_rectified_in_colour_and_without_the_bonnet(robotcar_root, street):
    stamp = street.start_us + 4 * 62_500
    source: FrameSource = RobotCarSource(robotcar_root)
    image = source.read_image(line(street, stamp)).astype(int)
    expected = street.frame(stamp).image[:192].astype(int)
    assert image.shape == (192, 320, 3)
    difference = np.abs(image - expected)
    assert difference.mean() < 0.3
    # A Bayer sensor guesses at the border and where a wall ends before the sky.
    assert np.quantile(difference, 0.995) < 4


@pytest.mark.parametrize('angle_deg', [0, 35, 90, 140])
def test_straight_lines_come_back_straight_and_in_place(tmp_path, street, angle_deg):
    # A grey edge through the pinhole's picture; where it crosses half grey is known everywhere.
    a = np.deg2rad(angle_deg)
    v, u = np.mgrid[:240, :320].astype(float)
    distance = (u - 270) * np.cos(a) + (v - 40) * np.sin(a)  # near a corner, where bending is most
    grey = (255 / (1 + np.exp(-distance / 2))).round().astype(np.uint8)
    frames = [street.frame(street.start_us), street.frame(street.start_us + 62_500)]
    for frame in frames:
        frame.image[:] = grey[..., None]
    records = [*frames, street.sweep(street.start_us + 62_500)]
    write_robotcar(
        tmp_path, [Traversal(name=NAME, condition='day-clear', split='train', records=records)]
    )
    image = RobotCarSource(tmp_path).read_image(line(street, street.start_us))[..., 1] / 255.0
    near = np.abs(distance[:192]) < 4
    near[:2], near[:, :2], near[:, -2:] = False, False, False
    inner = image[near].clip(1e-3, 1 - 1e-3)
    found = 2 * np.log(inner / (1 - inner))  # the distance that this grey has in the original
    assert near.sum() > 300
    assert np.abs(found - distance[:192][near]).max() < 0.5


def test_scans_gathered_along_the_drive_lie_on_what_they_met(long_drive, street):
    stamp = street.start_us + 8 * 62_500
    points = long_drive.points_around(long_drive.traversals[NAME], stamp)
    points = points[points[:, 2] > 0]
    u, v = (points @ street.K.T)[:, :2].T / points[:, 2]
    seen = (u >= 0) & (u <= 319) & (v >= 0) & (v <= 191)
    exact = street.depth(stamp, u[seen], v[seen])
    assert seen.sum() > 10_000
    assert points[seen, 2].max() > 30
    # Between pictures the drive's bends are cut short: 0.2 rad/s2 over 1/16 s, 3 mm at 30 m.
    assert np.abs(points[seen, 2] - exact).max() < 0.01


def test_sparse_depth_agrees_with_exact_depth_within_half_a_pixel(long_drive, street):
    stamp = street.start_us + 8 * 62_500
    depth = RobotCarSource(long_drive.root).read_depth(line(street, stamp))
    assert depth.shape == (192, 320)
    assert depth.dtype == np.float32
    v, u = np.nonzero(np.isfinite(depth))
    assert len(v) > 5_000
    around = [
        street.depth(stamp, u + du, v + dv) for du in (-0.5, 0, 0.5) for dv in (-0.5, 0, 0.5)
    ]
    sparse = depth[v, u]
    assert (sparse > np.min(around, axis=0) - 0.01).all()
    assert (sparse < np.max(around, axis=0) + 0.01).all()


def test_scans_come_from_four_seconds_before_and_after(long_drive, street):
    traversal = long_drive.traversals[NAME]
    scans = traversal.scans
    around = scans.us[traversal.scans_around(street.start_us + 4_003_000)]
    assert around[0] == street.start_us + 3_000  # just so
    assert around[-1] == scans.us[-1]
    around = scans.us[traversal.scans_around(street.start_us + 3_000)]
    assert around[-1] == street.start_us + 4_003_000  # just so
    around = scans.us[traversal.scans_around(street.start_us + 2_999)]
    assert around[-1] == street.start_us + 3_983_000
    assert scans.us[traversal.scans_around(street.start_us + 60_000_000)].size == 0


def test_a_camera_away_from_the_vehicle_sees_depth_from_where_it_is(copied, street):
    stamp = street.start_us + 16 * 62_500
    data = RobotCar(copied)
    before = data.points_around(data.traversals[NAME], stamp)
    # The file holds T_camera_vehicle: the vehicle's origin lies 0.25 m ahead of the camera.
    (copied / 'extrinsics' / 'stereo.txt').write_text('0.25 0 0 0 0 0\n')
    data = RobotCar(copied)
    after = data.points_around(data.traversals[NAME], stamp)
    np.testing.assert_allclose(after - before, np.tile((0, 0, 0.25), (len(before), 1)), atol=1e-9)


def test_the_nearest_of_points_in_one_pixel_stays():
    K = np.array(((10.0, 0, 2), (0, 10, 1), (0, 0, 1)))
    points = np.array(((0, 0, 8.0), (0, 0, 5.0), (0.01, 0, 6.0), (1.0, 0, 10.0), (0, 0, -3.0)))
    depth = nearest_depth(points, K, (3, 5))
    expected = np.full((3, 5), np.nan, np.float32)
    expected[1, 2], expected[1, 3] = 5.0, 10.0
    np.testing.assert_array_equal(depth, expected)


def test_points_beside_the_picture_are_left_out():
    K = np.array(((10.0, 0, 2), (0, 10, 1), (0, 0, 1)))
    sides = np.array(((-0.26, 0, 1.0), (0.26, 0, 1.0), (0, -0.16, 1.0), (0, 0.16, 1.0)))
    assert np.isnan(nearest_depth(sides, K, (3, 5))).all()
    assert np.isfinite(nearest_depth(sides * (0.9, 0.9, 1), K, (3, 5))).sum() == 4


def test_no_point_gives_no_depth():
    assert np.isnan(nearest_depth(np.empty((0, 3)), np.eye(3), (2, 2))).all()


def test_a_scan_is_read_and_beams_without_echo_are_left_out(tmp_path):
    points = np.array(((1.5, 2.5, 40.0), (0, 0, 3.0), (0, -2, 0)))
    (tmp_path / '1.bin').write_bytes(points.astype('<f8').tobytes())
    np.testing.assert_array_equal(read_scan(tmp_path / '1.bin'), points[[0, 2]])


def test_a_scan_without_any_echo_is_empty(tmp_path):
    (tmp_path / '1.bin').write_bytes(b'')
    assert read_scan(tmp_path / '1.bin').shape == (0, 3)


def test_a_truncated_scan_is_refused(copied, street):
    scan = copied / NAME / 'lms_front' / f'{street.start_us + 3_000}.bin'
    scan.write_bytes(scan.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r'scan .*3000.bin has \d+ bytes, no multiple of 24'):
        RobotCarSource(copied).read_depth(line(street, street.start_us))


def test_a_scan_of_no_numbers_is_refused(tmp_path):
    (tmp_path / '1.bin').write_bytes(np.array((1, np.nan, 2)).tobytes())
    with pytest.raises(ValueError, match='not finite'):
        read_scan(tmp_path / '1.bin')


def test_a_missing_scan_is_named(copied, street):
    (copied / NAME / 'lms_front' / f'{street.start_us + 23_000}.bin').unlink()
    with pytest.raises(FileNotFoundError, match='scan not found at .*23000.bin'):
        RobotCarSource(copied).read_depth(line(street, street.start_us))


def test_a_missing_table_is_named(copied, street):
    (copied / 'models' / 'stereo_wide_left_distortion_lut.bin').unlink()
    with pytest.raises(FileNotFoundError, match='undistortion table not found'):
        RobotCarSource(copied).read_image(line(street, street.start_us))


def test_a_picture_of_another_size_is_refused(copied, street):
    import cv2

    path = copied / NAME / 'stereo' / 'left' / f'{street.start_us}.png'
    cv2.imwrite(str(path), np.zeros((120, 160), np.uint8))
    with pytest.raises(ValueError, match='has 160x120 pixels, but the look-up table'):
        RobotCarSource(copied).read_image(line(street, street.start_us))
    # As many pixels, upright: the table alone cannot tell.
    cv2.imwrite(str(path), np.zeros((320, 240), np.uint8))
    with pytest.raises(ValueError, match=r'must be of the size \(192, 320\)'):
        RobotCarSource(copied).read_image(line(street, street.start_us))


def test_depth_outside_the_odometry_is_refused(copied, street):
    vo = copied / NAME / 'vo' / 'vo.csv'
    vo.write_text('\n'.join(vo.read_text().splitlines()[:5]) + '\n')
    with pytest.raises(ValueError, match='says nothing of the instant'):
        RobotCarSource(copied).read_depth(line(street, street.start_us + 16 * 62_500))


def test_depth_of_a_traversal_that_is_gone_is_refused(copied, street):
    (copied / NAME).rename(copied / 'other')
    with pytest.raises(FileNotFoundError, match=f'no traversal {NAME}'):
        RobotCarSource(copied).read_depth(line(street, street.start_us))


@pytest.mark.parametrize('text', ['12 1\n11 1\n', '12 1\n12 1\n', 'twelve 1\n', '12 1\n\n'])
def test_timestamps_out_of_order_are_refused(copied, text):
    (copied / NAME / 'stereo.timestamps').write_text(text)
    with pytest.raises(ValueError, match=r'stereo.timestamps:\d must begin with a later time'):
        _ = RobotCar(copied).traversals[NAME].pictures


def test_a_folder_without_traversals_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='no <traversal>/stereo.timestamps'):
        RobotCarSource(tmp_path)


def test_a_traversal_without_pictures_is_named(copied):
    shutil.rmtree(copied / NAME / 'stereo')
    with pytest.raises(FileNotFoundError, match='there is no picture in'):
        _ = RobotCar(copied).traversals[NAME].picture_size
