"""Where light comes from and what the air does to it: one draw for each scene and condition."""

from dataclasses import dataclass

import numpy as np
from ssd_depth_core.conditions import RENDERED_CONDITIONS, RenderedCondition

KOSCHMIEDER = 3.912
"""Extinction times meteorological visibility, at which 2 % of a contrast is left: -ln 0.02."""


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
    airlight: float = 0.85
    """What the air scatters into view, as a share of the horizon's radiance; only fog is as bright
    as the sky behind it, because it is all that is seen of it."""
    snow: float = 0.0
    """Share of what faces upwards that is covered, in [0, 1]."""


def draw_sky(condition: RenderedCondition, seed: int) -> Sky:
    """Draw the light and weather of one scene.

    Args:
        condition: Kind of light and weather.
        seed: Of the draw; the same seed gives the same sky.

    Returns:
        The sky.
    """
    rng = np.random.default_rng([seed, 10, RENDERED_CONDITIONS.index(condition)])
    azimuth, elevation = rng.uniform(0, 2 * np.pi), np.deg2rad(rng.uniform(12.0, 75.0))
    level = np.cos(elevation)
    sun_at = (level * np.cos(azimuth), level * np.sin(azimuth), np.sin(elevation))
    if condition == 'night':
        glow = rng.uniform(0.0008, 0.012)
        tint = np.array([1.0, 0.85, 0.7]) if rng.random() < 0.6 else np.array([0.7, 0.85, 1.1])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=(0.0, 0.0, 0.0), zenith=_rgb(glow * 0.4 * tint),
            horizon=_rgb(glow * tint), clouds=0.2, extinction=rng.uniform(0.0, 0.003),
            wetness=0.0, night=True, head_lamps=rng.uniform(0.5, 1.5), airlight=0.25,
        )  # fmt: skip
    if condition == 'day-rain':
        grey = rng.uniform(0.45, 1.0) * np.array([0.95, 1.0, 1.06])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=_rgb(0.25 * grey), zenith=_rgb(grey),
            horizon=_rgb(grey * rng.uniform(0.7, 1.0)), clouds=rng.uniform(0.0, 0.25),
            extinction=rng.uniform(0.002, 0.014), wetness=rng.uniform(0.5, 1.0), night=False,
            head_lamps=0.0,
        )  # fmt: skip
    if condition == 'night-rain':
        glow = rng.uniform(0.002, 0.015)  # low clouds send the city's light back
        tint = np.array([1.0, 0.85, 0.7]) if rng.random() < 0.6 else np.array([0.8, 0.9, 1.05])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=(0.0, 0.0, 0.0), zenith=_rgb(glow * 0.6 * tint),
            horizon=_rgb(glow * tint), clouds=0.0, extinction=rng.uniform(0.006, 0.02),
            wetness=rng.uniform(0.7, 1.0), night=True, head_lamps=rng.uniform(0.6, 1.5),
            airlight=0.5,
        )  # fmt: skip
    if condition == 'fog':
        visibility_m = np.exp(rng.uniform(np.log(40.0), np.log(200.0)))
        grey = rng.uniform(0.45, 1.0) * np.array([0.97, 1.0, 1.03])
        # The thinner the fog, the more of the sun comes through, if it is not overcast above.
        through = rng.uniform(0.1, 0.5) * visibility_m / 200.0 * (rng.random() < 0.6)
        return Sky(
            to_sun=sun_at, sun=_rgb(through * np.array([1.0, 0.95, 0.88])), zenith=_rgb(grey),
            horizon=_rgb(0.95 * grey), clouds=0.0, extinction=KOSCHMIEDER / visibility_m,
            wetness=0.0, night=False, head_lamps=0.0, airlight=1.0,
        )  # fmt: skip
    if condition == 'snow':
        grey = rng.uniform(0.5, 1.0) * np.array([0.97, 1.0, 1.05])
        return Sky(
            to_sun=(0.0, 0.0, 1.0), sun=_rgb(0.2 * grey), zenith=_rgb(grey),
            horizon=_rgb(grey * rng.uniform(0.85, 1.0)), clouds=rng.uniform(0.0, 0.15),
            extinction=rng.uniform(0.003, 0.02), wetness=0.0, night=False, head_lamps=0.0,
            airlight=0.9, snow=rng.uniform(0.6, 1.0),
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
