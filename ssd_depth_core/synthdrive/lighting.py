"""Light on surfaces: radiance that arrives at the camera in every light and weather."""

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.surface_classes import SURFACE_CLASSES
from ssd_depth_core.synthdrive.camera import Camera, tile, untile
from ssd_depth_core.synthdrive.ground import GROUND, Ground, ground_of, LEVEL
from ssd_depth_core.synthdrive.materials import Appearance, appearance, NoiseBank
from ssd_depth_core.synthdrive.primitives import Material, Primitives
from ssd_depth_core.synthdrive.renderer import (
    cast,
    cast_mirrored,
    Hits,
    shadowed,
    SKY,
    Surface,
    surface_at,
)
from ssd_depth_core.synthdrive.sky import Sky
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.weather import smear, weathered
from ssd_depth_core.synthdrive.world import CityStyle, Lamps, to_tensor
import torch

Rays = TypeVar('Rays', Hits, Surface)

MAX_LAMPS = 24
"""Of street lamps, and as many of vehicles' lamps: the nearest ones."""
MIRRORED_LAMPS = 8
"""As many light what the wet road mirrors, where lamps are seen more than what they light."""
HAZE_M = 400.0
"""Air beyond this changes nothing more."""
ROUGHNESS_RAD = 0.08
"""By which the facets of a wet road spread reflections upwards and downwards."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold one instant of one street."""

    solids: Primitives
    lamps: Lamps
    style: CityStyle
    terrain: Terrain = FLAT
    """That all of it stands on."""

    def ground(self) -> Ground:
        """Give what rays meet below the solids.

        Returns:
            The ground, on the solids' device.
        """
        if self.terrain.flat:
            return LEVEL
        return ground_of(self.solids, self.terrain, self.style)


class Geometry:
    """Hold what a camera sees of a scene, shared by all conditions of a twin rendering."""

    def __init__(self, scene: Scene, camera: Camera, noise: NoiseBank) -> None:
        """Cast the rays once.

        Args:
            scene: On the camera's device.
            camera: Where from.
            noise: Texture source, on the same device.
        """
        self.scene, self.camera, self.noise = scene, camera, noise
        self.ground = scene.ground()
        self.hits = cast(scene.solids, camera, self.ground)
        self.surface = surface_at(scene.solids, camera, self.hits, self.ground)
        self.look = self._painted(self.surface)

    def depth(self) -> torch.Tensor:
        """Give the exact depth.

        Returns:
            (H, W) along the optical axis [m]; inf for the sky.
        """
        return untile(self.hits.distance, self.camera)

    def classes(self) -> torch.Tensor:
        """Name what every pixel shows, by what was built there and not by how it looks.

        Returns:
            (H, W) uint8, places in `SURFACE_CLASSES`; `UNKNOWN_CLASS` at solids without a name.
        """
        index = self.hits.index
        found = self.scene.solids.surface_class[index.clamp(min=0)]
        found[index == GROUND] = SURFACE_CLASSES.index('road')
        found[index == SKY] = SURFACE_CLASSES.index('sky')
        return untile(found, self.camera).byte()

    def radiance(self, sky: Sky, T_world_ego: NDArray[np.float64]) -> torch.Tensor:
        """Light the scene.

        Args:
            sky: Light and weather.
            T_world_ego: Of the camera's car, (4, 4), for its head lamps.

        Returns:
            (H, W, 3) linear RGB, unbounded above.
        """
        lit = self._lit(self.surface, self.look, self.hits, sky, T_world_ego, in_mirror=False)
        if sky.wetness > 0:
            lit = self._wet(lit, sky, T_world_ego)
        lit = self._through_air(lit, self._range(self.hits), self.hits, self.surface, sky)
        return untile(lit, self.camera)

    def _painted(self, surface: Surface) -> Appearance:
        return appearance(surface, self.scene.solids, self.scene.style, self.noise)

    def _lit(
        self,
        surface: Surface,
        look: Appearance,
        hits: Hits,
        sky: Sky,
        T_world_ego: NDArray[np.float64],
        *,
        in_mirror: bool,
    ) -> torch.Tensor:
        new = surface.position.new_tensor
        scene = self.scene
        look = weathered(look, surface, scene.solids, scene.style, self.noise, sky)
        to_sun = new(sky.to_sun)
        facing = (look.normal @ to_sun).clamp(min=0)
        if not in_mirror and max(sky.sun) > 0:
            facing = facing * ~shadowed(scene.solids, surface, to_sun)
        # Walls see half the sky, and less of it near the ground where the street shuts it out.
        open_sky = 0.5 + 0.5 * look.normal[..., 2]
        low = 0.55 + 0.45 * (surface.above / 4.0).clamp(0, 1)
        open_sky = open_sky * torch.where(look.normal[..., 2] > 0.9, 1.0, low)
        ambient = 0.55 * (new(sky.zenith) + new(sky.horizon)) / 2
        bounce = 0.12 * new(sky.sun) * float(to_sun[2].clamp(min=0))
        light = facing[..., None] * new(sky.sun) + open_sky[..., None] * ambient + bounce * 0.5
        if sky.snow:  # light goes back and forth between snow and clouds, and to walls from below
            light = light + sky.snow * ambient * (0.4 + 0.5 * (1 - open_sky))[..., None]
        if sky.night:
            count = MIRRORED_LAMPS if in_mirror else MAX_LAMPS
            light = light + self._lamp_light(surface, look, sky, T_world_ego, count)
        radiance = look.albedo * light
        mirrored = surface.direction - 2 * look.normal * (surface.direction * look.normal).sum(
            -1, keepdim=True
        )
        cosine = -(surface.direction * look.normal).sum(-1).clamp(-1, 0)
        fresnel = look.gloss * (0.04 + 0.96 * (1 - cosine) ** 5)
        shiny = ((hits.index >= 0) * fresnel)[..., None]
        radiance = radiance * (1 - shiny) + shiny * self._sky_behind(mirrored, shiny > 0, sky)
        if sky.night:
            # Lamps dazzle: a head lamp is far brighter than a window than their paint tells.
            radiance = radiance + look.emission * (1 + 0.5 * look.emission.amax(-1, keepdim=True))
        is_sky = (hits.index == SKY)[..., None]
        return torch.where(is_sky, self._sky_behind(surface.direction, is_sky, sky), radiance)

    def _sky_behind(self, direction: torch.Tensor, wanted: torch.Tensor, sky: Sky) -> torch.Tensor:
        """Give the sky's radiance in tiles where a ray wants it, and 0 in the others."""
        radiance = torch.zeros_like(direction)
        tiles = wanted.any(1).nonzero()[:, 0]
        radiance[tiles] = self._sky_radiance(direction[tiles], sky)
        return radiance

    def _sky_radiance(self, direction: torch.Tensor, sky: Sky) -> torch.Tensor:
        """Give the sky's radiance along directions; the ground's mean below the horizon."""
        new = direction.new_tensor
        up = direction[..., 2]
        mix = up.clamp(0, 1).sqrt()[..., None]
        colour = new(sky.horizon) * (1 - mix) + new(sky.zenith) * mix
        if sky.clouds > 0:
            plane = direction[..., :2] / up.clamp(min=0.05)[..., None]
            seen = torch.full_like(up, 0.02) / up.clamp(min=0.05)
            puffs = self.noise(plane[..., 0] + 7.0, plane[..., 1], 9.0, seen, 4)
            cover = (puffs.clamp(0, 2) / 2 * sky.clouds * (up.clamp(0, 0.2) * 5))[..., None]
            white = 1.15 * (new(sky.horizon) + 0.15 * new(sky.sun))
            colour = colour * (1 - cover) + white * cover
        near_sun = (direction @ new(sky.to_sun)).clamp(min=0)
        halo = (near_sun**64 * 0.6 + near_sun**8 * 0.08)[..., None] * new(sky.sun)
        street = (0.25 + 0.5 * sky.snow) * new(sky.horizon)
        return torch.where((up < 0)[..., None], street, colour + halo)

    def _lamp_light(
        self,
        surface: Surface,
        look: Appearance,
        sky: Sky,
        T_world_ego: NDArray[np.float64],
        count: int,
    ) -> torch.Tensor:
        """Add street lamps, other cars' lamps and the own head lamps, (T, R, 3)."""
        # Coordinates first, (3, T, R): dozens of lamps run twice as fast over whole planes.
        position = surface.position.movedim(-1, 0).contiguous()
        normal = look.normal.movedim(-1, 0).contiguous()
        total = torch.zeros_like(position)
        eye = self.camera.T_world_camera[:3, 3]
        place, power = to_tensor(self.scene.lamps, position.device)
        if len(place):
            nearest = (place - eye).norm(dim=1).argsort()[:count]
            for where, strength in zip(place[nearest], power[nearest], strict=True):
                away = where[:, None, None] - position
                square = (away * away).sum(0)
                to_lamp = away / square.sqrt()
                downward = to_lamp[2].clamp(0, 1)  # lamps have hoods
                gain = (normal * to_lamp).sum(0).clamp(min=0) * downward / (square + 1.0)
                total += gain * strength[:, None, None]
        solids = self.scene.solids
        beams = (solids.material == Material.LIGHT) & (solids.emission.amax(1) > 0.5)
        beams &= (solids.center - eye).norm(dim=1) < 70.0
        beams &= self.ground.above(solids.center) < 1.6  # vehicles' lamps; street lamps are above
        chosen = beams.nonzero()[:, 0]
        order = (solids.center[chosen] - eye).norm(dim=1).argsort()[:count]
        for i in chosen[order].tolist():
            # Head lamps sit in front of the car's middle and shine along +x, tail lamps along -x.
            sense = 1.0 if solids.emission[i, 2] > 1.0 else -1.0
            forward = solids.rotation[i, :, 0] * sense
            total += _beam(position, normal, solids.center[i], forward, solids.emission[i] * 1.5)
        if sky.head_lamps:
            T = position.new_tensor(T_world_ego)
            for side in (-0.65, 0.65):
                lamp = T[:3, :3] @ position.new_tensor([1.8, side, 0.7]) + T[:3, 3]
                forward = T[:3, :3] @ position.new_tensor([1.0, 0.0, -0.02])
                power_own = position.new_tensor([70.0, 67.0, 60.0]) * sky.head_lamps
                total += _beam(position, normal, lamp, forward, power_own)
        return total.movedim(0, -1).contiguous()

    def _wet(self, lit: torch.Tensor, sky: Sky, T_world_ego: NDArray[np.float64]) -> torch.Tensor:
        """Let the wet ground mirror what stands on it, by a second ray."""
        ground = self.hits.index == GROUND
        solids, seen, camera = self.scene.solids, self.surface, self.camera
        hits, surface = cast_mirrored(solids, camera, seen, ground, self.ground)
        beyond = (self._range(hits) - self._range(self.hits)).clamp(min=0)
        wet = ground.any(1).nonzero()[:, 0]  # the other tiles need no light
        hits, surface = _of_tiles(hits, wet), _of_tiles(surface, wet)
        shown = self._lit(surface, self._painted(surface), hits, sky, T_world_ego, in_mirror=True)
        image = torch.zeros_like(lit)
        image[wet] = self._through_air(shown, beyond[wet], hits, surface, sky)
        picture, where = untile(image, camera), untile(ground, camera)
        pool = tile(smear(picture, where, max(1, camera.height // 64)))
        rough = tile(smear(picture, where, max(1, int(ROUGHNESS_RAD * camera.K[1, 1]))))
        # Where water stands it is a mirror, elsewhere it wets the stones.
        depth = (self.look.gloss**2)[..., None]
        image = pool * depth + rough * (1 - depth)
        cosine = -(seen.direction * seen.normal).sum(-1).clamp(-1, 0)
        fresnel = 0.03 + 0.97 * (1 - cosine) ** 4
        share = 0.4 + 0.6 * self.look.gloss
        mirror = (ground * share * fresnel * sky.wetness)[..., None]
        return lit * (1 - mirror) + image * mirror

    def _range(self, hits: Hits) -> torch.Tensor:
        """Give how far light came from hits to the eye, at most through all the haze, (T, R)."""
        cosine = self.surface.direction @ self.camera.T_world_camera[:3, 2]
        return (hits.distance / cosine).clamp(max=HAZE_M)

    def _through_air(
        self, lit: torch.Tensor, range_: torch.Tensor, hits: Hits, surface: Surface, sky: Sky
    ) -> torch.Tensor:
        """Fade what is far into the horizon's colour (Koschmieder), spray lying low."""
        if sky.extinction == 0:
            return lit
        low = torch.exp(-surface.above.clamp(min=0) / 1.5)
        density = sky.extinction * (1 + 1.5 * sky.wetness * low)
        through = torch.exp(-range_ * density)
        air = lit.new_tensor(sky.horizon) * sky.airlight
        # Where the ground ends before the horizon, the air hides the edge.
        is_sky = (hits.index == SKY) & (surface.direction[..., 2] >= 0)
        through = torch.where(is_sky, 1.0, through)[..., None]
        return lit * through + air * (1 - through)


def _of_tiles(rays: Rays, tiles: torch.Tensor) -> Rays:
    """Keep some tiles of what rays met."""
    kept = {field.name: getattr(rays, field.name)[tiles] for field in fields(rays)}
    return replace(rays, **kept)


def _beam(
    position: torch.Tensor,
    normal: torch.Tensor,
    lamp: torch.Tensor,
    forward: torch.Tensor,
    power: torch.Tensor,
) -> torch.Tensor:
    """Give a dipped head lamp's light, (3, T, R): wide sideways, cut off above its own height."""
    away = position - lamp[:, None, None]
    square = (away * away).sum(0)
    ray = away / square.sqrt().clamp(min=1e-3)
    ahead = (ray * forward[:, None, None]).sum(0).clamp(min=0)
    rise = ray[2] - forward[2]
    shape = ahead**12 * torch.sigmoid(-rise * 60.0 + 0.3)
    cosine = -(normal * ray).sum(0).clamp(max=0)
    return shape * cosine / (square + 0.5) * power[:, None, None]
