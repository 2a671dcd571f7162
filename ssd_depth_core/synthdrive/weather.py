"""What weather leaves on surfaces: a film of water that mirrors, and snow."""

from dataclasses import replace

from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.materials import Appearance, NoiseBank
from ssd_depth_core.synthdrive.pooling import grow, shrink
from ssd_depth_core.synthdrive.primitives import Material, Primitives
from ssd_depth_core.synthdrive.renderer import SKY, Surface
from ssd_depth_core.synthdrive.sky import Sky
from ssd_depth_core.synthdrive.world import CityStyle, LANE_WIDTH_M
import torch
from torch.nn import functional

SNOW = (0.78, 0.81, 0.86)
"""Albedo, linear RGB: days old in a city, a little blue."""
SLUSH = (0.16, 0.16, 0.17)
"""Of what wheels leave, which adds to the asphalt's own look."""
HALF_TRACK_M = 0.75
"""From the middle of a lane to where its wheels run."""
_STEPS = 4
"""Rows in the coarse picture for the half length of a reflection."""


def weathered(
    look: Appearance,
    surface: Surface,
    solids: Primitives,
    style: CityStyle,
    noise: NoiseBank,
    sky: Sky,
) -> Appearance:
    """Wet or cover what has been painted.

    Args:
        look: As it is in dry weather.
        surface: What the rays met.
        solids: That the surface indexes.
        style: Of the city: where its lanes run.
        noise: Texture source.
        sky: How wet it is and how much snow lies.

    Returns:
        The look in this weather.
    """
    if sky.wetness:
        road = (surface.index == GROUND)[..., None]
        darker = torch.where(road, look.albedo * (1 - 0.5 * sky.wetness), look.albedo)
        look = replace(look, albedo=darker)
    if sky.snow:
        cover, wheels = snow_cover(surface, solids, style, noise, sky.snow)
        cover, wheels = cover[..., None], wheels[..., None]
        new = look.albedo.new_tensor
        albedo = look.albedo * (1 - 0.7 * wheels) + 0.7 * wheels * new(SLUSH)
        albedo = albedo * (1 - cover) + cover * new(SNOW) * (0.9 + 0.1 * look.normal[..., 2:])
        look = replace(look, albedo=albedo, gloss=look.gloss * (1 - cover[..., 0]))
    return look


def snow_cover(
    surface: Surface, solids: Primitives, style: CityStyle, noise: NoiseBank, amount: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Say where snow lies: on what faces upwards, less where wheels run.

    Args:
        surface: What the rays met.
        solids: That the surface indexes.
        style: Of the city: where its lanes run.
        noise: Texture source.
        amount: Share of level ground that is covered, in [0, 1].

    Returns:
        Share of each point under snow and share under slush, (T, R) each, in [0, 1].
    """
    up = surface.normal[..., 2]
    lies = ((up - 0.45) / 0.3).clamp(0, 1)
    material = solids.material[surface.index.clamp(min=0)]
    leafy = (surface.index >= 0) & (material == Material.FOLIAGE)
    lies = torch.where(leafy, 0.7 * lies, lies)
    pane = (surface.index >= 0) & (material == Material.CAR_CABIN) & (surface.face[..., 2] < 0.9)
    lies = torch.where(pane, 0.0, lies)  # drivers have cleared them
    lies = torch.where(surface.index == SKY, 0.0, lies)
    u, v = surface.local[..., 0], surface.local[..., 1]
    slant = surface.footprint / (surface.direction * surface.normal).sum(-1).abs().clamp(min=0.05)
    road = surface.index == GROUND
    patch = noise(u, v, 31.0, slant, 3)
    wheels = torch.where(road, _wheels(u, v, surface.footprint, style), 0.0)
    wheels = (wheels * (1.1 + 0.5 * patch)).clamp(0, 1)
    # Between the tracks of a busy road little stays: bare patches grow as snow gets less.
    bare = (1.2 * (1 - amount) - 0.1 + 0.35 * patch + 0.15 * noise(u, v, 5.0, slant, 1)).clamp(
        0, 0.8
    )
    cover = lies * torch.where(road, (1 - bare) * (1 - 0.85 * wheels), 0.65 + 0.35 * amount)
    return cover, wheels * (1 - cover)


def _wheels(
    u: torch.Tensor, v: torch.Tensor, foot: torch.Tensor, style: CityStyle
) -> torch.Tensor:
    """Say how much of a place of the road wheels have run over, in [0, 1]."""
    across_u = u - (u / style.pitch[0]).round() * style.pitch[0]
    across_v = v - (v / style.pitch[1]).round() * style.pitch[1]
    along_u = across_v.abs() < style.half_road[0]
    along_v = across_u.abs() < style.half_road[1]

    def tracks(across: torch.Tensor, half_road: float) -> torch.Tensor:
        lanes = max(1, int((half_road - 0.2) / LANE_WIDTH_M))
        aside = across.abs() % LANE_WIDTH_M - LANE_WIDTH_M / 2
        rut = torch.exp(-(((aside.abs() - HALF_TRACK_M) / 0.3) ** 2))
        far = (foot / HALF_TRACK_M - 0.5).clamp(0, 1)  # two tracks in one pixel
        rut = rut * (1 - far) + 0.3 * far
        return torch.where(across.abs() < lanes * LANE_WIDTH_M, rut, 0.0)

    first, second = tracks(across_v, style.half_road[0]), tracks(across_u, style.half_road[1])
    crossed = torch.maximum(torch.maximum(first, second), torch.full_like(first, 0.35))
    return torch.where(along_u & along_v, crossed, torch.where(along_u, first, second))


def smear(picture: torch.Tensor, seen: torch.Tensor, reach_px: int) -> torch.Tensor:
    """Draw a mirror image out upwards and downwards, as a rough wet road does.

    The facets of a road tilt a little every way; at a grazing angle that moves reflections up and
    down far more than sideways.

    Args:
        picture: (H, W, 3), what a still pool would show.
        seen: (H, W) bool: where there is a mirror; the rest of the picture is not used.
        reach_px: How far light spreads, at least 1 pixel.

    Returns:
        (H, W, 3).
    """
    height, width = seen.shape
    both = torch.cat([picture * seen[..., None], seen[..., None].to(picture)], -1)
    both = both.permute(2, 0, 1)[None]  # (1, 4, H, W)
    step = max(1, reach_px // _STEPS)
    coarse = shrink(both, (step, 1))
    half = max(1, round(reach_px / (2 * step)))
    for _ in range(2):  # two boxes make a triangle
        coarse = functional.avg_pool2d(coarse, (2 * half + 1, 1), 1, (half, 0))
    grown = grow(coarse, (step, 1), height, width)[0]
    return (grown[:3] / grown[3:].clamp(min=1e-4)).permute(1, 2, 0)
