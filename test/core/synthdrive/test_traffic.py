from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.surface_classes import SURFACE_CLASSES
from ssd_depth_core.synthdrive.primitives import Material, Primitives
from ssd_depth_core.synthdrive.traffic import clutter, traffic
from ssd_depth_core.synthdrive.world import city_style, LANE_WIDTH_M
import torch

STYLE = replace(city_style(0), pitch=(80.0, 90.0), half_road=(6.5, 6.5), crowd=0.5)


def same(a, b):
    names = Primitives.__slots__
    return len(a) == len(b) and all(torch.equal(getattr(a, n), getattr(b, n)) for n in names)


def bodies(solids):
    return solids.select(solids.material == Material.CAR_BODY)


def test_same_seed_same_traffic_other_seed_other():
    assert same(traffic(STYLE, 1, 0.0, 0.0, 0.0), traffic(STYLE, 1, 0.0, 0.0, 0.0))
    assert not same(traffic(STYLE, 1, 0.0, 0.0, 0.0), traffic(STYLE, 2, 0.0, 0.0, 0.0))


@pytest.mark.parametrize('side', [-1, 1])
def test_cars_keep_to_their_lane_and_drive_the_right_way(side):
    style = replace(STYLE, drive_side=side)
    heading_x = 0
    for seed in range(10):
        cars = bodies(traffic(style, seed, 5.0, -1.5, 0.0))
        heading = cars.rotation[:, :2, 0]  # where each one's x axis points
        y = cars.center[:, 1]
        along_x = heading[:, 0].abs() > 0.9
        on_this_road = along_x & (y.abs() < 6.5)
        heading_x += int(on_this_road.sum())
        # Heading +x, keeping right is at y < 0.
        assert (y * heading[:, 0].sign() * side > 0)[on_this_road].all()
        lane = (y.abs() / LANE_WIDTH_M - 0.5)[on_this_road]
        assert ((lane - lane.round()).abs() * LANE_WIDTH_M < 0.4).all()
        x = cars.center[:, 0]
        across = ~along_x & (x.abs() < 6.5)
        # Heading +y, keeping right is at x > 0.
        assert (x * heading[:, 1].sign() * side < 0)[across].all()
    assert heading_x > 30


def test_the_cameras_own_place_stays_free():
    for seed in range(20):
        solids = traffic(STYLE, seed, 5.0, -1.5, 0.0)
        cars = bodies(solids)
        away = (cars.center[:, :2] - torch.tensor([5.0, -1.5])).norm(dim=1)
        assert (away > 7.0).all()  # 9 m from the vehicle's middle
        assert (solids.center - torch.tensor([5.0, -1.5, 1.5])).norm(dim=1).min() > 1.0


def test_traffic_and_clutter_are_named():
    def names(solids):
        above = solids.select(solids.center[:, 2] > -1.0)  # but for the one below the ground
        return {SURFACE_CLASSES[place] for place in above.surface_class.tolist()}

    assert names(traffic(STYLE, 1, 0.0, 0.0, 0.0)) == {'vehicle', 'rider', 'person'}
    assert names(clutter(1, 0.0, 0.0)) == {'object'}


def test_clutter_stands_on_the_ground_around_the_place():
    for seed in range(20):
        solids = clutter(seed, 100.0, -50.0)
        assert 1 <= len(solids) <= 13
        np.testing.assert_allclose(solids.center[:, 2], solids.half_size[:, 2], rtol=1e-6)
        away = (solids.center[:, :2] - torch.tensor([100.0, -50.0])).norm(dim=1)
        assert ((away > 4.9) & (away < 45.1)).all()
    assert same(clutter(3, 0.0, 0.0), clutter(3, 0.0, 0.0))
    assert not same(clutter(3, 0.0, 0.0), clutter(4, 0.0, 0.0))
