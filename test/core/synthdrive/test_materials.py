from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.materials import appearance, NoiseBank
from ssd_depth_core.synthdrive.primitives import Material, Shape
from ssd_depth_core.synthdrive.renderer import cast, surface_at
from ssd_depth_core.synthdrive.world import city_style
import torch

STYLE = replace(
    city_style(0), pitch=(60.0, 60.0), half_road=(4.0, 4.0), drive_side=-1, lane_marks=2,
    asphalt=(0.1, 0.1, 0.1), paint=(0.7, 0.7, 0.7),
)  # fmt: skip


@pytest.fixture(scope='module')
def noise():
    return NoiseBank()


def painted(solids, camera, noise, style=STYLE):
    surface = surface_at(solids, camera, cast(solids, camera))
    return surface, appearance(surface, solids, style, noise)


def bare_ground(builder):
    builder.add(Shape.BOX, (0, 0, -50.0), (0.1, 0.1, 0.1), (0.5, 0.5, 0.5))
    return builder.build()


def grid(count=20000):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, count, generator=generator) * 100.0


@pytest.mark.parametrize('layer', range(6))
def test_noise_has_unit_spread_and_fades_with_the_footprint(noise, layer):
    u, v = grid()
    spread = [
        noise(u, v, 10.0, torch.full_like(u, foot), layer).std().item()
        for foot in (0.001, 0.1, 1.0, 5.0, 100.0)
    ]
    assert 0.7 < spread[0] < 1.1
    assert all(b <= a + 0.02 for a, b in pairwise(spread))
    assert spread[-1] < 0.4 * spread[0]
    assert abs(noise(u, v, 10.0, torch.full_like(u, 0.001), layer).mean()) < 0.1


def test_noise_repeats_after_its_period_and_by_seed(noise):
    u, v = grid(500)
    foot = torch.full_like(u, 0.01)
    np.testing.assert_allclose(
        noise(u, v, 16.0, foot), noise(u + 16.0, v - 32.0, 16.0, foot), atol=0.02
    )
    assert torch.equal(noise(u, v, 16.0, foot), NoiseBank(0)(u, v, 16.0, foot))
    assert not torch.equal(noise(u, v, 16.0, foot), NoiseBank(1)(u, v, 16.0, foot))


def test_noise_takes_a_layer_for_each_point(noise):
    u, v = grid(6)
    foot = torch.full_like(u, 0.01)
    mixed = noise(u, v, 16.0, foot, torch.arange(6))
    single = [noise(u, v, 16.0, foot, layer)[layer] for layer in range(6)]
    assert torch.equal(mixed, torch.stack(single))


@pytest.mark.parametrize('distance', [12.0, 40.0, 300.0])
def test_windows_cover_the_same_share_of_a_wall_near_and_far(builder, camera_at, noise, distance):
    builder.place(distance, 0.0, 0.0)
    builder.add(
        Shape.BOX, (1.0, 0, 0), (1.0, 90.0, 90.0), (0.3, 0.3, 0.3), material=Material.FACADE,
        pattern=(2.0, 3.0, 0.5),
    )  # fmt: skip
    solids = builder.build()
    # A camera that sees a whole number of cells of the wall, or very many.
    camera = camera_at(z=45.0, focal=min(96 * distance / 24.0, 4 * distance))
    surface, look = painted(solids, camera, noise)
    offset = solids.pattern[0, 3].item()
    wide, tall = 0.22 + 0.2 * (offset * 31 % 1), 0.22 + 0.22 * (offset * 57 % 1)
    wall = surface.index == 0
    assert wall.float().mean() > 0.9
    share = (look.gloss[wall] / 0.5).mean().item()  # glass is glossy, the wall is not
    assert share == pytest.approx(4 * wide * tall, rel=0.08)


def test_windows_shine_only_where_the_lottery_lights_them(builder, camera_at, noise):
    for number, share in enumerate((0.0, 0.5, 1.0)):
        builder.place(30.0, 24.0 * (number - 1), 0.0)
        pattern = (2.0, 3.0, share)
        size = (1.0, 11.0, 30.0)
        builder.add(
            Shape.BOX, (0, 0, 0), size, (0.3,) * 3, material=Material.FACADE, pattern=pattern
        )
    surface, look = painted(builder.build(), camera_at(z=10.0, focal=60.0), noise)
    glow = look.emission.sum(-1)
    none, half, full = ((glow[surface.index == i] > 0.1).float().mean() for i in range(3))
    assert none == 0
    assert 0.2 * full < half < 0.8 * full
    assert full > 0.1


def test_road_paint_lies_where_the_style_says(builder, camera_at, noise):
    camera = camera_at(x=20.0, y=-1.5, z=3.0, down=0.6)
    solids = bare_ground(builder)
    surface, look = painted(solids, camera, noise)
    bright = look.albedo.mean(-1) > 0.3
    assert (surface.index == GROUND).all()
    away = (surface.position[..., 1].abs() - 0.12).abs()
    between = (surface.position[..., 0] > 22.0) & (surface.position[..., 0] < 40.0)
    assert bright[between & (away < 0.03)].float().mean() > 0.95  # the double middle line
    assert not bright[between & (away > 0.2)].any()
    _, bare = painted(solids, camera, noise, replace(STYLE, lane_marks=0))
    assert bare.albedo[between].max() < 0.3


@pytest.mark.parametrize('side', [-1, 1])
def test_stop_line_crosses_only_the_lane_that_leads_to_the_junction(
    builder, camera_at, noise, side
):
    camera = camera_at(x=47.0, z=6.0, down=1.2)
    solids = bare_ground(builder)
    style = replace(STYLE, drive_side=side)
    surface, look = painted(solids, camera, noise, style)
    x, y = surface.position[..., 0], surface.position[..., 1]
    on_line = (60.0 - x - 4.0 - 5.0).abs() < 0.15  # 5 m before a road of half width 4 m
    bright = look.albedo.mean(-1) > 0.3
    assert bright[on_line & (y * side > 0.3) & (y * side < 3.5)].all()
    assert not bright[on_line & (y * side < -0.3) & (y * side > -3.5)].any()


@pytest.mark.parametrize('material', list(Material))
def test_every_material_stays_in_range(builder, camera_at, noise, material):
    builder.place(6.0, 0.0, 0.4)
    builder.add(
        Shape.BOX, (0, 0, 1.5), (1.5, 2.5, 1.5), (0.6, 0.3, 0.1), material=material,
        second_albedo=(0.1, 0.2, 0.9), pattern=(0.4, 0.5, 0.5), taper=0.2,
    )  # fmt: skip
    surface, look = painted(builder.build(), camera_at(), noise)
    solid = surface.index == 0
    assert solid.sum() > 500
    assert look.albedo[solid].min() >= 0.005
    assert look.albedo[solid].max() <= 0.95
    assert 0 <= look.gloss.min() <= look.gloss.max() <= 1
    np.testing.assert_allclose(look.normal.norm(dim=-1), 1.0, atol=1e-5)
    varied = look.albedo[solid].std(0).max()
    assert varied > 1e-3  # never a flat colour


@pytest.mark.parametrize(
    ('material', 'second_shows'),
    [(Material.SIGN, True), (Material.CAR_CABIN, True), (Material.PAINT, False)],
)
def test_second_colour_shows_where_it_should(builder, camera_at, noise, material, second_shows):
    builder.place(6.0, 0.0, 0.4)
    builder.add(
        Shape.BOX, (0, 0, 1.5), (1.5, 2.5, 1.5), (0.8, 0.02, 0.02), material=material,
        second_albedo=(0.02, 0.02, 0.8), pattern=(0.4, 0.5, 0.5),
    )  # fmt: skip
    surface, look = painted(builder.build(), camera_at(), noise)
    red, _, blue = look.albedo[surface.index == 0].unbind(-1)
    assert (red > blue).any()
    assert bool((blue > red).any()) == second_shows
