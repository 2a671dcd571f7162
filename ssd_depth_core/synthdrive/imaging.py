"""From radiance to an 8-bit picture: lens, sensor, exposure and what rain does before them."""

from dataclasses import dataclass

from ssd_depth_core.conditions import Condition
import torch
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Sensor:
    """Hold one camera's character."""

    exposure: float
    """Mean of the linear picture that the automatic exposure aims at."""
    gain_limit: float
    """Most that it may multiply radiance by: the night stays dark."""
    read_noise: float
    """Standard deviation of the linear signal at unit gain, at 1/100 of the gain limit."""
    shot_noise: float
    """Standard deviation per root of the linear signal."""
    bloom: float
    """Share of light that the lens scatters."""
    vignetting: float
    """Loss in the corners, in [0, 1)."""
    white_balance: tuple[float, float, float]
    gamma: float
    """Display exponent, about 2.2."""
    saturation: float
    """1 leaves colours as they are."""
    streaks: float
    """Rain streaks per 1000 pixels."""
    drops: tuple[tuple[float, float, float], ...]
    """On the lens: x and y in [-1, 1], radius as a share of half the height."""


def draw_sensor(condition: Condition, generator: torch.Generator) -> Sensor:
    """Draw a camera.

    Args:
        condition: What it looks at: only rain has streaks and drops, night is under-exposed.
        generator: On the CPU.

    Returns:
        The camera's character.
    """

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    night, rain = condition == 'night', condition == 'day-rain'
    num_drops = int(draw(0.0, 9.0)) if rain else 0
    return Sensor(
        exposure=draw(0.05, 0.14) if night else draw(0.16, 0.32),
        gain_limit=draw(1.0, 3.5) if night else 4.0,
        read_noise=draw(0.003, 0.02) if night else draw(0.0, 0.004),
        shot_noise=draw(0.01, 0.05) if night else draw(0.002, 0.012),
        bloom=draw(0.06, 0.2) if night else draw(0.01, 0.05),
        vignetting=draw(0.0, 0.3),
        white_balance=(draw(0.88, 1.14), 1.0, draw(0.86, 1.16)),
        gamma=draw(2.0, 2.5),
        saturation=draw(0.6, 1.2),
        streaks=draw(0.2, 1.6) if rain else 0.0,
        drops=tuple(
            (draw(-1.0, 1.0), draw(-1.0, 1.0), 0.02 + 0.07 * draw(0.0, 1.0) ** 2)
            for _ in range(num_drops)
        ),
    )


def expose(
    radiance: torch.Tensor, depth: torch.Tensor, sensor: Sensor, generator: torch.Generator
) -> torch.Tensor:
    """Take the picture.

    Args:
        radiance: (H, W, 3) linear RGB.
        depth: (H, W) [m]; streaks lie in front of what is far.
        sensor: The camera.
        generator: On the CPU: noise and streaks.

    Returns:
        (H, W, 3) uint8 sRGB-like.
    """
    device = radiance.device
    picture = radiance.permute(2, 0, 1)[None]  # (1, 3, H, W)
    gain = (sensor.exposure / picture.mean().clamp(min=1e-6)).clamp(max=sensor.gain_limit)
    picture = picture * gain
    if sensor.streaks:
        picture = _streaks(picture, depth, sensor, generator)
    if sensor.drops:
        picture = _drops(picture, sensor.drops)
    picture = _bloom(picture, sensor.bloom)
    height, width = picture.shape[2:]
    y = torch.linspace(-1, 1, height, device=device)[:, None]
    x = torch.linspace(-1, 1, width, device=device)[None]
    picture = picture * (1 - sensor.vignetting * (x * x + y * y) / 2)
    picture = picture * picture.new_tensor(sensor.white_balance)[None, :, None, None]
    noise = torch.randn(picture.shape, generator=generator).to(device)
    spread = sensor.read_noise + sensor.shot_noise * picture.clamp(min=0).sqrt()
    picture = (picture + noise * spread).clamp(min=0)
    picture = picture / (1 + 0.25 * picture)  # a soft shoulder: lamps do not clip at once
    grey = picture.mean(1, keepdim=True)
    picture = (grey + (picture - grey) * sensor.saturation).clamp(0, 1)
    picture = picture ** (1 / sensor.gamma)
    return (picture[0].permute(1, 2, 0) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def _bloom(picture: torch.Tensor, share: float) -> torch.Tensor:
    """Scatter light around bright sources at three widths, as a lens and a windscreen do."""
    bright = picture.clamp(max=60.0)
    height, width = picture.shape[2:]
    scattered = torch.zeros_like(picture)
    for factor, weight in ((4, 0.5), (12, 0.3), (32, 0.2)):
        size = (max(1, height // factor), max(1, width // factor))
        small = functional.adaptive_avg_pool2d(bright, size)
        small = functional.avg_pool2d(functional.pad(small, (1, 1, 1, 1), mode='replicate'), 3, 1)
        grown = functional.interpolate(small, (height, width), mode='bilinear')
        scattered = scattered + weight * grown
    return picture * (1 - share) + scattered * share


def _streaks(
    picture: torch.Tensor, depth: torch.Tensor, sensor: Sensor, generator: torch.Generator
) -> torch.Tensor:
    """Draw falling drops as short bright lines, all slanted alike."""
    height, width = depth.shape
    count = int(sensor.streaks * height * width / 1000)
    if count == 0:
        return picture
    length = max(3, height // 14)
    random = torch.rand(count, 4, generator=generator)
    slant = float(torch.rand((), generator=generator)) * 0.5 - 0.25
    step = torch.arange(length)
    y = (random[:, :1] * height).long() + step  # (count, length)
    x = (random[:, 1:2] * width + step * slant).long()
    fade = torch.sin((step + 0.5) / length * torch.pi)
    long_enough = step < (random[:, 2:3] * length).clamp(min=2)
    strength = fade * (0.04 + 0.14 * random[:, 3:]) * long_enough
    inside = (y < height) & (x >= 0) & (x < width)
    veil = torch.zeros(height * width)
    veil.scatter_reduce_(0, (y * width + x)[inside], strength[inside], 'amax')
    veil = veil.view(1, 1, height, width).to(picture.device)
    sky_light = picture.mean(dim=(1, 2, 3), keepdim=True) * 2.2
    far = (depth > 2.0).float()
    return picture + veil * far * (sky_light - 0.5 * picture)


def _drops(picture: torch.Tensor, drops: tuple[tuple[float, float, float], ...]) -> torch.Tensor:
    """Put drops on the lens: each shows the scene small, upside down and blurred."""
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
        inside = ((radius - (dx * dx + dy * dy).sqrt()) / (0.3 * radius)).clamp(0, 1)
        u = u + inside * (cx - 6.0 * (x - cx) - x)
        v = v + inside * (cy - 6.0 * (y - cy) - y)
        cover = torch.maximum(cover, inside)
    size = (max(2, height // 4), max(2, width // 4))
    soft = functional.interpolate(functional.adaptive_avg_pool2d(picture, size), (height, width))
    grid = torch.stack([u, v], -1)[None].clamp(-1, 1)
    seen = functional.grid_sample(soft, grid, mode='bilinear', align_corners=False)
    return picture * (1 - cover) + seen * cover
