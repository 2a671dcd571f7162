"""Buses, lorries and cyclists that move: finer than what is parked, for cameras come near."""

import math

import numpy as np
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape, Vector
from ssd_depth_core.synthdrive.props import colour, HEAD_LAMP, TAIL_LAMP

Rng = np.random.Generator

GLASS: Vector = (0.03, 0.035, 0.04)
RUBBER: Vector = (0.02, 0.02, 0.02)
STEEL: Vector = (0.3, 0.3, 0.32)
AMBER: Vector = (2.4, 1.2, 0.2)


def bus(builder: Builder, rng: Rng) -> None:
    """Build a city bus heading along x.

    Args:
        builder: Its frame is the bus's: origin on the ground below its middle.
        rng: Randomness.
    """
    builder.name('vehicle')
    length, width, height = rng.uniform(10.5, 12.2), 2.5, rng.uniform(2.95, 3.15)
    paint, trim = colour(rng, 0.08, 0.7, 0.9), colour(rng, 0.3, 0.85, 0.2)
    half, side = length / 2, width / 2
    sill, lintel = 1.1, height - 0.55
    _slab(builder, 0.0, half, side, 0.28, sill, paint, Material.CAR_BODY)
    _slab(builder, 0.0, half - 0.03, side - 0.03, sill, lintel, GLASS, Material.PAINT)
    _slab(builder, 0.0, half, side, lintel, height, trim, Material.CAR_BODY)
    for x in np.linspace(-half + 0.06, half - 1.5, 6).tolist():
        _slab(builder, x, 0.06, side - 0.01, sill, lintel, paint, Material.PAINT)
    # A panel closes the rear; doors are dark to the floor, on the right.
    builder.add(Shape.BOX, (-half, 0, 1.7), (0.02, side, 0.55), paint)
    for x in (half - 0.9, -0.08 * length):
        builder.add(Shape.BOX, (x, -side, 1.25), (0.55, 0.015, 0.9), GLASS)
    board: Vector = (half, 0.0, lintel + 0.22)
    _lens(builder, board, (0.03, 0.85, 0.13), (0.1, 0.1, 0.1), AMBER)
    for y in (-1.0, 1.0):
        builder.add(Shape.BOX, (half + 0.1, y * (side + 0.12), 2.1), (0.06, 0.1, 0.2), RUBBER)
    _wheels(builder, (-0.27 * length, 0.3 * length), side, 0.48)
    _lamps(builder, half, side - 0.25, 0.72)


def lorry(builder: Builder, rng: Rng) -> None:
    """Build a lorry with a box body heading along x.

    Args:
        builder: Its frame is the lorry's: origin on the ground below its middle.
        rng: Randomness.
    """
    builder.name('vehicle')
    length, side, height = rng.uniform(7.5, 10.0), 1.22, rng.uniform(3.1, 3.7)
    paint, load = colour(rng, 0.05, 0.7, 0.9), colour(rng, 0.25, 0.85, 0.3)
    half, cab = length / 2, 1.9
    cab_x, cab_top = half - cab / 2, rng.uniform(2.5, 2.9)
    _slab(builder, 0.0, half - 0.1, 0.45, 0.55, 0.95, RUBBER, Material.PAINT)
    _slab(builder, cab_x, cab / 2, side - 0.04, 0.5, cab_top, paint, Material.CAR_BODY)
    # Windscreen and side windows stand a finger out of the cab.
    z = cab_top - 0.68
    builder.add(Shape.BOX, (half, 0, z), (0.02, side - 0.16, 0.42), GLASS)
    builder.add(Shape.BOX, (cab_x + 0.35, 0, z), (0.45, side - 0.02, 0.36), GLASS)
    builder.add(Shape.BOX, (half, 0, 0.95), (0.03, side - 0.3, 0.22), RUBBER)
    body, middle = (length - cab - 0.25) / 2, -(cab + 0.25) / 2
    lettered = {'material': Material.SIGN, 'pattern': (2.4, 1.2, 0.0)}
    where, size = (middle, 0.0, (height + 1.0) / 2), (body, side, (height - 1.0) / 2)
    builder.add(Shape.BOX, where, size, load, second_albedo=colour(rng), **lettered)  # type: ignore[arg-type]
    builder.add(Shape.BOX, (-half, 0, (height + 1) / 2), (0.03, 0.02, (height - 1.1) / 2), RUBBER)
    builder.add(Shape.BOX, (-half + 0.1, 0, 0.55), (0.05, side - 0.1, 0.08), STEEL)
    for y in (-1.0, 1.0):
        builder.add(Shape.BOX, (half - 0.1, y * (side + 0.14), 2.0), (0.05, 0.1, 0.22), RUBBER)
        builder.add(Shape.BOX, (middle + 0.3, y * (side - 0.06), 0.75), (0.9, 0.02, 0.22), STEEL)
    _wheels(builder, (-half + 1.2, -half + 2.3, half - 1.1), side, 0.48)
    _lamps(builder, half, side - 0.25, 0.75)


def cyclist(builder: Builder, rng: Rng) -> None:
    """Build a person on a bicycle heading along x, with lamps.

    Args:
        builder: Its frame is the bicycle's: origin on the ground.
        rng: Randomness.
    """
    builder.name('rider')
    frame, coat = colour(rng, 0.02, 0.5, 0.8), colour(rng, 0.03, 0.7, 0.9)
    trousers, helmet = colour(rng, 0.02, 0.25), colour(rng, 0.05, 0.8, 0.9)
    skin = colour(rng, 0.1, 0.6, 0.5)
    rear, front, crank = (-0.52, 0.34), (0.54, 0.34), (-0.06, 0.3)
    seat, head = (-0.2, 0.82), (0.38, 0.84)
    for x, z in (rear, front):
        builder.add(Shape.CYLINDER, (x, 0, z), (0.34, 0.34, 0.016), RUBBER, on_its_side=True)
        # Spokes and air look like a grey disc within the tyre.
        builder.add(Shape.CYLINDER, (x, 0, z), (0.3, 0.3, 0.018), STEEL, on_its_side=True)
    for a, b in ((rear, seat), (rear, crank), (crank, seat), (crank, head), (seat, head)):
        _tube(builder, a, b, 0.0, 0.02, frame)
    _tube(builder, front, (0.34, 1.0), 0.0, 0.02, frame)
    builder.add(Shape.BOX, (0.36, 0, 1.02), (0.03, 0.27, 0.02), RUBBER)
    builder.add(Shape.BOX, (-0.22, 0, 0.93), (0.13, 0.07, 0.03), RUBBER)
    hip, shoulder, hand = (-0.2, 1.0), (0.12, 1.42), (0.34, 1.06)
    # One foot is down, the other up.
    for y, knee, foot in ((0.1, (0.1, 0.7), (-0.06, 0.2)), (-0.1, (0.2, 0.88), (0.02, 0.44))):
        _tube(builder, hip, knee, y, 0.075, trousers)
        _tube(builder, knee, foot, y, 0.055, trousers)
        builder.add(Shape.BOX, (foot[0] + 0.05, y, foot[1] - 0.03), (0.13, 0.045, 0.035), RUBBER)
        _tube(builder, shoulder, hand, 2 * y, 0.045, coat)
    lean = math.atan2(shoulder[0] - hip[0], shoulder[1] - hip[1])
    builder.add(Shape.ELLIPSOID, (-0.03, 0, 1.23), (0.16, 0.21, 0.34), coat, pitch=lean)
    builder.add(Shape.ELLIPSOID, (0.2, 0, 1.62), (0.1, 0.085, 0.13), skin)
    builder.add(Shape.ELLIPSOID, (0.18, 0, 1.69), (0.14, 0.1, 0.09), helmet)
    lamp: Vector = (4.5, 4.3, 3.8)
    _lens(builder, (0.44, 0.0, 0.9), (0.02, 0.035, 0.035), (0.7, 0.7, 0.7), lamp)
    _lens(builder, (-0.33, 0.0, 0.8), (0.02, 0.035, 0.035), (0.4, 0.02, 0.02), TAIL_LAMP)


def _slab(
    builder: Builder,
    x: float,
    half_length: float,
    half_width: float,
    low: float,
    high: float,
    paint: Vector,
    material: Material,
) -> None:
    """Add a box between two heights, in the middle of the vehicle's width."""
    size = (half_length, half_width, (high - low) / 2)
    builder.add(Shape.BOX, (x, 0.0, (low + high) / 2), size, paint, material=material)


def _tube(
    builder: Builder,
    a: tuple[float, float],
    b: tuple[float, float],
    y: float,
    radius: float,
    paint: Vector,
) -> None:
    """Add a rod between two places (x, z) at one side."""
    dx, dz = b[0] - a[0], b[1] - a[1]
    middle = ((a[0] + b[0]) / 2, y, (a[1] + b[1]) / 2)
    size = (radius, radius, math.hypot(dx, dz) / 2)
    builder.add(Shape.CYLINDER, middle, size, paint, pitch=math.atan2(dx, dz))


def _wheels(builder: Builder, axles: tuple[float, ...], side: float, radius: float) -> None:
    """Add a wheel with its hub at both ends of every axle."""
    for x in axles:
        for y in (-1, 1):
            at, tyre = (x, y * (side - 0.14), radius), (radius, radius, 0.15)
            builder.add(Shape.CYLINDER, at, tyre, RUBBER, on_its_side=True)
            hub = (radius * 0.5, radius * 0.5, 0.16)
            builder.add(Shape.CYLINDER, at, hub, STEEL, on_its_side=True)


def _lamps(builder: Builder, half: float, side: float, z: float) -> None:
    """Add the lamps in front and behind."""
    for y in (-side, side):
        _lens(builder, (half, y, z), (0.03, 0.16, 0.09), (0.7, 0.7, 0.7), HEAD_LAMP)
        _lens(builder, (-half, y, z + 0.1), (0.03, 0.12, 0.14), (0.4, 0.02, 0.02), TAIL_LAMP)


def _lens(builder: Builder, at: Vector, size: Vector, paint: Vector, glow: Vector) -> None:
    builder.add(Shape.BOX, at, size, paint, material=Material.LIGHT, emission=glow)
