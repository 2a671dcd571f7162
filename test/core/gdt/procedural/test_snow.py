import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.falling import rain_streaks, snow_flakes
from ssd_depth_core.gdt.procedural.scene import scene_of
from ssd_depth_core.gdt.procedural.snow import facing_up, snow_cover


@pytest.fixture
def scene(request_for):
    return scene_of(request_for('snow'), ProceduralConfig())


def test_roads_face_up_and_walls_do_not(scene):
    up = facing_up(scene)
    assert up[62:92, 10:150].min() == 1
    assert up[29:50, 5:55].max() == 0
    assert up[:15].max() == 0  # the sky


def test_snow_lies_on_the_ground_and_not_on_walls(scene):
    cover = snow_cover(scene, np.random.default_rng(2))
    assert cover.min() >= 0
    assert cover.max() <= 1
    assert cover[60:].mean() > 0.3
    assert cover[29:50, 5:55].max() == 0


@pytest.mark.parametrize('fall', [lambda s, r: rain_streaks(s, 0.01, r), snow_flakes])
def test_what_falls_is_hidden_by_what_stands_nearer(fall, request_for, scene):
    near = scene_of(
        request_for('snow', inverse_depth=np.full((96, 160), 1.0, np.float32)), ProceduralConfig()
    )
    assert fall(near, np.random.default_rng(0)).max() == 0
    veil = fall(scene, np.random.default_rng(0))
    assert 0 < veil.mean() < 0.2
    assert veil.min() >= 0
    assert veil.max() <= 1


def test_longer_exposures_draw_longer_streaks(scene):
    short, long = (rain_streaks(scene, t, np.random.default_rng(0)).sum() for t in (0.002, 0.02))
    assert long > 2 * short
