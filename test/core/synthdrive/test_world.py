import dataclasses

import numpy as np
import pytest
from ssd_depth_core.surface_classes import SURFACE_CLASSES
from ssd_depth_core.synthdrive.primitives import Material, Shape
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT
from ssd_depth_core.synthdrive.world import City, city_style, LANE_WIDTH_M, to_tensor
import torch


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in type(a).__slots__)


def test_same_seed_same_city_other_seed_other():
    (a, lamps_a), (b, lamps_b) = (City(3).near(10.0, 0.0) for _ in range(2))
    assert same(a, b)
    np.testing.assert_array_equal(lamps_a.position, lamps_b.position)
    assert city_style(3) != city_style(4)
    c, _ = City(4).near(10.0, 0.0)
    assert len(a) != len(c) or not same(a, c)


def test_a_block_is_the_same_wherever_one_comes_from():
    visited, fresh = City(5), City(5)
    visited.near(-400.0, 300.0)
    visited.near(0.0, 250.0)
    assert same(visited.near(20.0, 10.0)[0], fresh.near(20.0, 10.0)[0])


def test_near_grows_with_the_radius_and_surrounds_the_place():
    city = City(5)
    small, large = (city.near(300.0, -200.0, radius)[0] for radius in (40.0, 170.0))
    assert 100 < len(small) < len(large)
    away = small.center[:, :2] - torch.tensor([300.0, -200.0])
    assert (away.amin(0) < -20).all()
    assert (away.amax(0) > 20).all()


@pytest.mark.parametrize(('terrain', 'rich'), [(FLAT, False), (draw_terrain(3), True)])
def test_all_that_stands_in_a_city_is_named(terrain, rich):
    parts = [City(seed, terrain, rich=rich).near(0.0, 0.0, 40.0)[0] for seed in range(3)]
    found = torch.cat([part.surface_class for part in parts])
    # Whatever has no name, `UNKNOWN_CLASS`, is out of the list.
    assert {SURFACE_CLASSES[place] for place in found.unique().tolist()} == (
        set(SURFACE_CLASSES) - {'road', 'sky', 'rider'}
    )
    for material, name in ((Material.PAVEMENT, 'sidewalk'), (Material.GRASS, 'terrain')):
        for part in parts:
            named = part.surface_class == SURFACE_CLASSES.index(name)
            assert torch.equal(named, part.material == material)


@pytest.mark.parametrize('seed', [0, 1, 2, 3, 4, 6])
def test_slabs_end_at_the_kerbs_and_buildings_stand_on_them(seed):
    city = City(seed)
    style = city.style
    solids, _ = city.near(0.0, 0.0, 60.0)
    assert solids.center.isfinite().all()
    assert (solids.half_size > 0).all()
    offset = (solids.center[:, 1] + style.pitch[1] / 2) % style.pitch[1] - style.pitch[1] / 2
    blocks = (solids.material == Material.PAVEMENT).nonzero()[:, 0]
    # Slabs end at the kerbs of the roads along x and along y.
    px, py = style.pitch
    for block in blocks.tolist():
        x0 = float(solids.center[block, 0] - solids.half_size[block, 0])
        y0 = float(solids.center[block, 1] - solids.half_size[block, 1])
        assert (x0 - style.half_road[1]) / px == pytest.approx(
            round((x0 - style.half_road[1]) / px), abs=1e-4
        )
        assert (y0 - style.half_road[0]) / py == pytest.approx(
            round((y0 - style.half_road[0]) / py), abs=1e-4
        )
    walls = (solids.material == Material.FACADE) | (solids.material == Material.BRICK)
    walls &= solids.half_size[:, :2].amin(1) > 2.0  # buses have windows too
    assert (offset[walls].abs() > style.half_road[0]).all()


def test_lamps_hang_above_the_road():
    city = City(6)
    _, lamps = city.near(0.0, 0.0)
    assert len(lamps.position) > 10
    assert lamps.position[:, 2].min() > 4.0
    assert (lamps.intensity > 0).all()
    position, intensity = to_tensor(lamps, torch.device('cpu'))
    assert position.dtype == intensity.dtype == torch.float32
    np.testing.assert_allclose(position, lamps.position, rtol=1e-6)


def test_styles_vary_within_their_ranges():
    styles = [city_style(seed) for seed in range(100)]
    assert {style.drive_side for style in styles} == {-1, 1}
    assert {style.lane_marks for style in styles} == {0, 1, 2, 3}
    for style in styles:
        assert min(style.half_road) >= LANE_WIDTH_M
        assert all(p > 2 * max(style.half_road) + 25 for p in style.pitch)
        assert sum(style.district_odds) == pytest.approx(1.0)
        assert 0 <= style.crowd <= 0.81
        colours = (*style.asphalt, *style.paint, *style.pavement)
        assert 0 < min(colours) <= max(colours) < 1
    assert dataclasses.replace(styles[0], seed=1) != styles[0]


@pytest.mark.parametrize('seed', [1, 4, 5])
def test_on_hills_houses_keep_out_of_the_road_and_reach_the_ground(seed):
    terrain, style = draw_terrain(seed), city_style(seed)
    solids, lamps = City(seed, terrain).near(30.0, 20.0, 120.0)
    wide = solids.half_size[:, :2].amin(1) > 1.3  # wider than a bus
    tall = solids.half_size[:, 2] > 1.2
    houses = solids.select((solids.shape == Shape.BOX) & wide & tall)
    assert len(houses) > 50
    sides = (-1.0, 0.0, 1.0)
    foot = torch.tensor([[x, y, -1.0] for x in sides for y in sides])
    foot = (foot * houses.half_size[:, None]) @ houses.rotation.transpose(1, 2)
    x, y, z = (foot + houses.center[:, None]).unbind(-1)
    inset = [
        (at - (at / pitch).round() * pitch).abs() - half
        for at, pitch, half in zip(
            terrain.to_street(x, y), style.pitch, style.half_road[::-1], strict=True
        )
    ]
    low = (z - terrain.height(x, y)).amin(1) < 2.0
    assert torch.minimum(*inset)[low].min() > 1.0
    bodies = houses.select(houses.material == Material.FACADE)
    bottom = bodies.center[:, 2] - bodies.half_size[:, 2]
    stands = (bottom - terrain.height(*bodies.center[:, :2].unbind(1))).abs() < 1e-3
    assert stands.sum() > 10
    height = lamps.position[:, 2] - terrain.height(*lamps.position[:, :2].T)
    assert 4.0 < height.min() < height.max() < 10.0
