"""Houses, each a body under a roof and what hangs on its front."""

import numpy as np
from ssd_depth_core.synthdrive import props
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape, Vector

Rng = np.random.Generator


def building(
    builder: Builder, rng: Rng, width: float, depth: float, height: float, *, gabled: bool
) -> None:
    """Build one house.

    Args:
        builder: Its frame is the house's: origin on the ground below its middle, front on -y.
        rng: Randomness.
        width: Along the street [m].
        depth: Away from it [m].
        height: To the eaves [m].
        gabled: Whether the roof is surely a gable's.
    """
    wall, trim = props.colour(rng, 0.1, 0.75, 0.35), props.colour(rng, 0.03, 0.8, 0.2)
    glass_wall = rng.random() < 0.15
    pattern = (rng.uniform(1.4, 4.0), rng.uniform(2.6, 3.8), float(rng.uniform(0.0, 0.5)))
    material = Material.BRICK if rng.random() < 0.12 else Material.FACADE
    if glass_wall:
        wall, pattern = (0.08, 0.1, 0.12), (pattern[0] * 0.6, pattern[1], pattern[2])
    body = (width / 2, depth / 2, height / 2)
    style = {'material': material, 'second_albedo': trim, 'pattern': pattern}
    builder.add(Shape.BOX, (0, 0, height / 2), body, wall, **style)  # type: ignore[arg-type]
    if gabled or rng.random() < 0.15:
        rise = rng.uniform(1.2, 2.6)
        tiles = props.colour(rng, 0.04, 0.3, 0.5)
        along_x = rng.random() < 0.5
        half = (depth / 2 + 0.4, width / 2 + 0.4, rise / 2)
        half = half if along_x else (half[1], half[0], half[2])
        turn = np.pi / 2 if along_x else 0.0
        roof = {'material': Material.BRICK, 'taper': 0.98, 'yaw': turn}
        builder.add(Shape.BOX, (0, 0, height + rise / 2), half, tiles, **roof)  # type: ignore[arg-type]
    else:
        for _ in range(int(rng.integers(0, 3))):
            x, y = rng.uniform(-0.4, 0.4) * width, rng.uniform(-0.4, 0.4) * depth
            box = (rng.uniform(0.5, 2.0), rng.uniform(0.5, 2.0), rng.uniform(0.5, 1.6))
            builder.add(Shape.BOX, (x, y, height + box[2]), box, props.colour(rng))
    if rng.random() < 0.4:  # an awning or balcony over the pavement
        z = rng.uniform(2.5, 3.5)
        ledge = (width * rng.uniform(0.2, 0.48), rng.uniform(0.3, 1.0), 0.12)
        at = (0.0, -depth / 2 - ledge[1], z)
        builder.add(Shape.BOX, at, ledge, props.colour(rng, 0.05, 0.6, 0.9))
    if rng.random() < 0.35:  # a shop sign that shines at night
        glow = rng.uniform(0.1, 1.6) * np.array(props.colour(rng, 0.3, 1.0, 0.9))
        board = (width * rng.uniform(0.1, 0.4), 0.08, rng.uniform(0.2, 0.5))
        at = (rng.uniform(-0.2, 0.2) * width, -depth / 2 - 0.1, rng.uniform(2.6, 3.6))
        shine: Vector = (float(glow[0]), float(glow[1]), float(glow[2]))
        face, letters = props.colour(rng), props.colour(rng)
        builder.add(
            Shape.BOX, at, board, face,
            material=Material.SIGN, second_albedo=letters, emission=shine, pattern=(0.6, 0.5, 0.0),
        )  # fmt: skip
