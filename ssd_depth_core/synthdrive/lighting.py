"""Light on surfaces: radiance that arrives at the camera by day, by night and in the wet."""

from dataclasses import dataclass

import numpy as np
from ssd_depth_core.conditions import Condition, CONDITIONS
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
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.world import CityStyle, Lamps, to_tensor
import torch
from torch.nn import functional

MAX_LAMPS = 24
"""Of street lamps, and as many of vehicles' lamps: the nearest ones."""


@dataclass(frozen=True, slots=True)
class Sky:
    """Hold where light comes from and what the air does to it."""

    to_sun: tuple[float, float, float]
    """Unit, towards the sun, or the zenith where overcast: then shadows are contact shadows."""
    sun: tuple[float, float, float]
    """Linear RGB irradiance on a surface that faces it."""
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    """Linear RGB radiance of the sky."""
    clouds: float
    """How much they stand out, in [0, 1]."""
    extinction: float
    """Of light by fog and rain [1/m]."""
    wetness: float
    """Of the ground, in [0, 1]."""
    night: bool
    """Whether lamps and windows shine."""
    head_lamps: float
    """Strength of the own car's, 0 by day."""


def draw_sky(condition: Condition, seed: int) -> Sky:
    """Draw the light and weather of one scene.

    Args:
        condition: Kind of light and weather.
        seed: Of the draw; the same seed gives the same sky.

    Returns:
        The sky.
    """
    rng = np.random.default_rng([seed, 10, CONDITIONS.index(condition)])
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(12.0, 75.0))
    level = np.cos(elevation)
    sun_at = (level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation))
    if condition == 'night':
        glow = rng.uniform(0.0008, 0.012)
        tint = np.array([1.0, 0.85, 0.7]) if rng.random() < 0.6 else np.array([0.7, 0.85, 1.1])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=(0.0, 0.0, 0.0), zenith=_rgb(glow * 0.4 * tint),
            horizon=_rgb(glow * tint), clouds=0.2, extinction=rng.uniform(0.0, 0.003),
            wetness=0.0, night=True, head_lamps=rng.uniform(0.5, 1.5),
        )  # fmt: skip
    if condition == 'day-rain':
        grey = rng.uniform(0.45, 1.0) * np.array([0.95, 1.0, 1.06])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=_rgb(0.25 * grey), zenith=_rgb(grey),
            horizon=_rgb(grey * rng.uniform(0.7, 1.0)), clouds=rng.uniform(0.0, 0.25),
            extinction=rng.uniform(0.002, 0.014), wetness=rng.uniform(0.5, 1.0), night=False,
            head_lamps=0.0,
        )  # fmt: skip
    overcast = rng.random() < 0.25
    if overcast:
        grey = rng.uniform(0.7, 1.2) * np.array([1.0, 1.0, 1.03])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=_rgb(0.3 * grey), zenith=_rgb(grey),
            horizon=_rgb(grey * rng.uniform(0.8, 1.1)), clouds=rng.uniform(0.0, 0.4),
            extinction=rng.uniform(0.0, 0.003), wetness=0.0, night=False, head_lamps=0.0,
        )  # fmt: skip
    warmth = np.array([1.0, 0.93 - 0.25 * level**3, 0.84 - 0.45 * level**3])
    blue = rng.uniform(0.2, 0.6) * np.array([0.45, 0.7, 1.15])
    haze = rng.uniform(0.5, 1.1) * np.array([0.85, 0.95, 1.0])
    return Sky(
        to_sun=sun_at, sun=_rgb(rng.uniform(1.2, 2.6) * warmth), zenith=_rgb(blue),
        horizon=_rgb(haze), clouds=rng.uniform(0.0, 1.0), extinction=rng.uniform(0.0, 0.0025),
        wetness=0.0, night=False, head_lamps=0.0,
    )  # fmt: skip


def _rgb(values: np.ndarray) -> tuple[float, float, float]:
    r, g, b = (float(value) for value in values)
    return r, g, b


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
        self.look = appearance(self.surface, scene.solids, scene.style, noise)

    def depth(self) -> torch.Tensor:
        """Give the exact depth.

        Returns:
            (H, W) along the optical axis [m]; inf for the sky.
        """
        return untile(self.hits.distance, self.camera)

    def radiance(self, sky: Sky, ego: tuple[float, float, float]) -> torch.Tensor:
        """Light the scene.

        Args:
            sky: Light and weather.
            ego: x, y [m] and yaw [rad] of the camera's car, for its head lamps.

        Returns:
            (H, W, 3) linear RGB, unbounded above.
        """
        lit = self._lit(self.surface, self.look, self.hits, sky, ego, shadows=True)
        if sky.wetness > 0:
            lit = self._wet(lit, sky, ego)
        return untile(self._through_air(lit, self.hits, self.surface, sky), self.camera)

    def _lit(
        self,
        surface: Surface,
        look: Appearance,
        hits: Hits,
        sky: Sky,
        ego: tuple[float, float, float],
        *,
        shadows: bool,
    ) -> torch.Tensor:
        new = surface.position.new_tensor
        albedo = look.albedo
        if sky.wetness:
            albedo = torch.where(
                (hits.index == GROUND)[..., None], albedo * (1 - 0.5 * sky.wetness), albedo
            )
        to_sun = new(sky.to_sun)
        facing = (look.normal @ to_sun).clamp(min=0)
        if shadows and max(sky.sun) > 0:
            facing = facing * ~shadowed(self.scene.solids, surface, to_sun)
        # Walls see half the sky, and less of it near the ground where the street shuts it out.
        open_sky = 0.5 + 0.5 * look.normal[..., 2]
        low = 0.55 + 0.45 * (surface.above / 4.0).clamp(0, 1)
        open_sky = open_sky * torch.where(look.normal[..., 2] > 0.9, 1.0, low)
        ambient = 0.55 * (new(sky.zenith) + new(sky.horizon)) / 2
        bounce = 0.12 * new(sky.sun) * float(to_sun[2].clamp(min=0))
        light = facing[..., None] * new(sky.sun) + open_sky[..., None] * ambient + bounce * 0.5
        if sky.night:
            light = light + self._lamp_light(surface, look, sky, ego)
        radiance = albedo * light
        mirrored = surface.direction - 2 * look.normal * (surface.direction * look.normal).sum(
            -1, keepdim=True
        )
        cosine = -(surface.direction * look.normal).sum(-1).clamp(-1, 0)
        fresnel = look.gloss * (0.04 + 0.96 * (1 - cosine) ** 5)
        shiny = (hits.index >= 0)[..., None] * fresnel[..., None]
        radiance = radiance * (1 - shiny) + shiny * self._sky_radiance(mirrored, sky)
        if sky.night:
            radiance = radiance + look.emission
        is_sky = (hits.index == SKY)[..., None]
        return torch.where(is_sky, self._sky_radiance(surface.direction, sky), radiance)

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
        street = 0.25 * new(sky.horizon)
        return torch.where((up < 0)[..., None], street, colour + halo)

    def _lamp_light(
        self, surface: Surface, look: Appearance, sky: Sky, ego: tuple[float, float, float]
    ) -> torch.Tensor:
        """Add street lamps, other cars' lamps and the own head lamps, (T, R, 3)."""
        # Coordinates first, (3, T, R): dozens of lamps run twice as fast over whole planes.
        position = surface.position.movedim(-1, 0).contiguous()
        normal = look.normal.movedim(-1, 0).contiguous()
        total = torch.zeros_like(position)
        eye = self.camera.T_world_camera[:3, 3]
        place, power = to_tensor(self.scene.lamps, position.device)
        if len(place):
            nearest = (place - eye).norm(dim=1).argsort()[:MAX_LAMPS]
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
        order = (solids.center[chosen] - eye).norm(dim=1).argsort()[:MAX_LAMPS]
        for i in chosen[order].tolist():
            # Head lamps sit in front of the car's middle and shine along +x, tail lamps along -x.
            sense = 1.0 if solids.emission[i, 2] > 1.0 else -1.0
            forward = solids.rotation[i, :, 0] * sense
            total += _beam(position, normal, solids.center[i], forward, solids.emission[i] * 1.5)
        if sky.head_lamps:
            x, y, yaw = ego
            c, s = float(np.cos(yaw)), float(np.sin(yaw))
            terrain, at = self.scene.terrain, (np.array(x), np.array(y))
            z, (by_x, by_y) = float(terrain.height(*at)), terrain.gradient(*at)
            rise = float(c * by_x + s * by_y)
            forward = position.new_tensor([c, s, rise - 0.02])
            for side in (-0.65, 0.65):
                ahead = (x + c * 1.8 - s * side, y + s * 1.8 + c * side)
                lamp = position.new_tensor([*ahead, z + 1.8 * rise + 0.7])
                power_own = position.new_tensor([30.0, 29.0, 26.0]) * sky.head_lamps
                total += _beam(position, normal, lamp, forward, power_own)
        return total.movedim(0, -1).contiguous()

    def _wet(self, lit: torch.Tensor, sky: Sky, ego: tuple[float, float, float]) -> torch.Tensor:
        """Let the wet ground mirror what stands on it, by a second ray."""
        ground = self.hits.index == GROUND
        solids, seen = self.scene.solids, self.surface
        hits, surface = cast_mirrored(solids, self.camera, seen, ground, self.ground)
        look = appearance(surface, self.scene.solids, self.scene.style, self.noise)
        image = self._lit(surface, look, hits, sky, ego, shadows=False)
        # Rough water smears reflections up and down.
        picture = untile(image, self.camera).permute(2, 0, 1)[None]  # (1, 3, H, W)
        reach = max(1, self.camera.height // 64)
        smear = functional.avg_pool2d(
            functional.pad(picture, (0, 0, reach, reach), mode='replicate'), (2 * reach + 1, 1), 1
        )
        smear = tile(smear[0].permute(1, 2, 0))  # (T, R, 3)
        cosine = -(self.surface.direction * self.surface.normal).sum(-1).clamp(-1, 0)
        fresnel = 0.03 + 0.97 * (1 - cosine) ** 4
        mirror = (ground * self.look.gloss * fresnel * sky.wetness)[..., None]
        return lit * (1 - mirror) + smear * mirror

    def _through_air(
        self, lit: torch.Tensor, hits: Hits, surface: Surface, sky: Sky
    ) -> torch.Tensor:
        """Fade what is far into the horizon's colour (Koschmieder), spray lying low."""
        if sky.extinction == 0:
            return lit
        distance = hits.distance.clamp(max=400.0)
        low = torch.exp(-surface.above.clamp(min=0) / 1.5)
        through = torch.exp(-distance * sky.extinction * (1 + 1.5 * sky.wetness * low))
        air = lit.new_tensor(sky.horizon) * (0.25 if sky.night else 0.85)
        through = torch.where(hits.index == SKY, 1.0, through)[..., None]
        return lit * through + air * (1 - through)


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
