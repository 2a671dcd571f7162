import numpy as np
import pytest
from ssd_depth_core.synthdrive.buildings import rich_building
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape
from ssd_depth_core.synthdrive.world import City

DISTRICTS = ('terrace', 'houses', 'industrial', 'towers')
SIZE = (12.0, 10.0)
CITIES = (0, 3, 9, 11)
"""Of terraces, mixed, of towers, and of houses and towers."""


def rich(district, seed, height=15.0):
    rng = np.random.default_rng(seed)
    builder = Builder(rng)
    rich_building(builder, rng, *SIZE, height, district)
    return builder.build()


def corners(solids):
    reach = (solids.rotation.abs() @ solids.half_size[..., None])[..., 0]
    return solids.center - reach, solids.center + reach


@pytest.mark.parametrize('district', DISTRICTS)
def test_house_leaves_the_pavement_free(district):
    for seed in range(30):
        solids = rich(district, seed)
        low, high = corners(solids)
        # Up to the height of a person nothing reaches out farther than a window sill: but where
        # there is a garden before the house.
        before_door = 2.6 if district == 'houses' else 0.2
        at_street = low[:, 2] < 2.0
        assert (low[at_street, 1] > -SIZE[1] / 2 - before_door).all()
        assert (low[:, 1] > -SIZE[1] / 2 - 2.6).all()
        assert (low[:, 0] > -SIZE[0] / 2 - 0.5).all()
        assert (high[:, 0] < SIZE[0] / 2 + 0.5).all()
        assert low[:, 2].min() == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize('district', DISTRICTS)
def test_nothing_floats_above_the_house(district):
    for seed in range(30):
        low, high = corners(rich(district, seed))
        # Every part but the lowest begins within the height that those below it reach.
        order = np.argsort(low[:, 2].numpy())
        reached = 0.0
        for i in order:
            assert low[i, 2] <= reached + 1e-4
            reached = max(reached, float(high[i, 2]))
        assert 15.0 - 1e-3 <= reached < 30.0


def test_houses_differ_and_some_have_lit_shops():
    drawn = [rich('terrace', seed) for seed in range(40)]
    assert len({len(solids) for solids in drawn}) > 6
    shops = [(s.material == Material.LIGHT).any() for s in drawn]
    assert 5 < sum(map(int, shops)) < 35
    assert any((s.shape == Shape.CYLINDER).any() for s in (rich('towers', i) for i in range(9)))


def test_rich_city_costs_little_more_than_a_plain_one():
    counts = np.array([
        [len(City(seed, rich=rich).near(40.0, 0.0)[0]) for rich in (False, True)]
        for seed in CITIES
    ])  # fmt: skip
    plain, furnished = counts.sum(0)
    assert plain < furnished < 1.15 * plain
