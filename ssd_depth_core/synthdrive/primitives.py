"""Solids that a street is built of, as flat arrays that a ray caster can eat.

Every solid is a unit shape, scaled by `half_size`, turned by `rotation` and moved to `center`:

- BOX: |y| <= 1, |z| <= 1, |x| + taper (z + 1) / 2 <= 1. Taper 0 is a box, 1 a gable roof, between
  them a car's cabin.
- CYLINDER: x^2 + y^2 <= 1, |z| <= 1.
- ELLIPSOID: x^2 + y^2 + z^2 <= 1.
- DRAPED: |x| <= 1, |y| <= 1 on the sheet of street coordinates; follows the ground there, as a
  pavement does, and is `ground`'s to intersect.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
import math

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.surface_classes import SURFACE_CLASSES, SurfaceClass, UNKNOWN_CLASS
from ssd_depth_core.synthdrive.terrain import FLAT, Float, Terrain
import torch

Vector = tuple[float, float, float]


class Shape(IntEnum):
    """Which unit shape a solid is."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2
    DRAPED = 3


class Material(IntEnum):
    """How a solid's surface looks; the patterns are in `materials`."""

    PAINT = 0
    FACADE = 1
    FOLIAGE = 2
    CAR_BODY = 3
    CAR_CABIN = 4
    PAVEMENT = 5
    BRICK = 6
    SIGN = 7
    GRASS = 8
    LIGHT = 9


@dataclass(frozen=True, slots=True)
class Primitives:
    """Hold N solids of one street; `M` below is 3 for vectors and colours."""

    shape: torch.Tensor
    """(N,) int64, values of `Shape`."""
    center: torch.Tensor
    """(N, 3) in the world [m]."""
    half_size: torch.Tensor
    """(N, 3) along the solid's own axes [m]."""
    rotation: torch.Tensor
    """(N, 3, 3) from the solid's axes to the world's."""
    taper: torch.Tensor
    """(N,) in [0, 1]; boxes only."""
    material: torch.Tensor
    """(N,) int64, values of `Material`."""
    albedo: torch.Tensor
    """(N, 3) linear RGB in [0, 1]."""
    second_albedo: torch.Tensor
    """(N, 3) linear RGB of the pattern (window frames, sign face, bark...)."""
    emission: torch.Tensor
    """(N, 3) linear RGB radiance at night; 0 where the solid does not shine."""
    pattern: torch.Tensor
    """(N, 4): pattern width [m], pattern height [m], share of lit windows, random in [0, 1)."""
    actor: torch.Tensor
    """(N,) int64: which moving thing the solid belongs to; -1 where it stands."""
    surface_class: torch.Tensor
    """(N,) int64: what it is a part of, a place in `SURFACE_CLASSES`, or `UNKNOWN_CLASS`."""

    def __len__(self) -> int:
        """Count the solids.

        Returns:
            N.
        """
        return len(self.shape)

    def select(self, index: torch.Tensor) -> 'Primitives':
        """Take some of the solids.

        Args:
            index: (n,) int64 or (N,) bool.

        Returns:
            The chosen ones, in order.
        """
        return Primitives(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(self, device: torch.device) -> 'Primitives':
        """Move to a device.

        Args:
            device: Where to.

        Returns:
            The same solids there.
        """
        return Primitives(*(getattr(self, field.name).to(device) for field in fields(self)))

    def moved(self, position: torch.Tensor, turn: torch.Tensor) -> 'Primitives':
        """Put moving things where they are now.

        Args:
            position: (A, 3) of each actor [m].
            turn: (A,) yaw about the vertical [rad] or (A, 3, 3) rotation of each actor.

        Returns:
            All solids; those of an actor turned, then shifted.
        """
        moving = self.actor >= 0
        if not moving.any():
            return self
        actor = self.actor[moving]
        turn = (turn if turn.ndim == 3 else yaw_matrices(turn))[actor]
        center, rotation = self.center.clone(), self.rotation.clone()
        center[moving] = (turn @ center[moving, :, None])[..., 0] + position[actor]
        rotation[moving] = turn @ rotation[moving]
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Primitives(**(values | {'center': center, 'rotation': rotation}))


def concatenate(parts: list[Primitives]) -> Primitives:
    """Join solids.

    Args:
        parts: At least one.

    Returns:
        All of them, in order.
    """
    names = [field.name for field in fields(Primitives)]
    return Primitives(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def yaw_matrices(yaw: torch.Tensor) -> torch.Tensor:
    """Turn about the vertical.

    Args:
        yaw: (N,) counter-clockwise seen from above [rad].

    Returns:
        (N, 3, 3).
    """
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    c, s = yaw.cos(), yaw.sin()
    return torch.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).view(-1, 3, 3)


_ROW = {  # name -> slice of the builder's flat row
    'shape': slice(0, 1),
    'center': slice(1, 4),
    'half_size': slice(4, 7),
    'rotation': slice(7, 16),
    'taper': slice(16, 17),
    'material': slice(17, 18),
    'albedo': slice(18, 21),
    'second_albedo': slice(21, 24),
    'emission': slice(24, 27),
    'pattern': slice(27, 31),
    'actor': slice(31, 32),
    'surface_class': slice(32, 33),
}


class Builder:
    """Collect solids in the frame of the thing being built, then give arrays."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Start with nothing.

        Args:
            rng: Where the solids' random pattern offsets come from.
        """
        self._rng = rng
        self._rows: list[tuple[float, ...]] = []
        self._frames: list[tuple[float, ...]] = []
        self._marks: list[tuple[float, ...]] = []
        self.place(0.0, 0.0, 0.0)

    def place(
        self,
        x: float,
        y: float,
        yaw: float,
        z: float = 0.0,
        actor: int = -1,
        *,
        tilted: bool = False,
        stretched: bool = False,
    ) -> None:
        """Say where the next solids' own frame stands, in street coordinates.

        Args:
            x: Along the sheet, or 0 for an actor, which moves [m].
            y: Likewise [m].
            yaw: Counter-clockwise from above [rad].
            z: Height of the frame above the road [m].
            actor: Index of the moving thing that the solids belong to, -1 for none.
            tilted: Whether it stands on a slope as a car does, not upright as a house.
            stretched: Whether it grows along x as the street does, so that neighbours meet.
        """
        self._origin = (x, y, z)
        self._frames.append((x, y, z, yaw, tilted, stretched))
        self._yaw, self._cos, self._sin = yaw, math.cos(yaw), math.sin(yaw)
        self._actor, self._surface_class = actor, UNKNOWN_CLASS

    def name(self, surface_class: SurfaceClass) -> None:
        """Say what the next solids are a part of; the next `place` forgets it.

        Args:
            surface_class: Of all of them, whatever they are made of.
        """
        self._surface_class = SURFACE_CLASSES.index(surface_class)

    def add(
        self,
        shape: Shape,
        center: Vector,
        half_size: Vector,
        albedo: Vector,
        *,
        material: Material = Material.PAINT,
        second_albedo: Vector = (0.05, 0.05, 0.05),
        emission: Vector = (0.0, 0.0, 0.0),
        pattern: Vector = (1.0, 1.0, 0.0),
        taper: float = 0.0,
        yaw: float = 0.0,
        pitch: float = 0.0,
        on_its_side: bool = False,
    ) -> None:
        """Add one solid in the current frame.

        Args:
            shape: Unit shape.
            center: In the current frame [m].
            half_size: Along the solid's axes [m].
            albedo: Linear RGB.
            material: Pattern.
            second_albedo: Linear RGB of the pattern.
            emission: Linear RGB radiance at night.
            pattern: Pattern width [m], height [m], share of lit windows.
            taper: Of a box, in [0, 1].
            yaw: Of the solid in the current frame [rad].
            pitch: By which its z axis leans forward, towards its x axis [rad].
            on_its_side: Whether the solid's z axis lies along the frame's y, as a wheel's does.
        """
        # Plain floats: a city has ten thousand solids, and tiny arrays would cost most of it.
        c, s = self._cos, self._sin
        x, y, z = self._origin
        where = (
            x + c * center[0] - s * center[1],
            y + s * center[0] + c * center[1],
            z + center[2],
        )
        if yaw:
            c, s = math.cos(self._yaw + yaw), math.sin(self._yaw + yaw)
        if on_its_side:
            rotation = (c, 0.0, s, s, 0.0, -c, 0.0, 1.0, 0.0)  # z tipped over to -y
        elif pitch:
            up, ahead = math.cos(pitch), math.sin(pitch)
            rotation = (c * up, -s, c * ahead, s * up, c, s * ahead, -ahead, 0.0, up)
        else:
            rotation = (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)
        offset = self._rng.random()
        row = (float(shape), *where, *half_size, *rotation, taper, float(material))
        colours = (*albedo, *second_albedo, *emission)
        belongs = (float(self._actor), float(self._surface_class), len(self._frames) - 1)
        self._rows.append((*row, *colours, *pattern, offset, *belongs))

    def mark(self, place: Vector) -> None:
        """Remember a point that moves with the current frame, as the light of a lamp does.

        Args:
            place: Street coordinates and height above the road [m].
        """
        self._marks.append((*place, len(self._frames) - 1))

    def marks(self, terrain: Terrain = FLAT) -> Float:
        """Give the points that were marked.

        Args:
            terrain: That everything stands on.

        Returns:
            (n, 3) in the world [m].
        """
        rows = np.array(self._marks).reshape(-1, 4)
        return rows[:, :3] if terrain.flat else self._carried(rows[:, :3], rows[:, 3], terrain)[0]

    def build(self, terrain: Terrain = FLAT) -> Primitives:
        """Give what was collected.

        Args:
            terrain: That everything stands on, but for actors and what is draped.

        Returns:
            All solids added so far, float32 on the CPU.
        """
        rows: NDArray[np.float64] = np.array(self._rows).reshape(-1, 34)
        if not terrain.flat:
            rows = self._on(terrain, rows)
        table = torch.from_numpy(rows.astype(np.float32))
        columns = {name: table[:, where] for name, where in _ROW.items()}
        for name in ('shape', 'material', 'actor', 'surface_class'):
            columns[name] = columns[name][:, 0].long()
        columns['taper'] = columns['taper'][:, 0]
        columns['rotation'] = columns['rotation'].reshape(-1, 3, 3)
        return Primitives(**columns)

    def _on(self, terrain: Terrain, rows: Float) -> Float:
        """Move rows from the sheet to the ground, each rigidly with its frame."""
        rows = rows.copy()
        moves = (rows[:, _ROW['actor']] < 0)[:, 0] & (rows[:, 0] != Shape.DRAPED)
        frame = rows[moves, -1]
        center, turn, stretch = self._carried(rows[moves, _ROW['center']], frame, terrain)
        rotation = rows[moves, _ROW['rotation']].reshape(-1, 3, 3)
        yaw = np.array(self._frames)[frame.astype(int), 3]
        along = np.stack([np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)], -1)
        cosine = (along[:, None] @ rotation)[:, 0]  # of each axis with the street
        rows[moves, _ROW['half_size']] *= np.sqrt(1 + (stretch**2 - 1)[:, None] * cosine**2)
        rows[moves, _ROW['center']] = center
        rows[moves, _ROW['rotation']] = (turn @ rotation).reshape(-1, 9)
        return rows

    def _carried(
        self, points: Float, frame: Float, terrain: Terrain
    ) -> tuple[Float, Float, Float]:
        """Carry points (n, 3) along with their frames; give also turn (n, 3, 3), stretch (n,)."""
        x, y, z, yaw, tilted, stretched = np.array(self._frames).T
        origin, rotation = terrain.frames(np.stack([x, y], -1), yaw, z, tilted > 0)
        long = np.linalg.norm(terrain.tangent(origin[:, 0], origin[:, 1], yaw), axis=-1)
        stretch = np.where(stretched > 0, long, 1.0)
        c, s, zero = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
        back = np.stack([c, s, zero, -s, c, zero, zero, zero, zero + 1.0], -1).reshape(-1, 3, 3)
        which = frame.astype(int)
        local = (back[which] @ (points - np.stack([x, y, z], -1)[which])[..., None])[..., 0]
        local[:, 0] *= stretch[which]
        carried = origin[which] + (rotation[which] @ local[..., None])[..., 0]
        return carried, (rotation @ back)[which], stretch[which]
