import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.road import find_road, level_road
from ssd_depth_core.gdt.procedural.scene import FARTHEST_M, scene_of

K = np.array([[120.0, 0, 79.5], [0, 120.0, 47.5], [0, 0, 1]])


def plane(pitch_deg=0.0, roll_deg=0.0, camera_height=1.5):
    """Give the inverse depth of nothing but a plane, by casting rays; 0 above the horizon."""
    pitch, roll = np.radians([pitch_deg, roll_deg])
    normal = np.array([np.sin(roll), np.cos(roll) * np.cos(pitch), np.cos(roll) * np.sin(pitch)])
    u, v = np.meshgrid(np.arange(160), np.arange(96))
    rays = np.stack([(u - 79.5) / 120, (v - 47.5) / 120, np.ones_like(u)], -1)
    return ((rays @ normal) / camera_height).clip(min=0).astype(np.float32)


@pytest.mark.parametrize(('pitch', 'roll'), [(0, 0), (4, 0), (-3, 2)])
def test_the_plane_is_found_under_a_car_and_noise(pitch, roll):
    inverse_depth = plane(pitch, roll, camera_height=1.8)
    inverse_depth[45:80, 60:100] = 1 / 6
    inverse_depth *= np.random.default_rng(0).normal(1, 0.01, inverse_depth.shape)
    road = find_road(inverse_depth.astype(np.float32), K)
    assert road.camera_height == pytest.approx(1.8, rel=0.02)
    shown = road.inverse_depth(96, 160)
    np.testing.assert_allclose(shown[70:], plane(pitch, roll, 1.8)[70:], rtol=0.03)


def test_a_wall_and_the_bare_sky_are_no_road():
    assert find_road(np.full((96, 160), 0.2, np.float32), K) is None
    assert find_road(np.zeros((96, 160), np.float32), K) is None


def test_a_level_road_lies_below_the_horizon():
    np.testing.assert_allclose(
        level_road(K, 1.5).inverse_depth(96, 160).clip(min=0), plane(), atol=1e-6
    )


@pytest.mark.parametrize('unit', [1e-3, 1.0, 40.0])
@pytest.mark.parametrize('pitch', [0.0, 3.0])
def test_relative_depth_becomes_metric_within_5_percent(unit, pitch, request_for):
    truth = plane(pitch)
    truth[30:57, :50] = np.maximum(truth[30:57, :50], 1 / 18)
    request = request_for('fog', inverse_depth=np.float32(unit) * truth, metric=False)
    scene = scene_of(request, ProceduralConfig(camera_height_m=1.5))
    # Up to two pixels of the sky's edge are mixed with sky.
    near = (truth > 1 / 60) & (scene.sky == 0)
    assert near.mean() > 0.5
    np.testing.assert_allclose(scene.depth[near], 1 / truth[near], rtol=0.05)
    assert scene.road.camera_height == 1.5


def test_a_higher_camera_makes_the_same_relative_depth_longer(request_for):
    request = request_for('fog', inverse_depth=plane(), metric=False)
    low = scene_of(request, ProceduralConfig(camera_height_m=1.0))
    high = scene_of(request, ProceduralConfig(camera_height_m=2.0))
    np.testing.assert_allclose(high.depth[80], 2 * low.depth[80], rtol=1e-4)


def test_scenes_tell_road_wall_and_sky_apart(request_for):
    scene = scene_of(request_for('fog'), ProceduralConfig())
    assert scene.ground[70:].min() == 1
    assert scene.ground[25:45, 5:55].max() == 0
    assert scene.sky[5:15].min() > 0.9
    assert scene.sky[50:].max() < 0.01
    assert scene.depth.max() <= FARTHEST_M
    np.testing.assert_allclose(scene.depth[30, 20], 20, rtol=0.02)
    # 17.5 pixels above the horizon, 20 m away, 1.5 m is the camera's own height.
    assert scene.height[30, 20] == pytest.approx(1.5 + 17.5 / 120 * 20, rel=0.02)
    np.testing.assert_allclose(scene.height[80], 0, atol=0.02)
