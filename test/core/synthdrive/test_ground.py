from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from ssd_depth_core.synthdrive.camera import Camera, camera_rays, untile
from ssd_depth_core.synthdrive.ground import GROUND, ground_of, LEVEL
from ssd_depth_core.synthdrive.intersection import enter_distance
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape
from ssd_depth_core.synthdrive.renderer import cast, cast_bundles, cast_mirrored, SKY, surface_at
from ssd_depth_core.synthdrive.terrain import draw_terrain
from ssd_depth_core.synthdrive.world import City, city_style, PAVEMENT_HEIGHT_M
import torch

SEEDS = (1, 2, 5)
GREY = (0.5, 0.5, 0.5)
OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
HEIGHT = 1.5


def camera_on(terrain, uv=(5.0, 1.5), yaw=0.0, size=(96, 160), focal=120.0):
    """A camera in a car on the terrain, as far above the road as `HEIGHT`."""
    T = terrain.pose(np.array(uv), yaw)
    T[:3, 3] += HEIGHT * T[:3, 2]
    T[:3, :3] = T[:3, :3] @ OPTICAL
    height, width = size
    K = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])
    to = torch.as_tensor
    return Camera(to(K, dtype=torch.float32), to(T, dtype=torch.float32), height, width)


@cache
def street(seed):
    """A hilly city near its origin."""
    terrain = draw_terrain(seed)
    return City(seed, terrain).near(0.0, 0.0)[0], terrain


def draped(seed):
    """Pavements and lawns of a hilly city near its origin, and their ground."""
    (solids, terrain), style = street(seed), city_style(seed)
    solids = solids.select(solids.shape == Shape.DRAPED)
    return solids, ground_of(solids, terrain, style), style


def points_of(camera, distance):
    origin, rays = camera_rays(camera)
    return origin.double() + rays.double() * distance.double()[..., None]


def marched(terrain, style, origin, rays, step=0.02, reach=50.0):
    """Where rays first dip below road or pavement, by many small steps, (n,)."""
    t = np.arange(step, reach, step)
    x, y, z = (origin[:, None, None] + rays.T[..., None] * t).astype(np.float64)
    u, v = terrain.to_street(x, y)
    aside_u = np.abs(u - np.round(u / style.pitch[0]) * style.pitch[0])
    aside_v = np.abs(v - np.round(v / style.pitch[1]) * style.pitch[1])
    paved = (aside_u > style.half_road[1]) & (aside_v > style.half_road[0])
    below = z < terrain.height(x, y) + PAVEMENT_HEIGHT_M * paved
    return np.where(below.any(1), t[below.argmax(1)], np.inf)


@pytest.mark.parametrize('seed', SEEDS)
def test_every_hit_lies_on_the_road_or_the_pavement(seed):
    solids, ground, _ = draped(seed)
    camera = camera_on(ground.terrain)
    hits = cast(solids, camera, ground)
    x, y, z = points_of(camera, hits.distance).unbind(-1)
    above = z - ground.terrain.height(x, y)
    road, paved = hits.index == GROUND, hits.index >= 0
    assert hits.distance[road].max() > 150.0
    assert above[road].abs().max() < 1e-3
    surface = surface_at(solids, camera, hits, ground)
    top = paved & (surface.face[..., 2] == 1.0)
    assert (above[top] - PAVEMENT_HEIGHT_M).abs().max() < 4e-3
    kerb = paved & ~top
    assert kerb.sum() > 20
    assert above[kerb].min() > -1e-3
    assert above[kerb].max() < PAVEMENT_HEIGHT_M
    met = hits.index != SKY
    np.testing.assert_allclose(surface.above[met], above[met], atol=1e-3)
    # Rays that meet nothing go up, or over the last crest.
    _, rays = camera_rays(camera)
    lost = hits.index == SKY
    assert (rays[lost][:, 2] > -0.08).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_no_ray_passes_through_a_hill_or_a_kerb(seed):
    solids, ground, style = draped(seed)
    camera = camera_on(ground.terrain)
    origin, rays = camera_rays(camera)
    rows = np.random.default_rng(0).choice(rays.reshape(-1, 3).shape[0], 400, replace=False)
    chosen = rays.reshape(-1, 3)[rows].double().numpy()
    truth = marched(ground.terrain, style, origin.double().numpy(), chosen)
    found = cast(solids, camera, ground).distance.reshape(-1)[rows].numpy()
    near = np.isfinite(truth)
    assert near.sum() > 100
    # The step is 2 cm; a corner of a kerb cut more briefly than that may be missed by either.
    agree = np.abs(found[near] - truth[near]) < 0.03 + 1e-3 * truth[near]
    assert agree.mean() > 0.99
    assert (found[~near] > 49.0).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_normals_are_those_of_slopes_and_kerbs(seed):
    solids, ground, _ = draped(seed)
    camera = camera_on(ground.terrain)
    hits = cast(solids, camera, ground)
    surface = surface_at(solids, camera, hits, ground)
    met = hits.index != SKY
    np.testing.assert_allclose(surface.normal.norm(dim=-1)[met], 1.0, atol=1e-5)
    x, y, _ = points_of(camera, hits.distance)[met].unbind(-1)
    slope = torch.stack(ground.terrain.gradient(x, y), -1)
    normal, up = surface.normal[met].double(), surface.face[met][:, 2] == 1.0
    np.testing.assert_allclose(-normal[up, :2] / normal[up, 2:], slope[up], atol=1e-4)
    assert (normal[~up, 2] == 0).all()
    # A kerb faces the road: a step along its normal leads off the pavement.
    across = torch.stack([x, y], -1)[~up] + 0.05 * normal[~up, :2]
    cover, _ = ground._cover(across.float())
    assert (cover < 0).float().mean() > 0.99
    assert ((surface.normal * surface.direction).sum(-1)[met] < 1e-3).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_local_coordinates_are_those_of_the_street(seed):
    solids, ground, _ = draped(seed)
    camera = camera_on(ground.terrain)
    hits = cast(solids, camera, ground)
    surface = surface_at(solids, camera, hits, ground)
    x, y, _ = surface.position.unbind(-1)
    uv = torch.stack(ground.terrain.to_street(x, y), -1)
    road, paved = hits.index == GROUND, hits.index >= 0
    near = hits.distance < 100.0
    np.testing.assert_allclose(surface.local[road & near][:, :2], uv[road & near], atol=1e-3)
    whole = surface.local[paved][:, :2] + solids.center[hits.index[paved], :2]
    np.testing.assert_allclose(whole, uv[paved], atol=1e-3)
    inside = surface.local[paved][:, :2].abs() <= solids.half_size[hits.index[paved], :2] + 1e-3
    assert inside.all()
    kinds = set(solids.material[hits.index[paved]].tolist())
    lawns = {Material.PAVEMENT, Material.GRASS}
    assert kinds == ({Material.PAVEMENT} if seed == 1 else lawns)


@pytest.mark.parametrize('seed', SEEDS)
def test_free_rays_and_pixels_meet_the_same_ground(seed):
    solids, terrain = street(seed)
    ground, camera = ground_of(solids, terrain, city_style(seed)), camera_on(terrain)
    origin, rays = camera_rays(camera)
    length = rays.norm(dim=-1)
    hits = cast_bundles(solids, origin, rays / length[..., None], 80.0, ground)
    pixels = cast(solids, camera, ground)
    met = (hits.index != SKY) & (pixels.index != SKY)
    assert met.sum() > 5000
    error = ((hits.distance / length)[met] - pixels.distance[met]).abs()
    assert (error < 2e-3).float().mean() > 0.995
    same = hits.index[met] == pixels.index[met]
    assert same.float().mean() > 0.995


def test_hills_hide_what_stands_behind_them():
    terrain = draw_terrain(1)
    builder = Builder(np.random.default_rng(0))
    for u in (20.0, 60.0, 120.0):
        builder.place(u, 1.5, 0.0)
        builder.add(Shape.BOX, (0, 0, -1.0), (0.5, 2.0, 0.9), GREY)  # below the ground
    solids = builder.build(terrain)
    hits = cast(solids, camera_on(terrain), ground_of(solids, terrain, city_style(1)))
    assert (hits.index < 0).all()


@pytest.mark.parametrize('seed', SEEDS)
def test_wet_slopes_mirror_by_their_own_normal(seed):
    terrain = draw_terrain(seed)
    builder, rng = Builder(np.random.default_rng(seed)), np.random.default_rng(seed)
    for _ in range(120):
        builder.place(rng.uniform(8.0, 70.0), rng.uniform(-15.0, 15.0), rng.uniform(0, 6.3))
        half = tuple(rng.uniform(0.1, 1.5, 3).tolist())
        builder.add(Shape(int(rng.integers(3))), (0, 0, half[2] + 1.0), half, GREY)
    solids = builder.build(terrain)
    ground = ground_of(solids, terrain, city_style(seed))
    camera = camera_on(terrain)
    hits = cast(solids, camera, ground)
    seen = surface_at(solids, camera, hits, ground)
    wanted = hits.index == GROUND
    mirror, surface = cast_mirrored(solids, camera, seen, wanted, ground)
    # Straight from the road, without tiles or mirrored eyes.
    start = seen.position[wanted].double()
    normal, ray = seen.normal[wanted].double(), seen.direction[wanted].double()
    ray = ray - 2 * (ray * normal).sum(-1, keepdim=True) * normal
    nearest, which = torch.full((len(start),), torch.inf).double(), torch.full((len(start),), SKY)
    for i in range(len(solids)):
        inverse = solids.rotation[i].double() / solids.half_size[i].double()
        o, d = (start - solids.center[i].double()) @ inverse, ray @ inverse
        shape, taper = Shape(int(solids.shape[i])), solids.taper[i : i + 1]
        t = enter_distance(shape, o[None], d[None], taper)[0]
        wins = (t > 1e-3) & (t < nearest)
        nearest, which = torch.where(wins, t, nearest), torch.where(wins, i, which)
    close = hits.distance[wanted] + nearest < 100.0
    assert close.sum() > 300
    assert (mirror.index[wanted] == which)[close].float().mean() > 0.995
    same = (mirror.index[wanted] == which) & close
    point = start + ray * nearest[:, None].nan_to_num(posinf=0.0)
    assert (surface.position[wanted][same] - point[same]).norm(dim=-1).median() < 1e-3


def test_without_road_in_view_nothing_is_mirrored():
    terrain = draw_terrain(1)
    builder = Builder(np.random.default_rng(0))
    builder.add(Shape.BOX, (0, 0, 1), (1, 1, 1), GREY)
    solids = builder.build(terrain)
    ground, camera = ground_of(solids, terrain, city_style(1)), camera_on(terrain, (40.0, 1.5))
    hits = cast(solids, camera, ground)
    seen = surface_at(solids, camera, hits, ground)
    mirror, _ = cast_mirrored(solids, camera, seen, torch.zeros_like(hits.index).bool(), ground)
    assert (mirror.index == SKY).all()


def test_blocks_that_are_not_drawn_are_road():
    solids, ground, _ = draped(1)
    some = solids.select(torch.arange(1))
    alone = ground_of(some, ground.terrain, city_style(1))
    hits = cast(some, camera_on(ground.terrain), alone)
    assert set(hits.index.unique().tolist()) <= {GROUND, SKY, 0}


def test_level_ground_is_the_plane():
    origin = torch.tensor([3.0, -4.0, 2.0])
    rays = torch.tensor([[[1.0, 0.0, -0.1], [0.0, 1.0, 0.1], [0.0, 0.0, -1.0], [1.0, 0.0, -0.01]]])
    distance, index = LEVEL.meet(origin, rays, torch.full((1, 4), 100.0))
    np.testing.assert_allclose(distance, [[20.0, np.inf, 2.0, np.inf]])
    assert (index == GROUND).all()
    assert torch.equal(LEVEL.above(origin), origin[2])


def test_single_precision_holds_a_kilometre_away():
    terrain = draw_terrain(2)
    ground = replace(draped(2)[1], terrain=terrain)
    camera = camera_on(terrain, (1200.0, -900.0))
    solids = draped(2)[0]
    hits = cast(solids, camera, ground)
    x, y, z = points_of(camera, hits.distance).unbind(-1)
    road = untile(hits.index, camera) == GROUND
    error = untile((z - terrain.height(x, y)), camera)[road].abs()
    assert road.sum() > 3000
    assert error.max() < 2e-3
