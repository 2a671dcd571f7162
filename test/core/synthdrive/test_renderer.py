import math

import numpy as np
import pytest
from ssd_depth_core.synthdrive.camera import camera_rays, tile, untile
from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.intersection import enter_distance
from ssd_depth_core.synthdrive.primitives import Builder, Primitives, Shape
from ssd_depth_core.synthdrive.renderer import (
    cast,
    cast_bundles,
    cast_mirrored,
    shadowed,
    SKY,
    surface_at,
)
import torch

GREY = (0.5, 0.5, 0.5)
SKY_HIGH = 50.0  # a camera so high that the ground is out of the way


def depth_of(solids, camera):
    return untile(cast(solids, camera).distance, camera)


def pixel_rays(camera):
    """Directions with camera z = 1 in the world, (H, W, 3), straight from the pinhole model."""
    v, u = torch.meshgrid(
        torch.arange(camera.height, dtype=torch.float32),
        torch.arange(camera.width, dtype=torch.float32),
        indexing='ij',
    )
    pixels = torch.stack([u, v, torch.ones_like(u)], -1)
    return pixels @ (camera.T_world_camera[:3, :3] @ torch.linalg.inv(camera.K)).T


def brute_force(solids, origin, rays, start=0.0):
    """Try every solid against every ray, (...); no tiles, no bounding boxes."""
    flat = rays.reshape(-1, 3)
    best = torch.full((len(flat),), torch.inf)
    index = torch.full((len(flat),), SKY)
    start = torch.as_tensor(start).expand(rays.shape[:-1]).reshape(-1)
    for i in range(len(solids)):
        turn = solids.rotation[i] / solids.half_size[i]
        o, d = (origin - solids.center[i]) @ turn, flat @ turn
        t = enter_distance(
            Shape(int(solids.shape[i])), o.expand_as(d)[None], d[None], solids.taper[i : i + 1]
        )[0]
        wins = (t > start) & (t > 0) & (t < best)
        best, index = torch.where(wins, t, best), torch.where(wins, i, index)
    return best.view(rays.shape[:-1]), index.view(rays.shape[:-1])


def crowd(seed, count=250, spread=20.0, *, tilted=True):
    """Solids of all shapes around the origin, but none around the camera's eye at (0, 0, 1.5)."""
    rng = np.random.default_rng(seed)
    builder = Builder(rng)
    while count:
        half = rng.uniform(0.05, 0.6, 3) * rng.choice([1.0, 6.0], p=[0.96, 0.04])
        x, y = rng.uniform(-spread, spread, 2)
        if np.hypot(x, y) < np.hypot(*half[:2]) * 1.01 + 0.5 or np.hypot(x, y) > spread:
            continue
        builder.place(x, y, rng.uniform(0, 6.3), z=half[2] + rng.uniform(0.0, 3.0))
        shape = Shape(int(rng.integers(3)))
        side = bool(tilted and half.max() < 0.6 and rng.random() < 0.3)
        z = 0.6 if side else 0.0  # what lies on its side must not dip into the ground
        size = tuple(float(value) for value in half)
        taper = float(rng.random()) if tilted else 0.0
        builder.add(shape, (0, 0, z), size, GREY, taper=taper, on_its_side=side)
        count -= 1
    return builder.build()


def test_ground_depth_is_height_times_focal_over_rows_below_the_horizon(builder, camera_at):
    camera = camera_at(z=1.5)
    depth = depth_of(builder.build(), camera)
    v, cy = np.arange(64.0), float(camera.K[1, 2])
    below = v > cy
    expected = 1.5 * 80.0 / (v[below] - cy)
    np.testing.assert_allclose(depth[below], np.tile(expected[:, None], 96), rtol=1e-5)
    assert depth[~below].isinf().all()
    index = untile(cast(builder.build(), camera).index, camera)
    assert (index[below] == GROUND).all()
    assert (index[~below] == SKY).all()


def test_box_depth_is_the_distance_of_its_front_face(builder, camera_at):
    builder.add(Shape.BOX, (12.0, 0.0, SKY_HIGH), (2.0, 1.5, 1.0), GREY)
    camera = camera_at(z=SKY_HIGH)
    depth, rays = depth_of(builder.build(), camera), pixel_rays(camera)
    at_face = rays * 10.0
    inside = (at_face[..., 1].abs() < 1.5) & (at_face[..., 2].abs() < 1.0)
    np.testing.assert_allclose(depth[inside], 10.0, rtol=1e-6)
    assert inside.sum() == 24 * 16  # 2 * 1.5 * 80 / 10 by 2 * 1 * 80 / 10
    assert torch.equal(depth < 40, inside)  # from straight ahead no other face is seen


def test_sphere_depth_in_closed_form(builder, camera_at):
    center, radius = torch.tensor([9.0, 1.0, SKY_HIGH + 0.5]), 2.0
    builder.add(Shape.ELLIPSOID, tuple(center.tolist()), (radius,) * 3, GREY)
    camera = camera_at(z=SKY_HIGH)
    depth, rays = depth_of(builder.build(), camera).double(), pixel_rays(camera).double()
    to_center = (center - camera.T_world_camera[:3, 3]).double()
    a, b = (rays * rays).sum(-1), rays @ to_center
    root = b * b - a * (to_center @ to_center - radius**2)
    assert (root > 0).sum() > 600
    expected = (b - root.clamp(min=0).sqrt()) / a
    clear = root > 1e-2
    np.testing.assert_allclose(depth[clear], expected[clear], rtol=1e-4)
    assert (depth[root < -1e-2] > 40).all()


def test_upright_cylinder_depth_in_closed_form(builder, camera_at):
    builder.add(Shape.CYLINDER, (8.0, 0.5, SKY_HIGH), (1.0, 1.0, 100.0), GREY)
    camera = camera_at(z=SKY_HIGH)
    depth, rays = depth_of(builder.build(), camera).double(), pixel_rays(camera).double()
    # Seen from above: the line (t, t * slope) against the circle around (8, 0.5).
    slope = rays[..., 1]
    a, b, c = 1 + slope**2, 8.0 + 0.5 * slope, 8.0**2 + 0.5**2 - 1.0
    root = b * b - a * c
    clear = root > 1e-2
    expected = (b - root.clamp(min=0).sqrt()) / a
    np.testing.assert_allclose(depth[clear], expected[clear], rtol=1e-4)
    assert (depth[root < -1e-2] > 40).all()


def test_gable_roof_depth_is_that_of_its_sloping_plane(builder, camera_at):
    # Foot 4 m wide at z - 1, ridge at z + 1: the slope towards the camera is x = 8 + (z + 1).
    builder.add(Shape.BOX, (10.0, 0.0, SKY_HIGH), (2.0, 3.0, 1.0), GREY, taper=1.0)
    camera = camera_at(z=SKY_HIGH)
    depth, rays = depth_of(builder.build(), camera), pixel_rays(camera)
    expected = 9.0 / (1.0 - rays[..., 2])  # t = 9 + t * ray_z, for rays whose x is 1
    z, y = expected * rays[..., 2], expected * rays[..., 1]
    inside = (z.abs() < 0.98) & (y.abs() < 2.98)
    assert inside.sum() > 500
    np.testing.assert_allclose(depth[inside], expected[inside], rtol=1e-5)
    # Where the roof ends, above the ridge, is sky or far ground.
    assert (depth[rays[..., 2] > 0.11] > 40).all()


def test_turned_and_tilted_camera_sees_the_same_point_of_the_ground(builder, camera_at):
    camera = camera_at(x=3.0, y=-2.0, z=2.0, yaw=0.7, down=0.4)
    depth, rays = depth_of(builder.build(), camera), pixel_rays(camera)
    point = camera.T_world_camera[:3, 3] + rays * depth[..., None]
    below = rays[..., 2] < -1e-3
    np.testing.assert_allclose(point[below][:, 2], 0.0, atol=1e-3)
    assert below.sum() > 4000


def test_surface_gives_points_normals_and_footprint(builder, camera_at):
    builder.place(9.0, 2.0, 0.6)
    builder.add(Shape.ELLIPSOID, (0, 0, 2.0), (1.0, 1.0, 1.0), GREY)
    builder.place(9.0, -2.0, 0.0)
    builder.add(Shape.BOX, (0, 0, 1.5), (1.0, 1.0, 1.5), GREY)
    solids, camera = builder.build(), camera_at()
    hits = cast(solids, camera)
    surface = surface_at(solids, camera, hits)
    ball, box = hits.index == 0, hits.index == 1
    outward = surface.position[ball] - torch.tensor([9.0, 2.0, 2.0])
    np.testing.assert_allclose(surface.normal[ball], outward, atol=1e-4)
    turned = surface.local[ball] @ solids.rotation[0].T
    np.testing.assert_allclose(turned, outward, atol=1e-4)
    front = box & (surface.position[..., 0] < 8.001)
    np.testing.assert_allclose(
        surface.normal[front], torch.tensor([-1.0, 0, 0]).expand(int(front.sum()), 3), atol=1e-6
    )
    ground, sky = hits.index == GROUND, hits.index == SKY
    assert (surface.normal[ground] == torch.tensor([0.0, 0, 1])).all()
    assert torch.equal(surface.local[ground], surface.position[ground])
    assert torch.equal(surface.normal[sky], -surface.direction[sky])
    np.testing.assert_allclose(surface.footprint[~sky], hits.distance[~sky] / 80.0, rtol=1e-6)
    np.testing.assert_allclose(surface.direction.norm(dim=-1), 1.0, atol=1e-5)
    # What is seen faces the camera.
    assert ((surface.normal * surface.direction).sum(-1)[~sky] < 1e-4).all()


@pytest.mark.parametrize(('seed', 'down', 'size'), [(0, 0.0, (64, 96)), (6, 0.2, (45, 91))])
def test_culling_by_tiles_loses_nothing(camera_at, seed, down, size):
    solids = crowd(seed)
    camera = camera_at(yaw=0.9, down=down, height=size[0], width=size[1], focal=50.0)
    axis = camera.T_world_camera[:3, 2]
    reach = (solids.rotation.transpose(1, 2) @ axis * solids.half_size).abs().sum(1)
    middle = (solids.center - camera.T_world_camera[:3, 3]) @ axis
    assert (middle + reach < 0).sum() > 30  # behind
    assert ((middle - reach < 0.05) & (middle + reach > 0.05)).sum() > 5  # through the near plane
    rays = pixel_rays(camera)
    expected, index = brute_force(solids, camera.T_world_camera[:3, 3], rays)
    ground = torch.where(rays[..., 2] < -1e-6, -1.5 / rays[..., 2], torch.inf)
    index = torch.where(ground < expected, GROUND, index)
    hits = cast(solids, camera)
    depth = untile(hits.distance, camera)
    assert depth.shape == size
    np.testing.assert_allclose(depth, torch.minimum(ground, expected), rtol=1e-4, atol=1e-4)
    assert (untile(hits.index, camera) == index).float().mean() > 0.9995  # ties
    assert len(index.unique()) > 25


def test_culling_by_cones_loses_nothing():
    solids = crowd(2, 150)
    generator = torch.Generator().manual_seed(0)
    axis = torch.randn(60, 1, 3, generator=generator)
    rays = axis / axis.norm(dim=-1, keepdim=True) + 0.15 * torch.randn(
        60, 32, 3, generator=generator
    )
    rays = rays / rays.norm(dim=-1, keepdim=True)
    origin = torch.tensor([0.0, 0.0, 1.5])
    expected, _ = brute_force(solids, origin, rays)
    ground = torch.where(rays[..., 2] < -1e-6, -1.5 / rays[..., 2], torch.inf)
    expected = torch.minimum(expected, ground)
    hits = cast_bundles(solids, origin, rays, 12.0)
    beyond = expected > 12.0
    assert (hits.index[beyond] == SKY).all()
    assert hits.distance[beyond].isinf().all()
    np.testing.assert_allclose(hits.distance[~beyond], expected[~beyond], rtol=1e-4, atol=1e-4)
    assert (hits.index[~beyond] != SKY).all()
    assert 0.1 < beyond.float().mean() < 0.9


def test_free_rays_and_pixels_meet_the_same_points(camera_at):
    solids, camera = crowd(3), camera_at()
    origin, rays = camera_rays(camera)
    length = rays.norm(dim=-1)
    ranges = cast_bundles(solids, origin, rays / length[..., None], 60.0).distance
    depth = cast(solids, camera).distance
    met = ranges < 60.0
    assert met.sum() > 3000
    error = ((ranges / length)[met] - depth[met]).abs()
    assert (error < 1e-3).float().mean() > 0.995
    assert error.max() < 0.01  # single precision where a ray grazes a ball


def test_mirror_shows_the_street_upside_down(camera_at):
    solids = crowd(4, tilted=False)
    camera = camera_at(down=0.15)
    origin, rays = camera_rays(camera)
    wanted = rays[..., 2] < -1e-3  # every ray that could see the ground
    seen = surface_at(solids, camera, cast(solids, camera))
    mirror, surface = cast_mirrored(solids, camera, seen, wanted)
    flip = torch.tensor([1.0, 1.0, -1.0])
    values = {name: getattr(solids, name) for name in Primitives.__slots__}
    below = Primitives(**(values | {'center': solids.center * flip}))
    expected, index = brute_force(below, origin, rays)
    np.testing.assert_allclose(mirror.distance[wanted], expected[wanted], rtol=1e-4, atol=1e-4)
    assert (mirror.index[wanted] == index[wanted]).float().mean() > 0.999
    assert (index[wanted] >= 0).float().mean() > 0.2
    # The points themselves stand upright in the world, above the ground.
    met = wanted & (mirror.index >= 0)
    assert (surface.position[met][:, 2] > -1e-3).all()


@pytest.mark.parametrize(('azimuth', 'elevation'), [(2.2, 0.6), (-0.4, 0.9), (1.0, 1.1)])
def test_shadow_of_a_pole_lies_where_trigonometry_says(builder, camera_at, azimuth, elevation):
    height, radius = 3.0, 0.15
    builder.add(Shape.CYLINDER, (6.0, 0.0, height / 2), (radius, radius, height / 2), GREY)
    solids, camera = builder.build(), camera_at(x=-1.0, z=7.0, down=0.75, focal=60.0)
    level = math.cos(elevation)
    sun = (level * math.cos(azimuth), level * math.sin(azimuth), math.sin(elevation))
    surface = surface_at(solids, camera, cast(solids, camera))
    dark = shadowed(solids, surface, torch.tensor(sun))
    offset = surface.position[..., :2] - torch.tensor([6.0, 0.0])
    away = torch.tensor([-math.cos(azimuth), -math.sin(azimuth)])  # from the sun
    along = offset @ away
    aside = (offset - along[..., None] * away).norm(dim=-1)
    length = height / math.tan(elevation)
    ground = surface.index == GROUND
    inside = ground & (along > 0) & (along < length - 0.05) & (aside < radius - 0.03)
    outside = ground & ((along < -0.2) | (along > length + 0.2) | (aside > radius + 0.03))
    assert inside.sum() > 5
    assert dark[inside].all()
    assert not dark[outside].any()
    # The pole's own far side is not lit at all and needs no shadow ray.
    assert not dark[surface.index == SKY].any()


def test_sun_at_the_zenith_puts_the_shadow_right_below(builder, camera_at):
    builder.add(Shape.BOX, (6.0, 0.5, 2.0), (1.0, 1.5, 0.05), GREY)
    solids, camera = builder.build(), camera_at(z=1.2, down=0.1)
    surface = surface_at(solids, camera, cast(solids, camera))
    dark = shadowed(solids, surface, torch.tensor([0.0, 0.0, 1.0]))
    ground = surface.index == GROUND
    aside = (surface.position[..., :2] - torch.tensor([6.0, 0.5])).abs()
    margin = torch.tensor([1.0, 1.5]) - aside
    below, beside = ground & (margin > 1e-3).all(-1), ground & (margin < -1e-3).any(-1)
    assert below.sum() > 100
    assert dark[below].all()
    assert not dark[beside].any()


def test_far_points_cast_no_shadow_rays(builder, camera_at):
    builder.add(Shape.BOX, (30.0, 0.0, 5.0), (20.0, 20.0, 0.1), GREY)
    solids, camera = builder.build(), camera_at()
    surface = surface_at(solids, camera, cast(solids, camera))
    zenith = torch.tensor([0.0, 0.0, 1.0])
    dark = shadowed(solids, surface, zenith, reach_m=60.0)  # footprints to 0.3 m: 24 m at f = 80
    ground = (surface.index == GROUND) & (surface.position[..., 1].abs() < 19.0)
    x = surface.position[..., 0]
    assert dark[ground & (x > 10.1) & (x < 23.9)].all()
    assert not dark[ground & (x > 24.1)].any()
    assert not shadowed(solids, surface, zenith, reach_m=0.0).any()


def test_tiles_lie_down_as_the_picture_they_were_cut_from(camera_at):
    camera = camera_at(height=20, width=35)
    _, rays = camera_rays(camera)
    assert rays.shape == (3 * 5, 64, 3)
    np.testing.assert_allclose(untile(rays, camera), pixel_rays(camera), atol=1e-5)
    assert untile(rays[..., 0], camera).shape == (20, 35)
    picture = torch.rand(20, 35, 2)
    assert tile(picture).shape == (15, 64, 2)
    assert torch.equal(untile(tile(picture), camera), picture)
