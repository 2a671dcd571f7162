import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.scene import scene_of
from ssd_depth_core.gdt.procedural.wet_road import mirrored, wet_road


@pytest.fixture
def scene(request_for):
    return scene_of(request_for('day-rain'), ProceduralConfig())


def test_only_the_ground_gets_wet(scene):
    wet = wet_road(scene.light, scene, 1.0, np.random.default_rng(0))
    changed = np.abs(wet - scene.light).max(-1) > 1e-6
    assert not changed[scene.ground == 0].any()
    assert changed[scene.ground == 1].mean() > 0.99


def test_a_dry_road_is_left(scene):
    dry = wet_road(scene.light, scene, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(dry, scene.light, atol=1e-6)


def test_a_wet_road_below_a_black_street_is_darker(scene):
    # With nothing to mirror but black, film and Fresnel both take light away.
    light = scene.light * (scene.ground > 0)[..., None]
    wet = wet_road(light, scene, 1.0, np.random.default_rng(0))
    near = wet[85:].sum() / light[85:].sum()
    assert 0.35 < near < 0.55


def test_a_mirror_shows_a_point_as_far_below_the_road_as_it_stands_above(scene):
    # The wall stands at 20 m, its foot 9 rows under the horizon: row 47.5 + 9. A mark k rows
    # above the foot is mirrored k rows below it.
    light = np.zeros_like(scene.light)
    light[40:43, 20:30] = (0, 1, 0)
    image = mirrored(light, scene)
    assert image.shape[:2] == light.shape[:2]
    rows = np.flatnonzero(image[:, 25, 1] > 0.5)
    assert rows.mean() == pytest.approx(2 * 56.5 - 41, abs=1.0)
    assert image[rows, 100, 1].max() == 0


def test_near_things_hide_the_mirror_images_of_far_ones(request_for):
    inverse_depth = request_for('fog').depth.inverse_depth.copy()
    inverse_depth[20:66, :60] = 0.1  # a wall at 10 m before the one at 20 m
    scene = scene_of(request_for('fog', inverse_depth=inverse_depth), ProceduralConfig())
    light = np.zeros_like(scene.light)
    light[20:66, :60] = (1, 0, 0)
    image = mirrored(light, scene)
    below = image[68:90, 10:50]
    assert below[below[..., 3] > 0][:, 0].min() == 1
