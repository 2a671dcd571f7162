"""From radiance to an 8-bit picture: exposure control, lens and sensor."""

from dataclasses import dataclass
import math

from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.synthdrive.pooling import grow, shrink
import torch
from torch.nn import functional

ADAPTATION_S = 0.5
"""Time constant of the exposure control, as cameras in cars have."""
METER_LIMIT = 2.0
"""Radiance at which the meter saturates: a lamp in view does not black out the street."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """Hold one camera's character."""

    target: float
    """Mean of the linear picture that the automatic exposure aims at."""
    level_limit: float
    """Most that it may multiply radiance by, with time and gain together: the night stays dark."""
    unit_time_s: float
    """Exposure time at which the sensor's signal equals radiance."""
    longest_s: float
    """Exposure time at most; a darker picture is amplified."""
    shot_noise: float
    """Standard deviation of the signal per root of the signal, before gain."""
    read_noise: float
    """Standard deviation of the sensor's own, before gain."""
    bloom: float
    """Share of light that lens and windscreen scatter."""
    vignetting: float
    """1 darkens by the fourth power of the angle's cosine, as a plain lens does, 0 not at all."""
    white_balance: tuple[float, float, float]
    toe: float
    """Signal below which the tone curve goes to black twice as steeply."""
    gamma: float
    """Display exponent, about 2.2."""
    saturation: float
    """1 leaves colours as they are."""


def draw_sensor(condition: RenderedCondition, generator: torch.Generator) -> Sensor:
    """Draw a camera.

    Args:
        condition: What it looks at: the night is under-exposed, amplified and glaring.
        generator: On the CPU.

    Returns:
        The camera's character.
    """

    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    night, wet = condition in ('night', 'night-rain'), condition in ('day-rain', 'night-rain')
    # What belongs to the lens comes first, so that the twins of a street share it.
    vignetting, longest_s = draw(0.0, 0.6), draw(0.02, 0.033)
    white_balance = (draw(0.88, 1.14), 1.0, draw(0.86, 1.16))
    toe, gamma, saturation = draw(0.004, 0.025), draw(2.0, 2.5), draw(0.6, 1.2)
    bright = {'night': (0.025, 0.09), 'night-rain': (0.025, 0.09), 'snow': (0.24, 0.42)}
    return Sensor(
        target=draw(*bright.get(condition, (0.18, 0.34))),
        level_limit=draw(1.0, 3.5) if night else 4.0,
        unit_time_s=draw(0.01, 0.025) if night else draw(0.002, 0.006),
        shot_noise=draw(0.005, 0.02) if night else draw(0.002, 0.012),
        read_noise=draw(0.0005, 0.004) if night else draw(0.0, 0.002),
        bloom=(draw(0.08, 0.22) if night else draw(0.01, 0.05)) * (1.5 if wet else 1.0),
        vignetting=vignetting,
        longest_s=longest_s,
        white_balance=white_balance,
        toe=toe,
        gamma=gamma,
        saturation=saturation,
    )


@dataclass(frozen=True, slots=True)
class Exposure:
    """Hold how one picture is taken."""

    time_s: float
    gain: float
    """Of the amplifier, at least 1 but where the exposure time alone would be too much."""


class AutoExposure:
    """Follow the light as a camera's exposure control does: within limits, and late.

    One for each camera and drive, stepped through its pictures from the first one on.
    """

    def __init__(self, sensor: Sensor) -> None:
        """Start without a memory.

        Args:
            sensor: Whose aim and limits hold.
        """
        self._sensor = sensor
        self._log_level: float | None = None
        self._t = 0.0

    def step(self, t: float, radiance: torch.Tensor) -> Exposure:
        """Meter a picture.

        Args:
            t: When it is taken, not before the last one [s].
            radiance: (H, W, 3) linear RGB.

        Returns:
            How to take it; the first one is taken as if the light had always been so.

        Raises:
            ValueError: If time runs backwards.
        """
        if self._log_level is not None and t < self._t:
            raise ValueError(f't must not fall below the last one, {self._t} s, got {t} s')
        sensor = self._sensor
        mean = max(float(radiance.clamp(max=METER_LIMIT).mean()), 1e-6)
        wanted = math.log(min(sensor.target / mean, sensor.level_limit))
        if self._log_level is None:
            self._log_level = wanted
        # In stops, as eyes and cameras do: as fast into the dark as into the light.
        share = -math.expm1(-(t - self._t) / ADAPTATION_S)
        self._log_level += share * (wanted - self._log_level)
        self._t = t
        time_s = math.exp(self._log_level) * sensor.unit_time_s
        gain = max(1.0, time_s / sensor.longest_s)
        return Exposure(time_s / gain, gain)


def expose(
    radiance: torch.Tensor,
    K: torch.Tensor,
    exposure: Exposure,
    sensor: Sensor,
    generator: torch.Generator,
) -> torch.Tensor:
    """Take the picture.

    Args:
        radiance: (H, W, 3) linear RGB, as the lens meets it.
        K: (3, 3), pixels.
        exposure: Time and gain.
        sensor: The camera.
        generator: On the CPU, for noise.

    Returns:
        (H, W, 3) uint8 sRGB-like.
    """
    light = radiance.permute(2, 0, 1)[None] * (exposure.time_s / sensor.unit_time_s)
    light = _bloom(light, sensor.bloom)
    light = light * _falloff(radiance, K, sensor.vignetting)
    noise = torch.randn(light.shape, generator=generator).to(light)
    # Independent noises add in quadrature; the amplifier comes after both.
    spread = (sensor.shot_noise**2 * light + sensor.read_noise**2).sqrt()
    picture = ((light + noise * spread) * exposure.gain).clamp(min=0)
    picture = picture * picture.new_tensor(sensor.white_balance)[None, :, None, None]
    # A toe: unlit corners go black. A soft shoulder: lamps do not clip at once.
    picture = picture * picture / (picture + sensor.toe).clamp(min=1e-9)
    picture = picture / (1 + 0.25 * picture)
    grey = picture.mean(1, keepdim=True)
    picture = (grey + (picture - grey) * sensor.saturation).clamp(0, 1)
    picture = picture ** (1 / sensor.gamma)
    return (picture[0].permute(1, 2, 0) * 255 + 0.5).clamp(0, 255).to(torch.uint8)


def _falloff(radiance: torch.Tensor, K: torch.Tensor, vignetting: float) -> torch.Tensor:
    """Give what the lens lets through of each pixel's light, (H, W) in [0, 1]."""
    height, width, _ = radiance.shape
    x = (torch.arange(width, device=K.device) - K[0, 2]) / K[0, 0]
    y = (torch.arange(height, device=K.device) - K[1, 2]) / K[1, 1]
    square_cosine = 1 / (1 + x[None] ** 2 + y[:, None] ** 2)
    return square_cosine ** (2 * vignetting)


def _bloom(picture: torch.Tensor, share: float) -> torch.Tensor:
    """Scatter light around bright sources at four widths, as a lens and a windscreen do."""
    bright = picture.clamp(max=60.0)
    height, width = picture.shape[2:]
    scattered = torch.zeros_like(picture)
    for parts, weight in ((90, 0.4), (36, 0.3), (14, 0.2), (5, 0.1)):
        cell = (max(1, height // parts),) * 2
        small = shrink(bright, cell)
        for _ in range(2):
            small = functional.pad(small, (1, 1, 1, 1), mode='replicate')
            small = functional.avg_pool2d(small, 3, 1)
        scattered = scattered + weight * grow(small, cell, height, width)
    return picture * (1 - share) + scattered * share
