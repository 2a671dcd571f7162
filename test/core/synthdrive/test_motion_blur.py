import numpy as np
import pytest
from ssd_depth_core.synthdrive.camera import Camera, camera_rays, untile
from ssd_depth_core.synthdrive.motion_blur import blur, image_motion, LONGEST
import torch

DEPTH_M = 8.0


@pytest.fixture
def wall(camera_at):
    """A camera, and the points of a wall straight ahead that its pixels see, (H, W, 3)."""
    camera = camera_at()
    origin, rays = camera_rays(camera)
    return camera, untile(origin + DEPTH_M * rays, camera)


def shifted(camera, by):
    """The camera moved along its own axes [m]."""
    pose = camera.T_world_camera.clone()
    pose[:3, 3] += pose[:3, :3] @ torch.tensor(by)
    return Camera(camera.K, pose, camera.height, camera.width)


def test_image_moves_by_focal_length_times_shift_over_depth(wall):
    camera, points = wall
    motion = image_motion(points, points, camera, shifted(camera, (0.5, -0.2, 0.0)))
    expected = torch.tensor([-80.0 * 0.5 / DEPTH_M, 80.0 * 0.2 / DEPTH_M])
    np.testing.assert_allclose(motion, expected.expand_as(motion), atol=1e-3)


def test_driving_on_spreads_the_image_from_its_middle(wall):
    camera, points = wall
    motion = image_motion(points, points, camera, shifted(camera, (0.0, 0.0, 0.8)))
    x, y = torch.arange(96) - 47.5, torch.arange(64) - 31.5
    share = DEPTH_M / (DEPTH_M - 0.8) - 1
    np.testing.assert_allclose(motion[..., 0], (share * x).expand(64, 96), atol=1e-3)
    np.testing.assert_allclose(motion[..., 1], (share * y)[:, None].expand(64, 96), atol=1e-3)


def test_what_moves_with_the_car_stands_still(wall):
    camera, points = wall
    step = camera.T_world_camera[:3, :3] @ torch.tensor([0.0, 0.0, 0.4])
    motion = image_motion(points, points + step, camera, shifted(camera, (0.0, 0.0, 0.4)))
    assert motion.abs().max() < 1e-3


@pytest.mark.parametrize('length', [3.0, 9.0])
def test_an_edge_is_blurred_as_long_as_it_moves(length):
    picture = torch.zeros(64, 96, 3)
    picture[:, 48:] = 1.0
    motion = torch.zeros(64, 96, 2)
    motion[..., 0] = length
    row = blur(picture, motion)[32, :, 0]
    # A box of that length turns a step into a ramp: as wide, half of it on either side.
    np.testing.assert_allclose(row.sum(), 48.0, atol=0.3)
    slope = row.diff()
    x = torch.arange(95) + 0.5
    middle = (slope * x).sum() / slope.sum()
    spread = ((slope * (x - middle) ** 2).sum() / slope.sum()).sqrt()
    assert middle == pytest.approx(47.5, abs=0.05)
    # A box's deviation is its length / sqrt(12); sampling between pixels adds their own.
    assert spread == pytest.approx(((length**2 + 1) / 12) ** 0.5, rel=0.1)


def test_nothing_changes_where_nothing_moves():
    picture = torch.rand(64, 96, 3, generator=torch.Generator().manual_seed(0))
    still = torch.zeros(64, 96, 2)
    assert blur(picture, still) is picture
    half = still.clone()
    half[:, :48, 0] = 5.0
    blurred = blur(picture, half)
    assert torch.equal(blurred[:, 48:], picture[:, 48:])
    assert (blurred[:, :48] != picture[:, :48]).float().mean() > 0.9


def test_flat_pictures_stay_and_ways_are_limited():
    flat, far = torch.full((64, 96, 3), 0.4), torch.full((64, 96, 2), 500.0)
    np.testing.assert_allclose(blur(flat, far), flat, rtol=1e-5)
    point = torch.zeros(64, 96, 3)
    point[32, 48] = 1.0
    far[..., 1] = 0.0
    row = blur(point, far)[32, :, 0].nonzero()[:, 0]
    assert row.max() - row.min() <= LONGEST * 64 + 2
