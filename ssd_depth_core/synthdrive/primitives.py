"""Solids that a street is built of, as flat arrays that a ray caster can eat.

Every solid is a unit shape, scaled by `half_size`, turned by `rotation` and moved to `center`:

- BOX: |y| <= 1, |z| <= 1, |x| + taper (z + 1) / 2 <= 1. Taper 0 is a box, 1 a gable roof, between
  them a car's cabin.
- CYLINDER: x^2 + y^2 <= 1, |z| <= 1.
- ELLIPSOID: x^2 + y^2 + z^2 <= 1.
"""

from dataclasses import dataclass, fields
from enum import IntEnum
import math

import numpy as np
from numpy.typing import NDArray
import torch

Vector = tuple[float, float, float]


class Shape(IntEnum):
    """Which unit shape a solid is."""

    BOX = 0
    CYLINDER = 1
    ELLIPSOID = 2


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

    def moved(self, position: torch.Tensor, yaw: torch.Tensor) -> 'Primitives':
        """Put moving things where they are now.

        Args:
            position: (A, 3) of each actor [m].
            yaw: (A,) of each actor [rad].

        Returns:
            All solids; those of an actor turned by its yaw about the vertical, then shifted.
        """
        moving = self.actor >= 0
        if not moving.any():
            return self
        actor = self.actor[moving]
        turn = yaw_matrices(yaw)[actor]
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
        self.place(0.0, 0.0, 0.0)

    def place(self, x: float, y: float, yaw: float, z: float = 0.0, actor: int = -1) -> None:
        """Say where the next solids' own frame stands.

        Args:
            x: In the world, or 0 for an actor, which moves [m].
            y: Likewise [m].
            yaw: Counter-clockwise from above [rad].
            z: Height of the frame's ground [m].
            actor: Index of the moving thing that the solids belong to, -1 for none.
        """
        self._origin = (x, y, z)
        self._yaw, self._cos, self._sin = yaw, math.cos(yaw), math.sin(yaw)
        self._actor = actor

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
        else:
            rotation = (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)
        offset = self._rng.random()
        row = (float(shape), *where, *half_size, *rotation, taper, float(material))
        colours = (*albedo, *second_albedo, *emission)
        self._rows.append((*row, *colours, *pattern, offset, float(self._actor)))

    def build(self) -> Primitives:
        """Give what was collected.

        Returns:
            All solids added so far, float32 on the CPU.
        """
        rows: NDArray[np.float64] = np.array(self._rows).reshape(-1, 32)
        table = torch.from_numpy(rows.astype(np.float32))
        columns = {name: table[:, where] for name, where in _ROW.items()}
        for name in ('shape', 'material', 'actor'):
            columns[name] = columns[name][:, 0].long()
        columns['taper'] = columns['taper'][:, 0]
        columns['rotation'] = columns['rotation'].reshape(-1, 3, 3)
        return Primitives(**columns)
