import numpy as np
import pytest
from ssd_depth_core.data.visual_odometry import HEADER, read_visual_odometry
from ssd_depth_core.geometry.pose import invert

FORWARD = '1.0,0,0,0,0,0'
LEFT = f'0,0,0,0,0,{-np.pi / 2!r}'  # yaw is about z, which points down


@pytest.fixture
def write(tmp_path):
    def write(*rows, columns=HEADER):
        path = tmp_path / 'vo.csv'
        path.write_text('\n'.join((','.join(columns), *rows)) + '\n')
        return path

    return write


def test_motions_are_chained_in_the_car_that_moves(write):
    odometry = read_visual_odometry(
        write(f'200,100,{FORWARD}', f'300,200,{LEFT}', f'400,300,{FORWARD}')
    )
    (chain,) = odometry.chains
    assert chain.stamps_us.tolist() == [100, 200, 300, 400]
    # One metre ahead, a turn to the left on the spot, and one metre to what was the left.
    np.testing.assert_allclose(chain.T_start_vehicle[-1][:3, 3], (1, -1, 0), atol=1e-12)


def test_between_pictures_the_car_is_in_between(write):
    odometry = read_visual_odometry(write(f'200,100,{FORWARD}', f'300,200,{FORWARD}'))
    T = odometry.relative_poses(200, np.array((100, 125, 200, 275, 300)))
    np.testing.assert_allclose(T[:, 0, 3], (-1, -0.75, 0, 0.75, 1), atol=1e-12)


def test_poses_are_seen_from_the_origin_as_it_is_turned(write):
    odometry = read_visual_odometry(
        write(f'200,100,{FORWARD}', f'300,200,{LEFT}', f'400,300,{FORWARD}')
    )
    T = odometry.relative_poses(300, np.array((100, 400)))
    # From the car that has turned left, the start lies to its left, and what follows ahead.
    np.testing.assert_allclose(T[:, :3, 3], ((0, -1, 0), (1, 0, 0)), atol=1e-12)
    np.testing.assert_allclose(T[0, :3, 0], (0, 1, 0), atol=1e-12)  # it looked to the right


def test_the_chain_gives_the_ego_poses_of_a_rendered_drive(robotcar_root, street):
    odometry = read_visual_odometry(robotcar_root / 'street-0001-day-clear' / 'vo' / 'vo.csv')
    (chain,) = odometry.chains
    assert len(chain.stamps_us) == 32
    # The vehicle frame lies in the camera: x forward, y right, z down.
    forward_right_down = np.array(((0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 1)))
    T_world_vehicle = np.stack(
        [
            street.ego_pose(stamp).T_world_ego @ street.T_ego_camera @ invert(forward_right_down)
            for stamp in chain.stamps_us.tolist()
        ]
    )
    expected = invert(T_world_vehicle[0]) @ T_world_vehicle
    np.testing.assert_allclose(chain.T_start_vehicle, expected, atol=1e-6)


def test_across_a_gap_nothing_is_known(write):
    odometry = read_visual_odometry(write(f'200,100,{FORWARD}', f'500,400,{FORWARD}'))
    assert [chain.stamps_us.tolist() for chain in odometry.chains] == [[100, 200], [400, 500]]
    T = odometry.relative_poses(450, np.array((100, 200, 300, 400, 500, 501)))
    assert np.isnan(T).any(axis=(1, 2)).tolist() == [True, True, True, False, False, True]
    assert np.isnan(odometry.relative_poses(300, np.array((200, 400)))).all()


@pytest.mark.parametrize(
    ('rows', 'message'),
    [
        ((), 'no row below its header'),
        ((f'100,200,{FORWARD}',), r'vo.csv:2: rows must go forwards in time.* 200 to 100'),
        ((f'200,100,{FORWARD}', f'300,150,{FORWARD}'), r'vo.csv:3: .* 150 to 300 after 200'),
        ((f'200,100,{FORWARD}', '300,200,1.0,0,0'), r'vo.csv:3: .*must be 6 finite numbers'),
        (('200,100,1.0,0,0,0,nan,0',), 'must be 6 finite numbers'),
        (('200,100,1.0,0,0,0,zero,0',), 'could not convert'),
        (('200',), 'vo.csv:2'),
    ],
)
def test_what_is_no_motion_is_refused(write, rows, message):
    with pytest.raises(ValueError, match=message):
        read_visual_odometry(write(*rows))


def test_other_columns_are_refused(write):
    with pytest.raises(ValueError, match='must have the columns'):
        read_visual_odometry(write(f'200,100,{FORWARD}', columns=('timestamp', 'x', 'y', 'z')))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='visual odometry not found'):
        read_visual_odometry(tmp_path / 'vo.csv')
