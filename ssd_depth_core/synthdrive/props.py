"""Things that stand or move in a street, each built of a few solids around its own origin."""

import numpy as np
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape, Vector

Rng = np.random.Generator

HEAD_LAMP: Vector = (9.0, 8.6, 7.6)
TAIL_LAMP: Vector = (2.6, 0.12, 0.08)


def colour(rng: Rng, low: float = 0.04, high: float = 0.7, saturation: float = 0.5) -> Vector:
    """Draw a surface colour.

    Args:
        rng: Randomness.
        low: Darkest luminance.
        high: Brightest luminance.
        saturation: Most that a channel may leave the grey by, as a share.

    Returns:
        Linear RGB in [0, 1].
    """
    grey = low + (high - low) * rng.random() ** 1.5
    # Plain floats, as in `Builder.add`: a city draws thousands of colours.
    r, g, b = (
        min(max(grey * (1.0 + saturation * tint), 0.01), 0.95)
        for tint in rng.uniform(-1.0, 1.0, 3).tolist()
    )
    return r, g, b


VEHICLES = {'car': 0.55, 'suv': 0.2, 'van': 0.12, 'lorry': 0.08, 'bus': 0.05}
"""Share of each kind in the traffic."""


def car(
    builder: Builder, rng: Rng, lights_on: bool, kinds: tuple[str, ...] = tuple(VEHICLES)
) -> None:
    """Build a car, van, bus or lorry heading along x.

    Args:
        builder: Its frame is the vehicle's: origin on the ground below its middle.
        rng: Randomness.
        lights_on: Whether its lamps burn at night.
        kinds: To choose from, in their shares of the traffic.
    """
    builder.name('vehicle')
    odds = np.array([VEHICLES[kind] for kind in kinds])
    kind = rng.choice(kinds, p=odds / odds.sum())
    paint = colour(rng, 0.02, 0.8, 0.25) if rng.random() < 0.6 else colour(rng, 0.03, 0.5, 0.95)
    glass: Vector = (0.03, 0.035, 0.04)
    if kind in ('car', 'suv'):
        length, width = rng.uniform(3.7, 4.9), rng.uniform(1.68, 1.9)
        belt = rng.uniform(0.85, 0.98) if kind == 'car' else rng.uniform(1.0, 1.15)
        roof = belt + (rng.uniform(0.45, 0.58) if kind == 'car' else rng.uniform(0.55, 0.75))
        clearance = 0.2 if kind == 'car' else 0.3
        middle, half = (belt + clearance) / 2, (belt - clearance) / 2
        box = (length / 2, width / 2, half)
        builder.add(Shape.BOX, (0, 0, middle), box, paint, material=Material.CAR_BODY, taper=0.06)
        cabin = (length * rng.uniform(0.3, 0.38), width / 2 * 0.9, (roof - belt) / 2)
        at = (-length * rng.uniform(0.02, 0.12), 0.0, (roof + belt) / 2)
        taper = rng.uniform(0.25, 0.5)
        cabin_style = {'material': Material.CAR_CABIN, 'second_albedo': glass, 'taper': taper}
        builder.add(Shape.BOX, at, cabin, paint, **cabin_style)  # type: ignore[arg-type]
        wheel, axle = 0.33, length * 0.3
    else:
        length = {'van': 5.2, 'lorry': 8.5, 'bus': 11.5}[kind] * rng.uniform(0.9, 1.1)
        width = {'van': 1.95, 'lorry': 2.45, 'bus': 2.5}[kind]
        roof = {'van': 2.2, 'lorry': 3.5, 'bus': 3.1}[kind] * rng.uniform(0.92, 1.08)
        belt, wheel, axle = 0.95, 0.45, length * 0.32
        nose = 0.0 if kind == 'bus' else length * 0.2
        box = ((length - nose) / 2, width / 2, (roof - 0.45) / 2)
        windows = (rng.uniform(1.2, 1.8), roof, 0.0)
        sides = Material.FACADE if kind == 'bus' else Material.CAR_BODY
        at = (-nose / 2, 0.0, (roof + 0.45) / 2)
        builder.add(
            Shape.BOX, at, box, paint, material=sides, second_albedo=glass, pattern=windows
        )
        if nose:
            cab = (nose * 0.55, width / 2 * 0.96, (min(roof, 2.4) - 0.45) / 2)
            at = (length / 2 - nose * 0.55, 0.0, (min(roof, 2.4) + 0.45) / 2)
            second = colour(rng, 0.05, 0.7, 0.3)
            cab_style = {'material': Material.CAR_CABIN, 'second_albedo': glass, 'taper': 0.2}
            builder.add(Shape.BOX, at, cab, second, **cab_style)  # type: ignore[arg-type]
    for x in (-axle, axle):
        for y in (-1, 1):
            where = (x, y * (width / 2 - 0.1), wheel)
            size = (wheel, wheel, 0.12)
            builder.add(Shape.CYLINDER, where, size, (0.02, 0.02, 0.02), on_its_side=True)
    head, tail = (HEAD_LAMP, TAIL_LAMP) if lights_on else ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    lamp_z = min(belt, 1.0) * 0.72
    for y in (-1, 1):
        side = y * (width / 2 - 0.2)
        lens = (0.03, 0.14, 0.07)
        front, rear = (length / 2, side, lamp_z), (-length / 2, side, lamp_z + 0.08)
        light = Material.LIGHT
        builder.add(Shape.BOX, front, lens, (0.7, 0.7, 0.7), material=light, emission=head)
        builder.add(Shape.BOX, rear, lens, (0.4, 0.02, 0.02), material=light, emission=tail)
    plate = (-length / 2, 0.0, lamp_z - 0.15)
    builder.add(Shape.BOX, plate, (0.02, 0.26, 0.06), (0.75, 0.75, 0.6))


def pedestrian(builder: Builder, rng: Rng) -> None:
    """Build a walking person heading along x.

    Args:
        builder: Its frame is the person's: origin on the ground.
        rng: Randomness.
    """
    builder.name('person')
    height = rng.uniform(1.5, 1.9)
    legs, coat, skin = (
        colour(rng, 0.02, 0.3),
        colour(rng, 0.03, 0.7, 0.9),
        colour(rng, 0.1, 0.5, 0.3),
    )
    stride = rng.uniform(-0.18, 0.18)
    for side in (-1, 1):
        where = (side * stride, side * 0.1, height * 0.24)
        builder.add(Shape.CYLINDER, where, (0.08, 0.08, height * 0.24), legs)
        arm = (-side * stride, side * 0.24, height * 0.64)
        builder.add(Shape.CYLINDER, arm, (0.05, 0.05, height * 0.17), coat)
    builder.add(Shape.ELLIPSOID, (0, 0, height * 0.65), (0.16, 0.23, height * 0.22), coat)
    builder.add(Shape.ELLIPSOID, (0, 0, height * 0.93), (0.1, 0.09, height * 0.07), skin)


def cyclist(builder: Builder, rng: Rng) -> None:
    """Build a person on a bicycle heading along x.

    Args:
        builder: Its frame is the bicycle's: origin on the ground.
        rng: Randomness.
    """
    builder.name('rider')
    frame, coat = colour(rng, 0.02, 0.5, 0.8), colour(rng, 0.03, 0.7, 0.9)
    for x in (-0.52, 0.52):
        wheel = (0.33, 0.33, 0.02)
        builder.add(Shape.CYLINDER, (x, 0, 0.33), wheel, (0.03, 0.03, 0.03), on_its_side=True)
    builder.add(Shape.BOX, (0, 0, 0.62), (0.4, 0.03, 0.06), frame)
    builder.add(Shape.BOX, (-0.05, 0, 0.75), (0.12, 0.14, 0.22), colour(rng, 0.02, 0.2))
    builder.add(Shape.ELLIPSOID, (0.0, 0, 1.18), (0.22, 0.2, 0.33), coat)
    builder.add(Shape.ELLIPSOID, (0.14, 0, 1.6), (0.11, 0.1, 0.14), colour(rng, 0.1, 0.6, 0.5))


def tree(builder: Builder, rng: Rng, size: float) -> None:
    """Build a broad-leaved tree, a conifer or a palm.

    Args:
        builder: Its frame is the tree's: origin at the foot.
        rng: Randomness.
        size: Height [m].
    """
    builder.name('vegetation')
    bark = colour(rng, 0.04, 0.2, 0.3)
    autumn = rng.random() < 0.15
    leaf = (
        (rng.uniform(0.15, 0.35), rng.uniform(0.1, 0.18), 0.03)
        if autumn
        else (rng.uniform(0.02, 0.09), rng.uniform(0.05, 0.16), rng.uniform(0.01, 0.05))
    )
    trunk = size * rng.uniform(0.2, 0.45)
    girth = max(0.07, size * rng.uniform(0.012, 0.025))
    builder.add(Shape.CYLINDER, (0, 0, size * 0.35), (girth, girth, size * 0.35), bark)
    crown = size - trunk
    spread = crown * rng.uniform(0.25, 0.55)
    for _ in range(int(rng.integers(4, 9))):
        angle, radius = rng.uniform(0, 2 * np.pi), spread * rng.random() ** 0.5 * 0.8
        z = trunk + crown * rng.uniform(0.15, 0.9)
        blob = spread * rng.uniform(0.35, 0.75)
        shade = float(rng.uniform(0.6, 1.3))
        tint: Vector = (leaf[0] * shade, leaf[1] * shade, leaf[2] * shade)
        where = (radius * np.cos(angle), radius * np.sin(angle), z)
        half = (blob, blob * rng.uniform(0.8, 1.2), blob * rng.uniform(0.5, 0.95))
        builder.add(Shape.ELLIPSOID, where, half, tint, material=Material.FOLIAGE)


def street_lamp(builder: Builder, rng: Rng, glow: Vector) -> Vector:
    """Build a lamp post whose arm reaches along x.

    Args:
        builder: Its frame is the post's: origin at the foot, x towards the road.
        rng: Randomness.
        glow: Linear RGB radiance of the lamp.

    Returns:
        The lamp's place in the builder's frame [m].
    """
    builder.name('pole')
    height, reach = rng.uniform(5.0, 9.0), rng.uniform(0.6, 2.4)
    steel = colour(rng, 0.05, 0.4, 0.1)
    builder.add(Shape.CYLINDER, (0, 0, height / 2), (0.08, 0.08, height / 2), steel)
    builder.add(Shape.BOX, (reach / 2, 0, height), (reach / 2, 0.05, 0.05), steel)
    head = (reach, 0.0, height - 0.08)
    light = Material.LIGHT
    builder.add(Shape.BOX, head, (0.35, 0.14, 0.06), steel, material=light, emission=glow)
    return (reach, 0.0, height - 0.2)


def sign(builder: Builder, rng: Rng) -> None:
    """Build a traffic sign, a board or a traffic light facing along -x.

    Args:
        builder: Its frame is the post's: origin at the foot.
        rng: Randomness.
    """
    height = rng.uniform(2.2, 3.4)
    builder.name('pole')
    builder.add(Shape.CYLINDER, (0, 0, height / 2), (0.04, 0.04, height / 2), (0.3, 0.3, 0.3))
    builder.name('traffic sign')
    if rng.random() < 0.3:
        builder.add(Shape.BOX, (-0.1, 0, height - 0.2), (0.14, 0.17, 0.45), (0.03, 0.03, 0.03))
        lamps: list[tuple[float, Vector]] = [
            (0.28, (3.0, 0.1, 0.05)), (0.0, (2.5, 1.5, 0.1)), (-0.28, (0.1, 2.2, 1.2))
        ]  # fmt: skip
        z, glow = lamps[int(rng.integers(3))]
        at, size = (-0.24, 0.0, height - 0.2 + z), (0.02, 0.1, 0.1)
        builder.add(Shape.BOX, at, size, (0.2, 0.2, 0.2), material=Material.LIGHT, emission=glow)
        return
    face, back = colour(rng, 0.05, 0.7, 1.0), colour(rng, 0.3, 0.8, 0.2)
    half = rng.uniform(0.25, 0.5)
    flat = (0.02, half * rng.uniform(0.7, 1.8), half)
    stripes = (rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.4), 0.0)
    style = {'material': Material.SIGN, 'second_albedo': back, 'pattern': stripes}
    builder.add(Shape.BOX, (-0.05, 0, height - 0.2), flat, face, **style)  # type: ignore[arg-type]


def small_furniture(builder: Builder, rng: Rng) -> None:
    """Build a bin, bollard, electric box, bench or bus shelter.

    Args:
        builder: Its frame stands on the pavement, x towards the road.
        rng: Randomness.
    """
    builder.name('object')
    kind = int(rng.integers(5))
    paint = colour(rng, 0.03, 0.6, 0.7)
    if kind == 0:
        builder.add(Shape.CYLINDER, (0, 0, 0.5), (0.28, 0.28, 0.5), paint)
    elif kind == 1:
        for y in (-1.5, 0.0, 1.5):
            builder.add(Shape.CYLINDER, (0.3, y, 0.45), (0.08, 0.08, 0.45), paint)
    elif kind == 2:
        half = (0.3, rng.uniform(0.4, 1.0), rng.uniform(0.5, 0.9))
        builder.add(Shape.BOX, (0, 0, half[2]), half, paint, material=Material.BRICK)
    elif kind == 3:
        builder.add(Shape.BOX, (0, 0, 0.45), (0.25, 0.9, 0.04), paint)
        builder.add(Shape.BOX, (-0.2, 0, 0.7), (0.03, 0.9, 0.2), paint)
    else:
        builder.add(Shape.BOX, (0, 0, 2.4), (0.8, 1.9, 0.06), paint)
        builder.add(Shape.BOX, (-0.75, 0, 1.2), (0.03, 1.9, 1.2), (0.2, 0.22, 0.24))
        poster = {'material': Material.SIGN, 'pattern': (0.5, 0.6, 0.0)}
        end, half = (0.0, 1.9, 1.2), (0.7, 0.04, 1.1)
        builder.add(Shape.BOX, end, half, paint, second_albedo=colour(rng), **poster)  # type: ignore[arg-type]
