from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.materials import appearance, NoiseBank
from ssd_depth_core.synthdrive.primitives import Material, Shape
from ssd_depth_core.synthdrive.renderer import cast, SKY, surface_at
from ssd_depth_core.synthdrive.sky import Sky
from ssd_depth_core.synthdrive.weather import HALF_TRACK_M, smear, snow_cover, weathered
from ssd_depth_core.synthdrive.world import city_style, LANE_WIDTH_M
import torch

STYLE = replace(city_style(0), pitch=(400.0, 400.0), half_road=(7.5, 7.5), lane_marks=0)
DRY = Sky(
    to_sun=(0.0, 0.0, 1.0), sun=(1.0,) * 3, zenith=(0.5,) * 3, horizon=(0.5,) * 3, clouds=0.0,
    extinction=0.0, wetness=0.0, night=False, head_lamps=0.0,
)  # fmt: skip


@pytest.fixture(scope='module')
def noise():
    return NoiseBank()


@pytest.fixture
def street(builder, camera_at, noise):
    """A box on the road 100 m from a junction: solids, what the camera sees, and its look."""
    builder.place(110.0, 1.0, 0.0)
    builder.add(Shape.BOX, (0, 0, 0.7), (1.0, 1.5, 0.7), (0.1, 0.05, 0.05))
    solids = builder.build()
    camera = camera_at(x=102.0, z=2.5, down=0.25)
    surface = surface_at(solids, camera, cast(solids, camera))
    return solids, surface, appearance(surface, solids, STYLE, noise)


def test_dry_weather_changes_nothing(street, noise):
    solids, surface, look = street
    assert weathered(look, surface, solids, STYLE, noise, DRY) is look


def test_snow_covers_what_faces_upwards_only(street, noise):
    solids, surface, look = street
    snowy = weathered(look, surface, solids, STYLE, noise, replace(DRY, snow=1.0))
    top = (surface.index == 0) & (surface.normal[..., 2] > 0.99)
    side = (surface.index == 0) & (surface.normal[..., 2] < 0.01)
    assert top.sum() > 50
    assert side.sum() > 50
    assert snowy.albedo[top].min() > 0.7
    assert look.albedo[top].max() < 0.3
    assert torch.equal(snowy.albedo[side], look.albedo[side])


def test_half_the_snow_lies_on_half_the_road(street, noise):
    solids, surface, _ = street
    road = surface.index == GROUND
    share = [
        float(snow_cover(surface, solids, STYLE, noise, amount)[0][road].mean())
        for amount in (0.3, 0.6, 1.0)
    ]
    assert share[0] < 0.75 * share[1] < 0.75 * share[2]


def test_wheels_leave_two_tracks_in_every_lane(builder, camera_at, noise):
    builder.place(0.0, 0.0, 0.0, z=-50.0)
    builder.add(Shape.BOX, (0, 0, 0), (0.1, 0.1, 0.1), (0.5,) * 3)
    solids = builder.build()
    camera = camera_at(x=100.0, z=6.0, down=1.2)
    surface = surface_at(solids, camera, cast(solids, camera))
    cover, wheels = snow_cover(surface, solids, STYLE, noise, 1.0)
    road = surface.index == GROUND
    y = surface.position[..., 1][road]
    aside = (y.abs() % LANE_WIDTH_M - LANE_WIDTH_M / 2).abs()
    in_track = (aside - HALF_TRACK_M).abs() < 0.1
    between = aside < 0.1
    assert cover[road][in_track].mean() < 0.5 * cover[road][between].mean()
    assert wheels[road][in_track].mean() > 3 * wheels[road][between].mean()
    lanes = int((STYLE.half_road[0] - 0.2) / LANE_WIDTH_M)
    kerb = y.abs() > lanes * LANE_WIDTH_M
    assert not kerb.any() or wheels[road][kerb].max() == 0


def test_leaves_and_lamps_stay_darker_than_roofs(builder, camera_at, noise):
    builder.place(8.0, 0.0, 0.0)
    builder.add(
        Shape.ELLIPSOID, (0, 0, 1.0), (1.0, 1.0, 1.0), (0.05, 0.1, 0.05),
        material=Material.FOLIAGE,
    )  # fmt: skip
    solids = builder.build()
    camera = camera_at(z=3.5, down=0.4)
    surface = surface_at(solids, camera, cast(solids, camera))
    cover, wheels = snow_cover(surface, solids, STYLE, noise, 1.0)
    assert 0.5 < cover[surface.index == 0].max() <= 0.7
    assert wheels[surface.index == 0].max() == 0
    assert not cover[surface.index == SKY].any()


def test_water_darkens_the_road_only(street, noise):
    solids, surface, look = street
    wet = weathered(look, surface, solids, STYLE, noise, replace(DRY, wetness=0.8))
    road = surface.index == GROUND
    torch.testing.assert_close(wet.albedo[road], 0.6 * look.albedo[road])
    assert torch.equal(wet.albedo[~road], look.albedo[~road])


def test_reflections_are_drawn_out_vertically_and_keep_their_light():
    picture = torch.zeros(64, 32, 3)
    picture[32, 16] = 8.0
    seen = torch.ones(64, 32, dtype=torch.bool)
    drawn = smear(picture, seen, 12)
    np.testing.assert_allclose(drawn.sum(), picture.sum(), rtol=1e-3)
    assert drawn[:, :16].max() == 0
    assert drawn[:, 17:].max() == 0
    column = drawn[:, 16, 0]
    assert (column > 0).sum() >= 12
    assert (column > 0).sum() <= 2 * 12 + 8
    assert column.argmax() in range(28, 37)


def test_reflections_leave_out_what_is_no_mirror():
    picture = torch.full((64, 32, 3), 0.5)
    picture[:20] = 100.0
    seen = torch.zeros(64, 32, dtype=torch.bool)
    seen[20:] = True
    np.testing.assert_allclose(smear(picture, seen, 12)[20:], 0.5, rtol=1e-4)
