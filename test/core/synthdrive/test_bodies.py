import numpy as np
import pytest
from ssd_depth_core.surface_classes import SURFACE_CLASSES
from ssd_depth_core.synthdrive.bodies import CATEGORIES, draw_body
from ssd_depth_core.synthdrive.primitives import Shape

SIZES = {  # longest, widest, highest, and mirrors too, and shortest, lowest [m]
    'car': (5.0, 2.0, 1.7, 3.6, 1.2),
    'suv': (5.0, 2.0, 2.0, 3.6, 1.5),
    'van': (5.9, 2.1, 2.5, 4.5, 1.9),
    'lorry': (10.2, 3.0, 3.8, 7.3, 3.0),
    'bus': (12.6, 3.0, 3.2, 10.4, 2.9),
    'cyclist': (1.85, 0.7, 1.85, 1.7, 1.7),
    'pedestrian': (0.6, 0.7, 2.0, 0.2, 1.4),
}


@pytest.mark.parametrize('kind', CATEGORIES)
def test_body_stands_on_the_ground_and_has_a_plausible_size(kind):
    for seed in range(8):
        body = draw_body(kind, np.random.default_rng(seed), 4)
        length, width, height = body.high - body.low
        longest, widest, highest, shortest, lowest = SIZES[kind]
        assert shortest < length < longest
        assert width < widest
        assert lowest < height < highest
        assert body.low[2] == pytest.approx(0.0, abs=0.08)
        assert length / 2 <= body.length / 2 < length / 2 + 0.3
        assert (body.solids.actor == 4).all()


@pytest.mark.parametrize('kind', CATEGORIES)
def test_all_of_a_body_has_one_name(kind):
    name = {'cyclist': 'rider', 'pedestrian': 'person'}.get(kind, 'vehicle')
    solids = draw_body(kind, np.random.default_rng(2), 0).solids
    assert (solids.surface_class == SURFACE_CLASSES.index(name)).all()


@pytest.mark.parametrize('kind', ['car', 'van', 'lorry', 'bus', 'cyclist'])
def test_vehicles_shine_white_ahead_and_red_behind(kind):
    solids = draw_body(kind, np.random.default_rng(1), 0).solids
    low = solids.select((solids.emission.sum(1) > 0) & (solids.center[:, 2] < 1.2))
    red = low.emission[:, 0] > 5 * low.emission[:, 1]
    assert red.any()
    assert (~red).any()
    assert (low.center[red, 0] < 0).all()
    assert (low.center[~red, 0] > 0).all()


def test_cyclist_has_two_upright_wheels_on_the_ground():
    solids = draw_body('cyclist', np.random.default_rng(2), 0).solids
    upright = (solids.shape == Shape.CYLINDER) & (solids.rotation[:, 1, 2].abs() > 0.999)
    tyres = solids.select(upright & (solids.half_size[:, 0] > 0.32))
    assert sorted(tyres.center[:, 0] > 0) == [False, True]
    np.testing.assert_allclose(tyres.center[:, 2], tyres.half_size[:, 0], atol=1e-6)
