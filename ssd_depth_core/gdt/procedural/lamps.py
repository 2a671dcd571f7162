"""Lamps of the night: the car's own, and those of the street, as they light what depth shows."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.mixing import coloured
from ssd_depth_core.gdt.procedural.scene import Scene

LAMP_HEIGHT_M = 0.7
"""Of a car's head lamps."""
_HALF_TRACK_M = 0.65
"""From the car's middle to a lamp."""
_HEAD_POWER = 400.0
"""Of one head lamp: light on a wall 1 m ahead, in daylight's unit as the night camera sees it."""
_HALOGEN = (1.0, 0.95, 0.86)
_BEAM_RAD = 0.3
"""To the side, where a dipped beam has exp(-1/2) of its light."""
_CUT_OFF = 0.012
"""Slope over which a dipped beam ends above the lamp's own height."""
_ABOVE_CUT_OFF = 0.02
"""Share of it that strays higher: signs overhead are read by it."""
_WALL = 0.7
"""Cosine at which light meets what stands on the ground; its normals are not known well enough."""
_WALL_M = (0.3, 0.9)
"""Heights between which ground becomes wall, so wide because a network's depth is wavy."""
_WORK_HEIGHT_PX = 300
"""At which light is computed: lamps light softly, and edges are the scene's own."""
_LIT = 0.75
"""Share of a street's lamps that are there and lit."""
_HEAD_M = 0.07
"""Radius of a street lamp's head."""
_GLOW = 150.0
"""Radiance of a lamp's head; cameras clip at 1."""


@dataclass(frozen=True, slots=True)
class StreetLamps:
    """Hold the lamps along a street."""

    place: NDArray[np.float32]
    """(N, 3): to the right, above the road, ahead [m]."""
    power: NDArray[np.float32]
    """(3,) RGB: light 1 m below a lamp, in daylight's unit as the night camera sees it."""


def draw_street_lamps(rng: np.random.Generator) -> StreetLamps:
    """Draw two rows of lamps, sodium or white; a third of the streets has none.

    Args:
        rng: Of the picture.

    Returns:
        The lamps as far as they light anything to be seen.
    """
    spacing, first, height = rng.uniform(22, 40), rng.uniform(6, 24), rng.uniform(6, 9)
    left, right, power = rng.uniform(4, 8), rng.uniform(4, 8), rng.uniform(6, 22)
    colour = np.array([(1.0, 0.58, 0.22), (1.0, 0.9, 0.75)][rng.integers(2)])
    lit = rng.uniform() > 1 / 3
    ahead = first + spacing * np.arange(3 if lit else 0)
    sides = [
        (side + rng.uniform(-0.5, 0.5), height, z + rng.uniform(-4, 4))
        for z in ahead
        for side in (-left, right)
        if rng.uniform() < _LIT
    ]
    return StreetLamps(
        np.array(sides, np.float32).reshape(-1, 3), (power * colour).astype(np.float32)
    )


def lamp_light(
    scene: Scene, street: StreetLamps, head_lamps: float, ambient: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Light the scene.

    Args:
        scene: What stands where.
        street: Its lamps.
        head_lamps: Power of the car's own, 1 being a usual one.
        ambient: (3,), light from everywhere.

    Returns:
        (H, W, 3): light that arrives at each point, in daylight's unit.
    """
    height, width = scene.depth.shape
    factor = min(1.0, _WORK_HEIGHT_PX / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    depth, above = (
        cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
        for values in (scene.depth, scene.height)
    )
    low, high = _WALL_M
    ground = np.clip((high - above) / np.float32(high - low), 0, 1)
    columns = (np.arange(size[0], dtype=np.float32) + 0.5) * np.float32(width / size[0]) - 0.5
    right = depth * ((columns - np.float32(scene.K[0, 2])) / np.float32(scene.K[0, 0]))
    own, rows = np.zeros_like(depth), np.zeros_like(depth)
    for side in (-_HALF_TRACK_M, _HALF_TRACK_M):
        own += _head_lamp(right - np.float32(side), above, depth, ground)
    for place in street.place:
        rows += _street_lamp(right, above, depth, ground, place)
    light = coloured(own, _HEAD_POWER * head_lamps * np.array(_HALOGEN))
    light += coloured(rows, street.power) + ambient
    return np.asarray(cv2.resize(light, (width, height), interpolation=cv2.INTER_LINEAR))


def _head_lamp(
    aside: NDArray[np.float32],
    above: NDArray[np.float32],
    ahead: NDArray[np.float32],
    ground: NDArray[np.float32],
) -> NDArray[np.float32]:
    square = aside**2 + ahead**2
    distance = np.sqrt(square)
    rise = (above - np.float32(LAMP_HEIGHT_M)) / distance
    # On the road a dipped beam grows towards its upper edge, so that it is lit far ahead.
    beam = 1 / (1 + np.exp(np.clip(rise / np.float32(_CUT_OFF), -30, 30)))
    beam = beam / (1 + (rise / np.float32(0.2)) ** 2) + np.float32(_ABOVE_CUT_OFF)
    beam *= np.exp(-0.5 * (aside / ahead / np.float32(_BEAM_RAD)) ** 2)
    facing = ground * (LAMP_HEIGHT_M / distance) + (1 - ground) * np.float32(_WALL)
    return beam * facing / (square + 4)


def _street_lamp(
    right: NDArray[np.float32],
    above: NDArray[np.float32],
    ahead: NDArray[np.float32],
    ground: NDArray[np.float32],
    place: NDArray[np.float32],
) -> NDArray[np.float32]:
    below = place[1] - above
    square = (right - place[0]) ** 2 + below**2 + (ahead - place[2]) ** 2 + 1
    down = np.clip(below, 0, None) / np.sqrt(square)
    facing = ground * down + (1 - ground) * np.float32(_WALL / 2)
    return down * facing / square


def add_lamp_heads(light: NDArray[np.float32], scene: Scene, street: StreetLamps) -> None:
    """Show the street's lamps themselves, where nothing nearer hides them.

    Args:
        light: (H, W, 3) linear; changed.
        scene: What stands where.
        street: Its lamps.
    """
    height, width = scene.depth.shape
    a, b, c = scene.road.coefficients
    for right, above, ahead in street.place.astype(float):
        u = scene.K[0, 0] * right / ahead + scene.K[0, 2]
        v = ((1 - above / scene.road.camera_height) / ahead - a * u - c) / b
        if not (0 <= u < width and 0 <= v < height):
            continue
        if scene.depth[int(v), int(u)] < ahead:
            continue
        radius = scene.K[1, 1] * _HEAD_M / ahead
        reach = int(3 * max(radius, 0.6)) + 1
        rows = np.arange(max(0, int(v) - reach), min(height, int(v) + reach + 1))
        columns = np.arange(max(0, int(u) - reach), min(width, int(u) + reach + 1))
        away = np.hypot(rows[:, None] - v, columns - u)
        # A head smaller than a pixel gives it as much less light.
        blob = np.exp(-0.5 * (away / max(radius, 0.6)) ** 2) * min(1.0, (radius / 0.6) ** 2)
        hue = street.power / street.power.max()
        light[np.ix_(rows, columns)] += _GLOW * (blob[..., None] * hue).astype(np.float32)
