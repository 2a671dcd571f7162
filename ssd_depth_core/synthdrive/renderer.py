"""Rays to geometry: exact depth, normals and shadows of solids on their ground.

Pictures are cut into tiles of 8 x 8 rays. A solid is tried only against the tiles that its
bounding box can touch, which makes a street of ten thousand solids as cheap as what is in view.
All pairs (solid, tile) of a picture are intersected at once.
"""

from dataclasses import dataclass

from ssd_depth_core.synthdrive.camera import Camera, camera_rays, mirrored
from ssd_depth_core.synthdrive.culling import pairs_in_mirror, pairs_in_view, world_corners
from ssd_depth_core.synthdrive.ground import GROUND, Ground, LEVEL
from ssd_depth_core.synthdrive.intersection import enter_distance, ragged, unit_normal
from ssd_depth_core.synthdrive.primitives import Material, Primitives, Shape
import torch

SKY = -2
"""Index of the sky where a solid's index stands."""


@dataclass(frozen=True, slots=True)
class Hits:
    """Hold what T tiles of R = 64 rays met."""

    distance: torch.Tensor
    """(T, R) along the ray in units of its direction; inf where nothing was met."""
    index: torch.Tensor
    """(T, R) int64 of the solid, `GROUND` or `SKY`."""


@dataclass(frozen=True, slots=True)
class Surface:
    """Hold what the light needs to know about each ray's end."""

    index: torch.Tensor
    """(T, R) int64 of the solid, `GROUND` or `SKY`."""
    position: torch.Tensor
    """(T, R, 3) in the world [m]; for the sky a far point along the ray."""
    normal: torch.Tensor
    """(T, R, 3) unit, outward; towards the viewer for the sky."""
    above: torch.Tensor
    """(T, R) height above the road there [m]."""
    local: torch.Tensor
    """(T, R, 3) along the solid's own axes [m]; street coordinates for the ground."""
    face: torch.Tensor
    """(T, R, 3) the normal along the solid's own axes."""
    footprint: torch.Tensor
    """(T, R) width that one pixel covers on the surface, as if it faced the camera [m]."""
    direction: torch.Tensor
    """(T, R, 3) unit, from the camera to the point."""


def cast(solids: Primitives, camera: Camera, ground: Ground = LEVEL) -> Hits:
    """Find what every pixel of a camera sees.

    Args:
        solids: In the world.
        camera: Where from.
        ground: Below them.

    Returns:
        The nearest hits; `distance` is the exact depth along the optical axis [m].
    """
    origin, rays = camera_rays(camera)
    solid, tile = pairs_in_view(solids, camera)
    distance, index = _nearest(solids, origin, rays, solid, tile)
    return _grounded(ground, origin, rays, distance, index)


def _grounded(
    ground: Ground,
    origin: torch.Tensor,
    rays: torch.Tensor,
    distance: torch.Tensor,
    index: torch.Tensor,
) -> Hits:
    """End rays at the ground, unless a solid did so before."""
    below, which = ground.meet(origin, rays, distance)
    nearer = below < distance
    distance = torch.where(nearer, below, distance)
    index = torch.where(nearer, which, index)
    return Hits(distance, torch.where(distance.isinf(), SKY, index))


def cast_bundles(
    solids: Primitives,
    origin: torch.Tensor,
    rays: torch.Tensor,
    reach_m: float,
    ground: Ground = LEVEL,
) -> Hits:
    """Find what free rays meet, such as a LiDAR's; neighbours should lie in one bundle.

    Args:
        solids: In the world.
        origin: (3,) [m].
        rays: (T, R, 3) unit.
        reach_m: Farther hits do not count.
        ground: Below the solids.

    Returns:
        The nearest hits; `distance` is the range [m].
    """
    axis = rays.mean(1)
    axis = axis / axis.norm(dim=1, keepdim=True)
    opening = (rays * axis[:, None]).sum(-1).amin(1).clamp(-1, 1).acos()  # (T,)
    away = solids.center - origin
    range_ = away.norm(dim=1)
    radius = solids.half_size.norm(dim=1)
    near = (range_ - radius < reach_m).nonzero()[:, 0]
    away, range_, radius = away[near], range_[near].clamp(min=1e-3), radius[near]
    # A solid's bounding ball seen from the origin is a cone; from within, it is everywhere.
    seen_as = torch.where(radius < range_, (radius / range_).clamp(max=1).asin(), torch.pi)
    between = ((away / range_[:, None]) @ axis.T).clamp(-1, 1).acos()  # (n, T)
    solid, bundle = (between <= opening + seen_as[:, None]).nonzero(as_tuple=True)
    distance, index = _nearest(solids, origin, rays, near[solid], bundle)
    hits = _grounded(ground, origin, rays, distance.clamp(max=1.01 * reach_m), index)
    far = hits.distance > reach_m
    return Hits(torch.where(far, torch.inf, hits.distance), torch.where(far, SKY, hits.index))


def cast_mirrored(
    solids: Primitives, camera: Camera, seen: Surface, wanted: torch.Tensor, ground: Ground = LEVEL
) -> tuple[Hits, Surface]:
    """Find what the ground mirrors.

    Args:
        solids: In the world.
        camera: As it is, not mirrored.
        seen: What it sees.
        wanted: (T, R) bool: the pixels that see the ground.
        ground: Below the solids.

    Returns:
        Hits, their distance counted from the camera by way of the ground, `SKY` where the mirror
        shows no solid; and what the rays met.
    """
    if ground.terrain.flat:
        image = mirrored(camera)
        origin, rays = camera_rays(image)
        solid, tile = pairs_in_view(solids, image)
        keep = wanted.any(1)[tile]
        solid, tile = solid[keep], tile[keep]
        # Nothing stands between the mirrored eye and the ground: a ray starts at z = 0.
        start = torch.where(rays[..., 2] > 1e-6, -origin[2] / rays[..., 2], torch.inf)
    else:
        eye, rays = camera_rays(camera)
        start = torch.where(
            wanted, (seen.position - eye).norm(dim=-1) / rays.norm(dim=-1), torch.inf
        )
        rays = rays - 2 * (rays * seen.normal).sum(-1, keepdim=True) * seen.normal
        # Each pixel has its own mirrored eye, as far behind the ground as the true one before it.
        origin = seen.position - rays * start.nan_to_num(posinf=0.0)[..., None]
        solid, tile = pairs_in_mirror(solids, eye, origin, rays, start)
    distance, index = _nearest(solids, origin, rays, solid, tile, start)
    hits = Hits(distance, index)
    return hits, _surface(solids, origin, rays, hits, camera, ground)


def shadowed(
    solids: Primitives, surface: Surface, to_light: torch.Tensor, reach_m: float = 90.0
) -> torch.Tensor:
    """Find which points the sun does not reach.

    Args:
        solids: In the world.
        surface: The points.
        to_light: (3,) unit, towards the sun.
        reach_m: Shadow rays start no farther away than this, seen through a focal length of 200
            pixels, or in proportion through another: beyond, shadows are lost between pixels.

    Returns:
        (T, R) bool.
    """
    lit_side = (surface.normal @ to_light) > 0
    wanted = lit_side & (surface.index != SKY) & (surface.footprint < reach_m / 200.0)
    tiles = wanted.any(1).nonzero()[:, 0]
    dark = torch.zeros_like(wanted)
    if len(tiles) == 0:
        return dark
    start = surface.position[tiles] + 0.02 * surface.normal[tiles]  # off the surface itself
    # Seen from the sun, a tile and a solid are rectangles; only overlapping ones can meet.
    # Any axis but the light's own will do to start from; x serves a light at the zenith.
    helper = to_light.new_tensor([1.0, 0.0, 0.0] if abs(to_light[2]) > 0.9 else [0.0, 0.0, 1.0])
    right = torch.linalg.cross(to_light, helper)
    right = right / right.norm()
    axes = torch.stack([right, torch.linalg.cross(right, to_light), to_light])  # (3, 3)
    seen = start @ axes.T  # (t, R, 3)
    valid = wanted[tiles][..., None]
    low = torch.where(valid, seen, torch.inf).amin(1)
    high = torch.where(valid, seen, -torch.inf).amax(1)
    corners = world_corners(solids) @ axes.T  # (N, 8, 3)
    first, last = corners.amin(1), corners.amax(1)
    # What misses the whole picture is left out before every tile is asked.
    near = ((first[:, :2] <= high[:, :2].amax(0)) & (last[:, :2] >= low[:, :2].amin(0))).all(1)
    near &= (last[:, 2] >= low[:, 2].amin()) & (solids.shape != Shape.DRAPED)
    near = near.nonzero()[:, 0]
    first, last = first[near], last[near]
    meets = (first[:, None, 0] <= high[None, :, 0]) & (last[:, None, 0] >= low[None, :, 0])
    meets &= (first[:, None, 1] <= high[None, :, 1]) & (last[:, None, 1] >= low[None, :, 1])
    meets &= last[:, None, 2] >= low[None, :, 2]  # (N, t)
    solid, tile = meets.nonzero(as_tuple=True)
    rays = to_light.expand_as(start)
    distance, _ = _nearest(solids, start, rays, near[solid], tile)
    dark[tiles] = ~distance.isinf()
    return dark & wanted


def surface_at(solids: Primitives, camera: Camera, hits: Hits, ground: Ground = LEVEL) -> Surface:
    """Gather the geometry of every hit.

    Args:
        solids: That the hits index.
        camera: That cast the rays.
        hits: What they met.
        ground: Below the solids.

    Returns:
        Points, normals and the solids' own coordinates.
    """
    return _surface(solids, *camera_rays(camera), hits, camera, ground)


def _surface(
    solids: Primitives,
    origin: torch.Tensor,
    rays: torch.Tensor,
    hits: Hits,
    camera: Camera,
    ground: Ground,
) -> Surface:
    """Gather the geometry of what rays (T, R, 3) met."""
    distance = hits.distance.clamp(max=2000.0)
    position = origin + rays * distance[..., None]
    on_solid = hits.index >= 0
    which = hits.index.clamp(min=0)
    turn = solids.rotation[which]  # (T, R, 3, 3)
    half = solids.half_size[which]
    local = ((position - solids.center[which])[..., None, :] @ turn)[..., 0, :]
    face = unit_normal(solids, which, local / half) / half
    face = face / face.norm(dim=-1, keepdim=True).clamp(min=1e-9)
    normal = (turn @ face[..., None])[..., 0]
    direction = rays / rays.norm(dim=-1, keepdim=True)
    up = torch.zeros_like(normal)
    up[..., 2] = 1.0
    flat = torch.where((hits.index == SKY)[..., None], -direction, up)
    normal = torch.where(on_solid[..., None], normal, flat)
    local = torch.where(on_solid[..., None], local, position)
    face = torch.where(on_solid[..., None], face, flat)
    if not ground.terrain.flat:
        paved = on_solid & (solids.shape[which] == Shape.DRAPED)
        at = paved | (hits.index == GROUND)
        street, normal[at], face[at] = ground.surface(position[at], paved[at])
        local[at] = street - solids.center[which[at]] * paved[at][:, None]
    return Surface(
        index=hits.index,
        position=position,
        normal=normal,
        above=ground.above(position),
        local=local,
        face=face,
        footprint=distance / camera.K[0, 0],
        direction=direction,
    )


def _nearest(
    solids: Primitives,
    origin: torch.Tensor,
    rays: torch.Tensor,
    solid: torch.Tensor,
    tile: torch.Tensor,
    start: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Intersect pairs and keep the nearest of each ray.

    Args:
        solids: N solids.
        origin: (3,) or (T, R, 3).
        rays: (T, R, 3).
        solid: (P,) of each pair.
        tile: (P,) of each pair.
        start: (T, R) distance before which nothing counts; None for 0.

    Returns:
        Distance (T, R), inf where nothing was met, and index (T, R), `SKY` there.
    """
    distance = torch.full(rays.shape[:2], torch.inf, device=rays.device)
    index = torch.full(rays.shape[:2], SKY, device=rays.device, dtype=torch.int64)
    step = 1024  # pairs at once, so that a pass stays in the caches (1.4x over 8192)
    for shape in (Shape.BOX, Shape.CYLINDER, Shape.ELLIPSOID):
        of_shape = (solids.shape[solid] == shape).nonzero()[:, 0]
        for chunk in of_shape.split(step):
            s, t = solid[chunk], tile[chunk]
            inverse = solids.rotation[s] / solids.half_size[s][:, None]  # (p, 3, 3), columns
            o = (origin if origin.ndim == 1 else origin[t]) - solids.center[s][:, None]
            o, d = o @ inverse, rays[t] @ inverse  # (p, 1 or R, 3), (p, R, 3)
            enter = enter_distance(shape, o.expand_as(d), d, solids.taper[s])
            floor = 1e-4 if start is None else start[t].clamp(min=1e-4)
            enter = torch.where(enter > floor, enter, torch.inf)
            if shape == Shape.ELLIPSOID:
                leaf = (solids.material[s] == Material.FOLIAGE).nonzero()[:, 0]
                enter[leaf] = ragged(solids, s[leaf], o[leaf], d[leaf], enter[leaf])
            before = distance.index_select(0, t)
            if not (enter < before).any():
                continue
            spread = t[:, None].expand_as(enter)
            distance.scatter_reduce_(0, spread, enter, 'amin')
            won = (enter == distance[t]) & ~enter.isinf()
            pair, ray = won.nonzero(as_tuple=True)
            index[t[pair], ray] = s[pair]
    return distance, index
