"""Where streets go: a city's straight grid, bent sideways and laid over hills, in closed form.

A city is drawn on a sheet of *street coordinates* (u, v), on which every road is straight. A
terrain says where on the sheet a place of the world lies, and how high the ground is there:

    u = s x + a(x, y)        v = s y + b(x, y)        z = h(x, y)

with a, b and h sums of a few long waves. Renderers go from the world to the sheet, which costs a
few sines; only what is placed, once, goes the other way.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
import torch

Float = NDArray[np.float64]
Array = TypeVar('Array', Float, torch.Tensor)

SCALE = 0.94
"""Metres of the sheet in one of the world: a slanting lane is then no narrower than drawn."""
SLANT_RAD = 0.08
"""The waves of parallel roads differ by up to this angle; more would squeeze lanes."""
STEEPEST = 0.07
"""Slope of the ground at most."""
_INVERSIONS = 24
"""Fixed-point steps from the sheet to the world, each at least 3 times as near as the last."""


class Wave(NamedTuple):
    """Hold amplitude * sin(kx x + ky y + phase) over the plane."""

    amplitude: float
    """[m]"""
    kx: float
    ky: float
    """[rad/m]"""
    phase: float
    """[rad]"""

    @property
    def k(self) -> float:
        """Give the wave number [rad/m]."""
        return float(np.hypot(self.kx, self.ky))


def _sin(x: Array) -> Array:
    return torch.sin(x) if isinstance(x, torch.Tensor) else np.sin(x)


def _cos(x: Array) -> Array:
    return torch.cos(x) if isinstance(x, torch.Tensor) else np.cos(x)


def _zeros(x: Array) -> Array:
    return torch.zeros_like(x) if isinstance(x, torch.Tensor) else np.zeros_like(x)


def _sum(waves: tuple[Wave, ...], x: Array, y: Array) -> Array:
    total = _zeros(x)
    for wave in waves:
        total = total + wave.amplitude * _sin(wave.kx * x + wave.ky * y + wave.phase)
    return total


def _slopes(waves: tuple[Wave, ...], x: Array, y: Array) -> tuple[Array, Array]:
    along_x, along_y = _zeros(x), _zeros(x)
    for wave in waves:
        rise = wave.amplitude * _cos(wave.kx * x + wave.ky * y + wave.phase)
        along_x, along_y = along_x + wave.kx * rise, along_y + wave.ky * rise
    return along_x, along_y


@dataclass(frozen=True, slots=True)
class Terrain:
    """Map a city's sheet to the world; coordinates are arrays or tensors of one shape."""

    scale: float
    """s above."""
    bend_u: tuple[Wave, ...]
    bend_v: tuple[Wave, ...]
    relief: tuple[Wave, ...]
    """a, b and h above."""

    @property
    def flat(self) -> bool:
        """Say whether sheet and world are the same."""
        return not (self.bend_u or self.bend_v or self.relief) and self.scale == 1.0

    def to_street(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Find places on the sheet.

        Args:
            x: In the world [m].
            y: Likewise.

        Returns:
            u and v [m].
        """
        u = self.scale * x + _sum(self.bend_u, x, y)
        return u, self.scale * y + _sum(self.bend_v, x, y)

    def to_world(self, u: Float, v: Float) -> tuple[Float, Float]:
        """Find places of the sheet in the world.

        Args:
            u: On the sheet [m].
            v: Likewise.

        Returns:
            x and y [m], to under a micrometre.
        """
        x, y = u / self.scale, v / self.scale
        for _ in range(0 if self.flat else _INVERSIONS):
            away = _sum(self.bend_u, x, y), _sum(self.bend_v, x, y)
            x, y = (u - away[0]) / self.scale, (v - away[1]) / self.scale
        return x, y

    def jacobian(self, x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
        """Say how the sheet runs past a place.

        Args:
            x: In the world [m].
            y: Likewise.

        Returns:
            du/dx, du/dy, dv/dx, dv/dy.
        """
        u_x, u_y = _slopes(self.bend_u, x, y)
        v_x, v_y = _slopes(self.bend_v, x, y)
        return self.scale + u_x, u_y, v_x, self.scale + v_y

    def height(self, x: Array, y: Array) -> Array:
        """Give the height of the road, above which pavements rise by a kerb.

        Args:
            x: In the world [m].
            y: Likewise.

        Returns:
            z [m].
        """
        return _sum(self.relief, x, y)

    def gradient(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Give the slope of the ground.

        Args:
            x: In the world [m].
            y: Likewise.

        Returns:
            dz/dx and dz/dy.
        """
        return _slopes(self.relief, x, y)

    def tangent(self, x: Float, y: Float, yaw: Float) -> Float:
        """Give where a direction of the sheet points in the world.

        Args:
            x: In the world [m].
            y: Likewise.
            yaw: On the sheet, counter-clockwise from u [rad].

        Returns:
            (..., 2): metres in the world for one on the sheet.
        """
        u_x, u_y, v_x, v_y = self.jacobian(x, y)
        c, s = np.cos(yaw), np.sin(yaw)
        along = np.stack([v_y * c - u_y * s, u_x * s - v_x * c], -1)
        return along / (u_x * v_y - u_y * v_x)[..., None]

    def frames(
        self,
        uv: Float,
        yaw: Float,
        z: Float | float = 0.0,
        tilted: bool | NDArray[np.bool_] = True,
    ) -> tuple[Float, Float]:
        """Put things of the sheet onto the ground.

        Args:
            uv: (N, 2) on the sheet [m].
            yaw: (N,) heading on the sheet [rad].
            z: (N,) above the road, vertically [m].
            tilted: (N,) whether a thing stands on the slope as a car does; else it is upright.

        Returns:
            Origins (N, 3) in the world [m] and rotations (N, 3, 3) from the things' axes (x along
            their heading, z up) to the world's.
        """
        x, y = self.to_world(uv[:, 0], uv[:, 1])
        origin = np.stack([x, y, self.height(x, y) + z], -1)
        if self.flat:
            c, s, zero = np.cos(yaw), np.sin(yaw), np.zeros(len(uv))
            turn = np.stack([c, -s, zero, s, c, zero, zero, zero, zero + 1.0], -1)
            return origin, turn.reshape(-1, 3, 3)
        heading = self.tangent(x, y, yaw)
        heading = heading / np.linalg.norm(heading, axis=-1, keepdims=True)
        lies = np.broadcast_to(tilted, x.shape)[:, None]
        slope = np.where(lies, np.stack(self.gradient(x, y), -1), 0.0)
        forward = np.column_stack([heading, (heading * slope).sum(-1)])
        up = np.column_stack([-slope, np.ones(len(uv))])
        forward = forward / np.linalg.norm(forward, axis=-1, keepdims=True)
        up = up / np.linalg.norm(up, axis=-1, keepdims=True)
        return origin, np.stack([forward, np.cross(up, forward), up], -1)

    def pose(self, uv: Float, yaw: float) -> Float:
        """Stand a car on the ground.

        Args:
            uv: (2,) on the sheet [m].
            yaw: Heading on the sheet [rad].

        Returns:
            (4, 4) from the car's frame (x forward, y left, z up; on the ground) to the world.
        """
        T = np.eye(4)
        origin, rotation = self.frames(np.asarray(uv)[None], np.array([yaw]))
        T[:3, :3], T[:3, 3] = rotation[0], origin[0]
        return T


FLAT = Terrain(scale=1.0, bend_u=(), bend_v=(), relief=())
"""Straight and level: the sheet is the world."""


def draw_terrain(seed: int) -> Terrain:
    """Draw hills and bends.

    One family of roads swings widely (radii from 60 m on), the other mildly, so that they never
    cross at less than 67 degrees.

    Args:
        seed: Of the city.

    Returns:
        The terrain.
    """
    rng = np.random.default_rng([seed, 30])

    def waves(
        slopes: list[float], lengths: list[tuple[float, float]], towards: float, spread: float
    ) -> tuple[Wave, ...]:
        drawn = []
        for slope, (shortest, longest) in zip(slopes, lengths, strict=True):
            k = 2 * np.pi / rng.uniform(shortest, longest)
            angle = towards + rng.uniform(-spread, spread)
            phase = rng.uniform(0.0, 2 * np.pi)
            drawn.append(
                Wave(float(slope / k), float(k * np.cos(angle)), float(k * np.sin(angle)), phase)
            )
        return tuple(drawn)

    wide, mild = [0.2, 0.08], [0.06, 0.03]
    lengths = [(120.0, 200.0), (80.0, 110.0)]
    swings = [wide, mild] if rng.random() < 0.5 else [mild, wide]
    return Terrain(
        scale=SCALE,
        bend_u=waves(swings[0], lengths, np.pi / 2, SLANT_RAD),
        bend_v=waves(swings[1], lengths, 0.0, SLANT_RAD),
        relief=waves(
            [0.5 * STEEPEST, 0.28 * STEEPEST, 0.22 * STEEPEST],
            [(140.0, 260.0), (80.0, 130.0), (300.0, 500.0)],
            0.0,
            np.pi,
        ),
    )
