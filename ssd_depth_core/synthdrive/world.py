"""What stands in the street: an endless grid of roads with blocks of buildings between them.

In street coordinates (u, v), roads run along u at v = j * pitch_v and along v at u = i * pitch_u;
a terrain bends them and lays them over hills. Every block is drawn from its own seed, so the same
city grows wherever the car drives, and a block costs only when it is near.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.surface_classes import SurfaceClass
from ssd_depth_core.synthdrive import props
from ssd_depth_core.synthdrive.buildings import building, rich_building
from ssd_depth_core.synthdrive.primitives import (
    Builder,
    concatenate,
    Material,
    Primitives,
    Shape,
    Vector,
)
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
import torch

Rng = np.random.Generator
LANE_WIDTH_M = 3.1
PAVEMENT_HEIGHT_M = 0.13
PIECE_M = 6.0
"""Of a wall or hedge that follows a bend of 60 m radius to 8 cm."""
WIDEST_M = 16.0
"""Of a house on such a bend: its front leaves the line by half a metre."""
CORNER_M = 5.0
"""Houses keep this from the corner of a block on hills."""
FOUNDATION_M = 2.0
"""Houses on hills reach this deep."""
FOUNDATION: Vector = (0.22, 0.2, 0.18)
"""Linear RGB."""


@dataclass(frozen=True, slots=True)
class CityStyle:
    """Hold what one city's blocks have in common; drawn from its seed."""

    seed: int
    pitch: tuple[float, float]
    """Distance of parallel roads along x and along y [m]."""
    half_road: tuple[float, float]
    """Half width of the roads that run along x and along y [m]."""
    drive_side: int
    """-1 where traffic keeps right (lower y when heading along +x), +1 where it keeps left."""
    district_odds: tuple[float, ...]
    """Of 'terrace', 'houses', 'industrial', 'park', 'towers'."""
    tree_spacing_m: float
    lamp_spacing_m: float
    parking_odds: float
    """Share of kerbside places with a parked car."""
    crowd: float
    """Pedestrians per 10 m of pavement."""
    lamp_glow: Vector
    """Linear RGB radiance of the street lamps."""
    asphalt: Vector
    paint: Vector
    pavement: Vector
    """Linear RGB."""
    lane_marks: int
    """0 none, 1 dashed middle, 2 solid double middle, 3 dashed middle and edges."""


BORDERS: tuple[SurfaceClass, ...] = ('vegetation', 'wall', 'fence')
DISTRICTS = ('terrace', 'houses', 'industrial', 'park', 'towers')


def city_style(seed: int) -> CityStyle:
    """Draw a city.

    Args:
        seed: Of everything in it.

    Returns:
        Its style.
    """
    rng = np.random.default_rng([seed, 1])
    half = [LANE_WIDTH_M * int(rng.choice([1, 1, 2, 3])) + rng.uniform(0.2, 2.6) for _ in range(2)]
    pitch = [2 * max(half) + rng.uniform(28.0, 110.0) for _ in range(2)]
    odds = rng.dirichlet([1.2, 1.0, 0.6, 0.6, 0.5])
    warm: Vector = (7.0, 4.4, 1.7)
    white: Vector = (5.0, 5.0, 4.6)
    return CityStyle(
        seed=seed,
        pitch=(pitch[0], pitch[1]),
        half_road=(half[0], half[1]),
        drive_side=int(rng.choice([-1, 1])),
        district_odds=tuple(odds),
        tree_spacing_m=float(rng.choice([8.0, 12.0, 20.0, 60.0])),
        lamp_spacing_m=rng.uniform(18.0, 40.0),
        parking_odds=float(rng.choice([0.0, 0.2, 0.5, 0.8])),
        crowd=rng.uniform(0.0, 0.9) ** 2,
        lamp_glow=warm if rng.random() < 0.6 else white,
        asphalt=props.colour(rng, 0.04, 0.22, 0.12),
        paint=(0.7, 0.7, 0.66) if rng.random() < 0.8 else (0.65, 0.5, 0.12),
        pavement=props.colour(rng, 0.1, 0.45, 0.15),
        lane_marks=int(rng.integers(4)),
    )


@dataclass(frozen=True, slots=True)
class Lamps:
    """Hold L street lamps."""

    position: NDArray[np.float64]
    """(L, 3) in the world [m]."""
    intensity: NDArray[np.float64]
    """(L, 3) linear RGB [radiance * m^2]."""


class City:
    """Give the solids and lamps near a place."""

    def __init__(self, seed: int, terrain: Terrain = FLAT, *, rich: bool = False) -> None:
        """Draw the style; blocks follow when asked for.

        Args:
            seed: Of everything in the city.
            terrain: That it stands on.
            rich: Whether houses have shops, balconies, chimneys and the like. Random views, of
                which stored training sets are made, do without.
        """
        self.style, self.terrain, self._rich = city_style(seed), terrain, rich
        self._block = lru_cache(maxsize=256)(self._make_block)

    def near(self, x: float, y: float, radius_m: float = 170.0) -> tuple[Primitives, Lamps]:
        """Collect what stands near a place.

        Args:
            x: In the world [m].
            y: In the world [m].
            radius_m: Blocks whose middle lies farther are left out.

        Returns:
            Solids, float32 on the CPU, and lamps.
        """
        px, py = self.style.pitch
        u, v = (float(a) for a in self.terrain.to_street(np.array(x), np.array(y)))
        reach = radius_m + max(px, py) * 0.5
        parts, lamps = [], []
        for i in range(int((u - reach) // px), int((u + reach) // px) + 1):
            for j in range(int((v - reach) // py), int((v + reach) // py) + 1):
                if np.hypot((i + 0.5) * px - u, (j + 0.5) * py - v) < reach:
                    solids, block_lamps = self._block(i, j)
                    parts.append(solids)
                    lamps.append(block_lamps)
        position = np.concatenate(lamps)
        glow = np.tile(np.array(self.style.lamp_glow) * 5.0, (len(position), 1))
        return concatenate(parts), Lamps(position, glow)

    def _make_block(self, i: int, j: int) -> tuple[Primitives, NDArray[np.float64]]:
        style, hilly = self.style, not self.terrain.flat
        # Seeds must not be negative, block numbers may be.
        rng = np.random.default_rng([style.seed, 2, i + 2**20, j + 2**20])
        builder = Builder(rng)
        (px, py), (hx, hy) = style.pitch, style.half_road
        x0, x1 = i * px + hy, (i + 1) * px - hy
        y0, y1 = j * py + hx, (j + 1) * py - hx
        district = str(rng.choice(DISTRICTS, p=style.district_odds))
        middle, half = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) / 2, (y1 - y0) / 2)
        builder.place(*middle, 0.0)
        shape = Shape.DRAPED if hilly else Shape.BOX
        slab = (half[0], half[1], PAVEMENT_HEIGHT_M)
        builder.name('sidewalk')
        builder.add(shape, (0, 0, 0), slab, style.pavement, material=Material.PAVEMENT)
        walk = rng.uniform(1.6, 4.5)
        if district in ('park', 'houses'):
            green = (rng.uniform(0.04, 0.1), rng.uniform(0.09, 0.18), rng.uniform(0.02, 0.05))
            lawn = (half[0] - walk, half[1] - walk, PAVEMENT_HEIGHT_M + 0.04)
            builder.name('terrain')
            builder.add(shape, (0, 0, 0), lawn, green, material=Material.GRASS)
        # Each side: where its frame stands (x along the kerb, y into the block), and its length.
        sides = [
            (x0, y0, 0.0, x1 - x0), (x1, y0, np.pi / 2, y1 - y0),
            (x1, y1, np.pi, x1 - x0), (x0, y1, -np.pi / 2, y1 - y0),
        ]  # fmt: skip
        for number, (x, y, yaw, length) in enumerate(sides):
            _frontage(
                builder, rng, (x, y, yaw), length, walk, district, hilly=hilly, rich=self._rich
            )
            half_road = style.half_road[number % 2]
            _kerbside(builder, style, rng, (x, y, yaw), length, walk, half_road)
        if district == 'park':
            for _ in range(int(half[0] * half[1] / 60)):
                u, v = rng.uniform(-1, 1, 2) * (np.array(half) - walk - 2.0)
                builder.place(middle[0] + u, middle[1] + v, rng.uniform(0, 6.3))
                props.tree(builder, rng, rng.uniform(4.0, 14.0))
        return builder.build(self.terrain), builder.marks(self.terrain)


def _at(frame: tuple[float, float, float], along: float, inset: float) -> tuple[float, float]:
    """Give the street coordinates of a place on a block's side; inset < 0 lies on the road."""
    x, y, yaw = frame
    c, s = np.cos(yaw), np.sin(yaw)
    return x + c * along - s * inset, y + s * along + c * inset


def _frontage(
    builder: Builder,
    rng: Rng,
    frame: tuple[float, float, float],
    length: float,
    walk: float,
    district: str,
    *,
    hilly: bool,
    rich: bool,
) -> None:
    """Line one side of a block with buildings, walls and hedges."""
    if district == 'park' or rng.random() < 0.08:
        _border(builder, rng, frame, walk, length, hilly=hilly)
        return
    # Where streets cross aslant, a house at the corner would stand in the other street.
    corner = walk + (CORNER_M if hilly else 0.0)
    along = corner + rng.uniform(0.0, 2.0)
    while along < length - corner - 6.0:
        width = {
            'terrace': rng.uniform(5.0, 16.0),
            'houses': rng.uniform(7.0, 13.0),
            'industrial': rng.uniform(14.0, 40.0),
            'towers': rng.uniform(12.0, 30.0),
        }[district]
        width = min(width, length - corner - along, WIDEST_M if hilly else np.inf)
        depth = rng.uniform(7.0, 14.0)
        setback = (
            walk
            + {
                'terrace': 0.0 if rng.random() < 0.7 else rng.uniform(0.5, 3.0),
                'houses': rng.uniform(3.0, 8.0),
                'industrial': rng.uniform(1.0, 9.0),
                'towers': rng.uniform(0.0, 8.0),
            }[district]
        )
        height = {
            'terrace': rng.uniform(6.0, 19.0),
            'houses': rng.uniform(3.0, 6.5),
            'industrial': rng.uniform(4.5, 11.0),
            'towers': rng.uniform(18.0, 60.0),
        }[district]
        at = _at(frame, along + width / 2, setback + depth / 2)
        builder.place(*at, frame[2], stretched=True)
        builder.name('building')
        if hilly:
            foot = (width / 2, depth / 2, FOUNDATION_M / 2)
            builder.add(Shape.BOX, (0, 0, -FOUNDATION_M / 2), foot, FOUNDATION)
        if rich:
            rich_building(builder, rng, width, depth, height, district)
        else:
            building(builder, rng, width, depth, height, gabled=district == 'houses')
        if setback > walk + 1.5 and rng.random() < 0.5:
            _border(builder, rng, frame, walk, width * 0.9, along, hilly=hilly)
        if setback > walk + 2.5 and rng.random() < 0.5:
            builder.place(*_at(frame, along + rng.uniform(0, width), walk + 1.5), 0.0)
            props.tree(builder, rng, rng.uniform(2.5, 8.0))
        gap = {'terrace': 0.0 if rng.random() < 0.85 else 4.0, 'houses': rng.uniform(1.0, 7.0)}
        along += width + gap.get(district, rng.uniform(0.0, 14.0))


def _border(
    builder: Builder,
    rng: Rng,
    frame: tuple[float, float, float],
    walk: float,
    length: float,
    along: float = 0.0,
    *,
    hilly: bool,
) -> None:
    """Put a hedge, wall or fence behind the pavement."""
    border, height = BORDERS[rng.integers(len(BORDERS))], rng.uniform(0.6, 2.4)
    material, thick = Material.PAINT, 0.03
    if border == 'vegetation':
        tint: Vector = (rng.uniform(0.02, 0.07), rng.uniform(0.05, 0.13), 0.03)
        material, thick = Material.FOLIAGE, rng.uniform(0.25, 0.6)
    elif border == 'wall':
        material, thick = Material.BRICK, 0.15
        tint = props.colour(rng, 0.1, 0.6, 0.25)
    else:
        tint = props.colour(rng, 0.03, 0.5, 0.3)
    # On hills in pieces, each along the street where it stands.
    pieces = int(np.ceil(length / PIECE_M)) if hilly else 1
    long = length / pieces
    for piece in range(pieces):
        place = _at(frame, along + (piece + 0.5) * long, walk + 0.4)
        builder.place(*place, frame[2], tilted=True, stretched=True)
        builder.name(border)
        if border != 'fence':
            half = (long / 2, thick, height / 2)
            builder.add(Shape.BOX, (0, 0, height / 2), half, tint, material=material)
            continue
        for z in (0.3, height * 0.55, height):
            builder.add(Shape.BOX, (0, 0, z), (long / 2, thick, 0.04), tint)
        for x in np.arange(-long / 2, long / 2, 2.4):
            builder.add(Shape.BOX, (float(x), 0, height / 2), (0.04, 0.04, height / 2), tint)


def _kerbside(
    builder: Builder,
    style: CityStyle,
    rng: Rng,
    frame: tuple[float, float, float],
    length: float,
    walk: float,
    half_road: float,
) -> None:
    """Put lamps, trees, signs, furniture, people and parked cars along one side of a block."""
    yaw = frame[2]
    towards_road = yaw - np.pi / 2
    for along in np.arange(rng.uniform(3.0, 12.0), length - 2.0, style.lamp_spacing_m):
        x, y = _at(frame, along, 0.5)
        builder.place(x, y, towards_road)
        reach, _, z = props.street_lamp(builder, rng, style.lamp_glow)
        builder.mark((*_at(frame, along, 0.5 - reach), z))
    for along in np.arange(rng.uniform(2.0, 9.0), length - 2.0, style.tree_spacing_m):
        if rng.random() < 0.8:
            builder.place(*_at(frame, along, rng.uniform(0.7, 1.3)), rng.uniform(0, 6.3))
            props.tree(builder, rng, rng.uniform(3.5, 10.0))
    for _ in range(rng.poisson(length / 22.0)):
        # A sign faces the traffic that passes it: along or against the kerb.
        facing = yaw + (0.0 if rng.random() < 0.5 else np.pi)
        builder.place(*_at(frame, rng.uniform(1.0, length - 1.0), 0.4), facing)
        props.sign(builder, rng)
    for _ in range(rng.poisson(length / 25.0)):
        at = _at(frame, rng.uniform(1.0, length - 1.0), rng.uniform(0.6, walk))
        builder.place(*at, towards_road)
        props.small_furniture(builder, rng)
    for _ in range(rng.poisson(length / 10.0 * style.crowd)):
        at = _at(frame, rng.uniform(0.0, length), rng.uniform(0.4, walk))
        builder.place(*at, rng.uniform(0, 6.3), PAVEMENT_HEIGHT_M)
        props.pedestrian(builder, rng)
    inset = parking_inset(half_road)
    for along in np.arange(10.0, length - 10.0, 6.4):
        if rng.random() < style.parking_odds:
            heading = yaw if style.drive_side < 0 else yaw + np.pi
            heading += rng.normal(0.0, 0.02)
            builder.place(*_at(frame, along, inset), heading, tilted=True)
            props.car(builder, rng, lights_on=False)


def parking_inset(half_road: float) -> float:
    """Say where cars are parked: in a narrow street half on the pavement, to leave a lane free.

    Args:
        half_road: Half width of the road [m].

    Returns:
        From the kerb to the middle of a parked car [m], negative towards the road.
    """
    return -1.05 if half_road > 4.7 else 0.2


def to_tensor(lamps: Lamps, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Move lamps to a device.

    Args:
        lamps: In the world.
        device: Where to.

    Returns:
        Positions (L, 3) [m] and intensities (L, 3), float32.
    """
    position = torch.as_tensor(lamps.position, dtype=torch.float32, device=device)
    return position, torch.as_tensor(lamps.intensity, dtype=torch.float32, device=device)
