import numpy as np
import pytest
from ssd_depth_core.synthdrive.rig import CameraMount, LidarMount, load_rig, Rig

NUSCENES = load_rig('nuscenes')
ROBOTCAR = load_rig('robotcar')
(LIDAR,) = NUSCENES.lidars


@pytest.mark.parametrize('mount', NUSCENES.cameras, ids=lambda mount: mount.channel)
def test_cameras_look_where_their_yaw_says(mount):
    T = mount.T_ego_camera
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    yaw = np.deg2rad(mount.yaw_deg)
    np.testing.assert_allclose(T[:3, 2], (np.cos(yaw), np.sin(yaw), 0.0), atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], (0, 0, -1), atol=1e-12)  # the picture's down
    np.testing.assert_allclose(T[:3, 3], (mount.x, mount.y, mount.z))


def test_front_camera_sees_the_left_on_the_left():
    mount = NUSCENES.camera('CAM_FRONT')
    point = np.linalg.inv(mount.T_ego_camera) @ (11.70, 1.0, 0.51, 1.0)
    u, v, w = mount.intrinsics(900, 1600) @ point[:3]
    assert (u / w, v / w) == pytest.approx((799.5 - 126.6, 449.5 + 126.6))


def camera(**changes):
    values = {'channel': 'c', 'x': 0, 'y': 0, 'z': 0, 'focal_px': 80, 'height': 6, 'width': 8}
    return CameraMount(**(values | changes))


@pytest.mark.parametrize(
    ('angle', 'forward', 'down'),
    [
        ({'pitch_deg': 90.0}, (0, 0, -1), (-1, 0, 0)),  # looks at the ground
        ({'roll_deg': 90.0}, (1, 0, 0), (0, 1, 0)),  # lies on its right side: down is left
        ({'yaw_deg': 90.0, 'pitch_deg': 90.0}, (0, 0, -1), (0, -1, 0)),
    ],
)
def test_angles_turn_as_they_say(angle, forward, down):
    T = camera(**angle).T_ego_camera
    np.testing.assert_allclose(T[:3, 2], forward, atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], down, atol=1e-12)


def test_intrinsics_scale_with_the_picture():
    mount = NUSCENES.camera('CAM_BACK')
    full, half = mount.intrinsics(900, 1600), mount.intrinsics(450, 800)
    np.testing.assert_allclose(half[:2, :2], full[:2, :2] / 2)
    np.testing.assert_allclose(half[:2, 2], (399.5, 224.5))


def test_principal_point_scales_about_the_corner_of_the_picture():
    mount = camera(center_px=(5.5, 1.5))
    np.testing.assert_array_equal(mount.intrinsics(6, 8)[:2, 2], (5.5, 1.5))
    # Three quarters from the left and one third from the top, however large the pixels.
    np.testing.assert_allclose(mount.intrinsics(3, 4)[:2, 2], (6 / 2 - 0.5, 2 / 2 - 0.5))


def test_nuscenes_has_six_cameras_and_a_lidar_on_the_roof():
    assert [mount.channel for mount in NUSCENES.cameras] == [
        *('CAM_FRONT', 'CAM_FRONT_LEFT', 'CAM_FRONT_RIGHT'),
        *('CAM_BACK', 'CAM_BACK_LEFT', 'CAM_BACK_RIGHT'),
    ]
    assert (NUSCENES.camera_hz, LIDAR.hz) == (12.0, 20.0)
    np.testing.assert_array_equal(LIDAR.T_ego_lidar[:3, :3], np.eye(3))
    np.testing.assert_array_equal(LIDAR.T_ego_lidar[:3, 3], (0.94, 0.0, 1.84))


def test_robotcar_is_mounted_as_the_sdk_says():
    (stereo,), (lms,) = ROBOTCAR.cameras, ROBOTCAR.lidars
    assert (stereo.channel, lms.channel) == ('stereo/left', 'lms_front')
    assert (ROBOTCAR.camera_hz, lms.hz) == (16.0, 50.0)
    K = stereo.intrinsics(960, 1280)
    np.testing.assert_array_equal(
        K[:2], [[983.044006, 0, 643.646973], [0, 983.044006, 493.378998]]
    )
    # The SDK's vehicle frame is the camera's, x forward, y right, z down.
    T_camera_lms = np.linalg.inv(stereo.T_ego_camera) @ lms.T_ego_lidar
    T_vehicle_lms = np.eye(4)[[2, 0, 1, 3]] @ T_camera_lms
    np.testing.assert_allclose(T_vehicle_lms[:3, 3], (1.7589, 0.2268, 1.0411), atol=1e-3)
    roll = np.arctan2(T_vehicle_lms[2, 1], T_vehicle_lms[2, 2])
    pitch = -np.arcsin(T_vehicle_lms[2, 0])
    yaw = np.arctan2(T_vehicle_lms[1, 0], T_vehicle_lms[0, 0])
    np.testing.assert_allclose((roll, pitch, yaw), (-0.0437, -1.4572, 0.0356), atol=1e-5)


def test_push_broom_scans_the_road_from_side_to_side():
    (lms,) = ROBOTCAR.lidars
    rays = lms.rays()[0] @ lms.T_ego_lidar[:3, :3].T
    assert rays.shape == (541, 3)
    np.testing.assert_allclose(rays[270], (0.0735, -0.004, -0.9973), atol=1e-4)  # straight down
    assert np.abs(rays[:, 0]).max() < 0.08  # almost across the road
    assert rays[0, 2] == pytest.approx(np.sqrt(0.5), abs=0.01)  # 45 degrees up on both sides
    assert rays[540, 2] == pytest.approx(np.sqrt(0.5), abs=0.01)
    assert rays[0, 1] * rays[540, 1] < -0.4
    step = np.rad2deg(np.arccos((rays[1:] * rays[:-1]).sum(1)))
    np.testing.assert_allclose(step, 0.5, atol=1e-6)


def test_rays_of_a_turning_lidar_lie_in_rings():
    rays = LIDAR.rays()
    assert rays.shape == (32, 1088, 3)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1.0)
    elevation = np.rad2deg(np.arcsin(rays[..., 2]))
    expected = np.broadcast_to(np.linspace(-30.0, 10.0, 32)[:, None], elevation.shape)
    np.testing.assert_allclose(elevation, expected, atol=1e-9)
    azimuth = np.arctan2(rays[..., 1], rays[..., 0]) % (2 * np.pi)
    for number in (0, 17):
        np.testing.assert_allclose(np.diff(np.sort(azimuth[number])), 2 * np.pi / 1088, atol=1e-9)


def test_unknown_camera_and_rig_are_named():
    with pytest.raises(ValueError, match=r"among CAM_FRONT, .* got 'CAM_TOP'"):
        NUSCENES.camera('CAM_TOP')
    with pytest.raises(FileNotFoundError, match=r'truck\.yaml'):
        load_rig('truck')


def test_own_rig_may_lie_anywhere(tmp_path):
    path = tmp_path / 'mine.yaml'
    path.write_text(
        'camera_hz: 30\n'
        'cameras: [{channel: eye, focal_px: 50, height: 48, width: 64, x: 1, y: 0, z: 2}]\n'
    )
    rig = load_rig(str(path))
    assert rig.camera('eye').T_ego_camera[2, 3] == 2.0
    assert rig.lidars == ()


def lidar(**changes):
    values = {
        **{'channel': 'l', 'x': 0, 'y': 0, 'z': 0, 'hz': 1, 'num_rings': 1, 'lowest_deg': 0},
        **{'highest_deg': 0, 'num_azimuths': 2, 'range_m': 9, 'dark_range_m': 5},
        **{'min_range_m': 0, 'noise_m': 0},
    }
    return LidarMount(**(values | changes))


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: camera(focal_px=0), 'c: focal_px, height and width must be positive'),
        (lambda: lidar(num_rings=0), 'l: num_rings must be >= 1'),
        (lambda: lidar(opening_deg=361), 'opening_deg in'),
        (lambda: lidar(noise_m=-1), 'noise_m >= 0'),
        (lambda: lidar(min_range_m=9), '0 <= min_range_m < range_m, got 9 and 9'),
        (lambda: Rig(camera_hz=1, cameras=()), 'at least one camera'),
        (lambda: Rig(camera_hz=0, cameras=(camera(),)), 'camera_hz > 0'),
        (lambda: Rig(camera_hz=1, cameras=(camera(), camera())), 'got c more than once'),
    ],
)
def test_faulty_rig_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
