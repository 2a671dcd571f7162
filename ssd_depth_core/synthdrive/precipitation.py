"""What hangs between scene and sensor: falling rain and snow, and drops on the lens."""

from dataclasses import dataclass

from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.synthdrive.pooling import grow, shrink
import torch
from torch.nn import functional

RAIN_MPS = 7.0
"""At which drops of heavy rain fall."""
NEAR_M, FAR_M = 0.8, 7.0
"""Nearer drops would hit the lens; farther ones are too thin to be seen one by one."""
_FLAKES = ((5.0, 0.001, 0.8, 0.8), (2.0, 0.005, 0.18, 0.55), (0.9, 0.02, 0.02, 0.3))
"""Far to near: distance [m], radius as a share of the height, share of flakes, opacity."""


@dataclass(frozen=True, slots=True)
class Precipitation:
    """Hold what falls in front of a camera and what has landed on it."""

    streaks: float = 0.0
    """Rain, streaks per 1000 pixels."""
    flakes: float = 0.0
    """Snow, flakes for each pixel of the height, at all distances."""
    drops: tuple[tuple[float, float, float], ...] = ()
    """On the lens: x and y in [-1, 1], radius as a share of half the height."""
    lit_by_lamps: bool = False
    """Else by the sky."""


def draw_precipitation(condition: RenderedCondition, generator: torch.Generator) -> Precipitation:
    """Draw weather.

    Args:
        condition: Only rain has streaks and drops, only snow has flakes.
        generator: On the CPU; the same one gives the same drops, which stay for a drive.

    Returns:
        What is in the air and on the lens.
    """

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    if condition == 'snow':
        return Precipitation(flakes=draw(1.0, 5.0))
    if condition not in ('day-rain', 'night-rain'):
        return Precipitation()
    drops = tuple(
        (draw(-1.0, 1.0), draw(-1.0, 1.0), 0.02 + 0.1 * draw(0.0, 1.0) ** 2)
        for _ in range(int(draw(0.0, 14.0)))
    )
    return Precipitation(
        streaks=draw(0.3, 1.6), drops=drops, lit_by_lamps=condition == 'night-rain'
    )


def fall(
    radiance: torch.Tensor,
    depth: torch.Tensor,
    K: torch.Tensor,
    time_s: float,
    precipitation: Precipitation,
    generator: torch.Generator,
) -> torch.Tensor:
    """Let rain or snow fall, and look through the drops on the lens.

    Args:
        radiance: (H, W, 3) linear RGB.
        depth: (H, W) [m]; what is nearer hides what falls behind it.
        K: (3, 3), pixels.
        time_s: Of the exposure: rain draws lines as long as it falls.
        precipitation: How much.
        generator: On the CPU: fresh streaks and flakes for every picture.

    Returns:
        (H, W, 3) linear RGB.
    """
    picture = radiance.permute(2, 0, 1)[None]  # (1, 3, H, W)
    if precipitation.streaks:
        length_m = RAIN_MPS * time_s * float(K[1, 1])
        veil = _streaks(depth, precipitation.streaks, length_m, generator)
        light = _lamp_light(picture) if precipitation.lit_by_lamps else _sky_light(picture)
        picture = picture + veil * (light - 0.5 * picture)
    if precipitation.flakes:
        light = 0.6 * _sky_light(picture)
        for veil in _flakes(depth, precipitation.flakes, generator):
            picture = picture + veil * (light - picture)
    if precipitation.drops:
        picture = _through_drops(picture, precipitation.drops)
    return picture[0].permute(1, 2, 0)


def _sky_light(picture: torch.Tensor) -> torch.Tensor:
    """Give the radiance of drops by day: they gather light from the whole sky."""
    return picture.mean(dim=(2, 3), keepdim=True) * 2.2


def _lamp_light(picture: torch.Tensor) -> torch.Tensor:
    """Give it by night: of the lamps around them, and of the own ones in the lower half."""
    height, width = picture.shape[2:]
    cell = (max(1, height // 12),) * 2
    around = grow(shrink(picture.clamp(max=4.0), cell), cell, height, width)
    down = torch.linspace(0, 1, height, device=picture.device)[:, None]
    own = picture.mean(dim=(2, 3), keepdim=True) * torch.sigmoid((down - 0.4) * 14.0)
    return 2.0 * around + 4.0 * own


def _streaks(
    depth: torch.Tensor, density: float, length_px_m: float, generator: torch.Generator
) -> torch.Tensor:
    """Draw falling drops as short lines, all slanted alike.

    Args:
        depth: (H, W) [m].
        density: Streaks per 1000 pixels.
        length_px_m: Length times distance of a streak [px m].
        generator: On the CPU.

    Returns:
        (1, 1, H, W): how much of each pixel a drop covers, in [0, 1].
    """
    height, width = depth.shape
    count = int(density * height * width / 1000)
    random = torch.rand(count, 4, generator=generator)
    slant = float(torch.rand((), generator=generator)) * 0.5 - 0.25
    away = NEAR_M * (FAR_M / NEAR_M) ** random[:, 2:3]  # (count, 1) [m]
    length = (length_px_m / away).clamp(2.0, height / 5)
    step = torch.arange(int(height / 5) + 2)
    y = (random[:, :1] * height).long() + step  # (count, steps)
    x = (random[:, 1:2] * width + step * slant).long()
    fade = torch.sin((step + 0.5) / length * torch.pi) * (step < length)
    strength = fade * (0.05 + 0.2 * random[:, 3:])
    inside = (y < height) & (x >= 0) & (x < width) & (strength > 0)
    place = (y * width + x)[inside]
    before = depth.flatten().cpu()[place] > away.expand_as(y)[inside]
    veil = torch.zeros(height * width)
    veil.scatter_reduce_(0, place, strength[inside] * before, 'amax')
    return veil.view(1, 1, height, width).to(depth.device)


def _flakes(depth: torch.Tensor, density: float, generator: torch.Generator) -> list[torch.Tensor]:
    """Draw flakes at a few distances, the nearer the larger and softer.

    Args:
        depth: (H, W) [m].
        density: Flakes for each pixel of the height.
        generator: On the CPU.

    Returns:
        How much of each pixel they cover, (1, 1, H, W) in [0, 1] each, far ones first.
    """
    height, width = depth.shape
    layers = []
    for away, radius, share, opacity in _FLAKES:
        count = int(density * height * share)
        place = torch.randint(height * width, (count,), generator=generator)
        size = torch.rand(count, generator=generator) * 0.7 + 0.3
        veil = torch.zeros(height * width)
        veil.scatter_reduce_(0, place, size, 'amax')
        veil = veil.view(1, 1, height, width).to(depth.device)
        half = int(radius * height + 0.3)
        for _ in range(2 if half else 0):  # two boxes make a soft blob, as high as its middle
            veil = functional.avg_pool2d(veil, 2 * half + 1, 1, half) * (2 * half + 1)
        layers.append((opacity * veil).clamp(max=opacity) * (depth > away))
    return layers


def _through_drops(
    picture: torch.Tensor, drops: tuple[tuple[float, float, float], ...]
) -> torch.Tensor:
    """Put drops on the lens: each shows the scene small, upside down, blurred, dark-rimmed."""
    height, width = picture.shape[2:]
    device = picture.device
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, device=device),
        torch.linspace(-1, 1, width, device=device),
        indexing='ij',
    )
    aspect = width / height
    u, v, cover = x.clone(), y.clone(), torch.zeros_like(x)
    for cx, cy, radius in drops:
        dx, dy = (x - cx) * aspect, (y - cy) * 0.85
        inside = ((radius - (dx * dx + dy * dy).sqrt()) / (0.4 * radius)).clamp(0, 1)
        u = torch.where(inside > 0, cx - 6.0 * (x - cx), u)
        v = torch.where(inside > 0, cy - 6.0 * (y - cy), v)
        cover = torch.maximum(cover, inside)
    soft = shrink(picture, (max(1, height // 40),) * 2)
    grid = torch.stack([u, v], -1)[None].clamp(-1, 1)
    seen = functional.grid_sample(soft, grid, mode='bilinear', align_corners=False)
    seen = seen * (0.75 + 0.25 * cover)
    return picture * (1 - cover) + seen * cover
