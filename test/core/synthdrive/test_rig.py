import numpy as np
import pytest
from ssd_depth_core.synthdrive.rig import CAMERAS, LIDAR


@pytest.mark.parametrize('mount', CAMERAS.values(), ids=CAMERAS)
def test_cameras_look_where_their_yaw_says(mount):
    T = mount.T_ego_camera
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(T[:3, :3]) == pytest.approx(1.0)
    yaw = np.deg2rad(mount.yaw_deg)
    np.testing.assert_allclose(T[:3, 2], (np.cos(yaw), np.sin(yaw), 0.0), atol=1e-12)
    np.testing.assert_allclose(T[:3, 1], (0, 0, -1), atol=1e-12)  # the picture's down
    np.testing.assert_allclose(T[:3, 3], (mount.x, mount.y, mount.z))


def test_front_camera_sees_the_left_on_the_left():
    mount = CAMERAS['CAM_FRONT']
    point = np.linalg.inv(mount.T_ego_camera) @ (11.70, 1.0, 0.51, 1.0)
    u, v, w = mount.intrinsics(900, 1600) @ point[:3]
    assert (u / w, v / w) == pytest.approx((799.5 - 126.6, 449.5 + 126.6))


def test_intrinsics_scale_with_the_picture():
    mount = CAMERAS['CAM_BACK']
    full, half = mount.intrinsics(900, 1600), mount.intrinsics(450, 800)
    np.testing.assert_allclose(half[:2, :2], full[:2, :2] / 2)
    np.testing.assert_allclose(half[:2, 2], (399.5, 224.5))


def test_rig_is_nuscenes_six_cameras():
    assert len(CAMERAS) == 6
    assert all(name == mount.channel for name, mount in CAMERAS.items())


def test_lidar_rays_lie_in_rings():
    rays, ring = LIDAR.bundles()
    assert rays.shape == (32 * 1088 // 64, 64, 3)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=-1), 1.0)
    elevation = np.rad2deg(np.arcsin(rays[..., 2]))
    np.testing.assert_allclose(elevation, np.linspace(-30.0, 10.0, 32)[ring], atol=1e-9)
    assert np.bincount(ring.ravel()).tolist() == [1088] * 32
    azimuth = np.arctan2(rays[..., 1], rays[..., 0])
    for number in (0, 17):
        turn = np.sort(azimuth[ring == number] % (2 * np.pi))
        np.testing.assert_allclose(np.diff(turn), 2 * np.pi / 1088, atol=1e-9)


def test_a_bundle_holds_neighbours():
    rays, _ = LIDAR.bundles()
    axis = rays.mean(1, keepdims=True)
    cosine = (rays * axis).sum(-1) / np.linalg.norm(axis, axis=-1)
    assert np.rad2deg(np.arccos(cosine.min())) < 6.0  # 8 rings are 9 degrees high


def test_lidar_stands_level_on_the_roof():
    np.testing.assert_array_equal(LIDAR.T_ego_lidar[:3, :3], np.eye(3))
    np.testing.assert_array_equal(LIDAR.T_ego_lidar[:3, 3], (0.94, 0.0, 1.84))
