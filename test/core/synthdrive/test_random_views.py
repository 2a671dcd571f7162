import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import draw_view, on_terrain, random_pictures
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT
from ssd_depth_core.synthdrive.world import City
import torch

CPU = torch.device('cpu')


def pictures(city, conditions, height=64, width=96):
    with torch.inference_mode():
        return list(random_pictures(city, conditions, height, width, CPU, NoiseBank()))


@pytest.fixture(scope='module')
def twins():
    """Two views of each of two cities, in all conditions."""
    return [p for city in (1, 2) for p in pictures(city, (RENDERED_CONDITIONS,) * 2)]


def test_twins_are_aligned_by_one_exact_depth(twins):
    for picture in twins:
        assert picture.depth.shape == (64, 96)
        assert picture.depth.dtype == np.float32
        assert (picture.depth > 0).all()
        assert tuple(picture.images) == RENDERED_CONDITIONS
        assert all(i.shape == (64, 96, 3) and i.dtype == np.uint8 for i in picture.images.values())


def test_depth_does_not_depend_on_the_condition(twins):
    for condition in RENDERED_CONDITIONS:
        alone = pictures(1, ((condition,),) * 2)
        for picture, twin in zip(alone, twins, strict=False):
            assert list(picture.images) == [condition]
            assert picture.depth.tobytes() == twin.depth.tobytes()
            assert picture.images[condition].tobytes() == twin.images[condition].tobytes()


def test_night_is_darker_and_rain_less_contrasty(twins):
    def mean(condition, statistic):
        return np.mean([statistic(p.images[condition].astype(float)) for p in twins])

    assert mean('night', np.mean) < 0.6 * mean('day-clear', np.mean)
    assert mean('day-rain', np.std) < 0.9 * mean('day-clear', np.std)


def test_other_city_other_pictures(twins):
    first, other = twins[0], twins[2]
    assert first.view.city_seed == 1
    assert other.view.city_seed == 2
    assert first.depth.tobytes() != other.depth.tobytes()
    assert not np.array_equal(first.view.K, other.view.K)


def test_ground_depth_follows_from_the_drawn_camera(twins):
    met = 0
    v, u = np.mgrid[:64, :96]
    for picture in twins:
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(picture.view.K).T
        down = -(rays @ picture.view.T_world_camera[:3, :3].T)[..., 2]
        below = down > 1e-3
        depth, ground = picture.depth[below], picture.view.T_world_camera[2, 3] / down[below]
        assert (depth <= ground * 1.001).all()  # nothing is seen below the ground
        met += (depth > ground * 0.999).sum()
    assert met > 2000


def test_classes_agree_with_depth(twins):
    place, seen = SURFACE_CLASSES.index, set()
    v, u = np.mgrid[:64, :96]
    for picture in twins:
        classes = picture.classes
        assert classes.dtype == np.uint8
        np.testing.assert_array_equal(classes == place('sky'), np.isinf(picture.depth))
        rays = np.stack([u, v, np.ones_like(u)], -1) @ np.linalg.inv(picture.view.K).T
        down = -(rays @ picture.view.T_world_camera[:3, :3].T)[..., 2]
        height = picture.view.T_world_camera[2, 3]
        road = classes == place('road')
        np.testing.assert_allclose(picture.depth[road], height / down[road], rtol=1e-3)
        # All else that stands before the sky is seen above the road's plane.
        others = ~road & (down > 1e-3)
        assert (picture.depth[others] < height / down[others]).mean() > 0.99
        seen |= set(np.unique(classes).tolist())
    assert UNKNOWN_CLASS not in seen
    assert {place(name) for name in ('road', 'sidewalk', 'building', 'sky')} <= seen


def test_views_vary_within_their_ranges():
    city = City(9)
    views = [draw_view(city, seed, 192, 320) for seed in range(200)]
    heights = np.array([view.T_world_camera[2, 3] for view in views])
    focal = np.array([view.K[0, 0] for view in views]) / 320
    assert heights.min() >= 1.15
    assert heights.max() <= 2.1
    assert focal.min() >= 0.5
    assert focal.max() <= 1.25
    assert 0.15 < np.mean([view.clutter for view in views]) < 0.45
    for view in views:
        R = view.T_world_camera[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(R) == pytest.approx(1.0)
        assert R[2, 1] < -0.8  # the picture's down is the world's down
    again = draw_view(city, 7, 192, 320)
    np.testing.assert_array_equal(again.T_world_camera, views[7].T_world_camera)


def test_views_on_hills_keep_their_camera_in_the_car():
    terrain, city = draw_terrain(3), City(3)
    for seed in range(5):
        view = draw_view(city, seed, 96, 160)
        assert on_terrain(view, FLAT) is view
        place = np.array([view.x, view.y])
        moved = on_terrain(view, terrain)
        T_flat, T_hilly = (ground.pose(place, view.yaw) for ground in (FLAT, terrain))
        np.testing.assert_allclose(
            np.linalg.inv(T_hilly) @ moved.T_world_camera,
            np.linalg.inv(T_flat) @ view.T_world_camera,
            atol=1e-9,
        )
        np.testing.assert_allclose((moved.x, moved.y), T_hilly[:2, 3])
        np.testing.assert_allclose(
            (np.cos(moved.yaw), np.sin(moved.yaw)),
            T_hilly[:2, 0] / np.hypot(*T_hilly[:2, 0]),
        )
        eye = moved.T_world_camera[:3, 3]
        assert 1.0 < eye[2] - terrain.height(eye[:1], eye[1:2])[0] < 2.3
