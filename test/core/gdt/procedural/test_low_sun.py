import numpy as np
import pytest
from ssd_depth_core.gdt.procedural import ProceduralConfig
from ssd_depth_core.gdt.procedural.low_sun import low_sun
from ssd_depth_core.gdt.procedural.scene import scene_of

# A picture of one grey, so that what differs is the sun.
GREY = np.full((96, 160, 3), 100, np.uint8)


@pytest.fixture
def scene(request_for):
    return scene_of(request_for('low-sun', picture=GREY), ProceduralConfig())


@pytest.fixture
def sun_in_the_middle(monkeypatch):
    monkeypatch.setattr('ssd_depth_core.gdt.procedural.low_sun._ASIDE', (0.5, 0.5))


def test_the_veil_is_brightest_at_the_sun_and_warm(scene, sun_in_the_middle):
    light = low_sun(scene, 1.0, ProceduralConfig(), np.random.default_rng(0))
    row, column = np.unravel_index(light[..., 0].argmax(), light.shape[:2])
    assert column == pytest.approx(80, abs=1)
    assert 20 <= row <= 44  # 2 to 10 degrees over the horizon
    assert light[row, column, 0] > 1.0
    assert light[row, column, 0] > light[row, column, 1] > light[row, column, 2]


def test_the_sun_gilds_the_road_below_it(scene, sun_in_the_middle):
    light = low_sun(scene, 1.0, ProceduralConfig(), np.random.default_rng(0))
    assert light[65, 80, 0] > 1.3 * light[65, 150, 0]


def test_a_wall_hides_the_sun_but_not_all_of_its_veil(request_for, sun_in_the_middle):
    inverse_depth = request_for('fog').depth.inverse_depth.copy()
    inverse_depth[:57] = 1 / 20
    hidden = scene_of(
        request_for('low-sun', picture=GREY, inverse_depth=inverse_depth), ProceduralConfig()
    )
    light = low_sun(hidden, 1.0, ProceduralConfig(), np.random.default_rng(0))
    assert light[:57].max() < 0.6
    assert light[30, 80, 0] > light[30, 5, 0]
