"""What is on the road for a single picture: cars in their lanes, people, and odd shapes."""

import numpy as np
from ssd_depth_core.synthdrive import props
from ssd_depth_core.synthdrive.primitives import Builder, Material, Primitives, Shape
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.world import CityStyle, LANE_WIDTH_M

FREE_M = 9.0
"""Radius around the camera's car within which no lane holds another."""
FREE_IN_QUEUE_M = 14.0
"""The same behind a car that stands close ahead: what follows it keeps its distance."""


def traffic(
    style: CityStyle,
    seed: int,
    x: float,
    y: float,
    yaw: float,
    queue_odds: float = 0.0,
    terrain: Terrain = FLAT,
) -> Primitives:
    """Put cars, cyclists and people onto the roads around a camera, for a single picture.

    Args:
        style: Of the city.
        seed: Of the traffic.
        x: Of the camera's car in street coordinates, which is left free [m].
        y: Likewise [m].
        yaw: Heading of that car [rad].
        queue_odds: Probability that another car stands close ahead, as at a red light.
        terrain: That all stand on.

    Returns:
        Solids, possibly none besides one far below the ground.
    """
    rng = np.random.default_rng([style.seed, 3, seed])
    builder = Builder(rng)
    builder.place(0.0, 0.0, 0.0, z=-50.0)
    builder.add(Shape.BOX, (0, 0, 0), (0.1, 0.1, 0.1), (0.5, 0.5, 0.5))
    density = rng.uniform(0.0, 1.0)
    # Its own draws, so that the rest of the traffic does not depend on the odds.
    queue = np.random.default_rng([style.seed, 8, seed])
    queued = queue.random() < queue_odds
    if queued:
        ahead = 2.5 + queue.uniform(2.5, 7.0)  # half a car, and the gap to it
        aside = queue.normal(0.0, 0.3)
        c, s = np.cos(yaw), np.sin(yaw)
        builder.place(x + c * ahead - s * aside, y + s * ahead + c * aside, yaw, tilted=True)
        props.car(builder, queue, lights_on=True, kinds=('car', 'suv', 'van'))
    free_m = FREE_IN_QUEUE_M if queued else FREE_M
    for axis in (0, 1):  # roads along x, then along y
        pitch, half = style.pitch[1 - axis], style.half_road[axis]
        position, across = ((x, y), (y, x))[axis]
        lanes = max(1, int((half - 0.2) / LANE_WIDTH_M))
        road = round(across / pitch) * pitch
        for direction in (-1, 1):
            for lane in range(lanes):
                # Keeping right: heading +x means lower y; heading +y means higher x.
                side = style.drive_side * direction * (1 if axis == 0 else -1)
                offset = road + side * (lane + 0.5) * LANE_WIDTH_M
                along = position - 90.0 + rng.uniform(0.0, 30.0)
                while along < position + 90.0:
                    place = (along, offset) if axis == 0 else (offset, along)
                    heading = (0.0 if direction > 0 else np.pi) + (np.pi / 2 if axis else 0.0)
                    clear = np.hypot(place[0] - x, place[1] - y) > free_m
                    if clear and rng.random() < density:
                        builder.place(*place, heading + rng.normal(0.0, 0.03), tilted=True)
                        if rng.random() < 0.08:
                            props.cyclist(builder, rng)
                        else:
                            props.car(builder, rng, lights_on=True)
                    along += rng.uniform(8.0, 40.0)
    for _ in range(rng.poisson(2.0 * style.crowd + 0.3)):
        ahead, aside = rng.uniform(5.0, 40.0), rng.uniform(-8.0, 8.0)
        c, s = np.cos(yaw), np.sin(yaw)
        builder.place(x + c * ahead - s * aside, y + s * ahead + c * aside, rng.uniform(0, 6.3))
        props.pedestrian(builder, rng)
    return builder.build(terrain)


def clutter(seed: int, x: float, y: float, terrain: Terrain = FLAT) -> Primitives:
    """Strew shapes that no street has: they keep a network from learning our streets by heart.

    Args:
        seed: Of the clutter.
        x: Around this place in street coordinates [m].
        y: Likewise [m].
        terrain: That all stand on.

    Returns:
        Solids standing on the ground.
    """
    rng = np.random.default_rng([seed, 4])
    builder = Builder(rng)
    for _ in range(int(rng.integers(1, 14))):
        angle, radius = rng.uniform(0, 6.3), rng.uniform(5.0, 45.0)
        builder.place(x + radius * np.cos(angle), y + radius * np.sin(angle), rng.uniform(0, 6.3))
        builder.name('object')
        half = rng.uniform(0.1, 1.0, 3) ** 1.5 * rng.choice([1.0, 3.0])
        shape = Shape(int(rng.integers(3)))
        material = Material(int(rng.choice([0, 1, 2, 6, 7])))
        pattern = (rng.uniform(0.2, 2.0), rng.uniform(0.2, 2.0), 0.3)
        style = {'material': material, 'second_albedo': props.colour(rng), 'pattern': pattern}
        size = (float(half[0]), float(half[1]), float(half[2]))
        tint = props.colour(rng, 0.03, 0.8, 1.0)
        builder.add(shape, (0, 0, size[2]), size, tint, **style)  # type: ignore[arg-type]
    return builder.build(terrain)
