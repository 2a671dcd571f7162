"""Houses, each a body under a roof and what hangs on its front."""

import numpy as np
from ssd_depth_core.synthdrive import props
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape, Vector

Rng = np.random.Generator

GLASS: Vector = (0.05, 0.06, 0.07)


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


def rich_building(
    builder: Builder, rng: Rng, width: float, depth: float, height: float, district: str
) -> None:
    """Build one house as its district has them, with what tells real streets apart.

    Args:
        builder: Its frame is the house's: origin on the ground below its middle, front on -y.
        rng: Randomness.
        width: Along the street [m].
        depth: Away from it [m].
        height: To the eaves [m].
        district: 'terrace', 'houses', 'industrial' or 'towers'.
    """
    house = _House(builder, rng, width, depth, height)
    if district == 'industrial':
        house.body()
        house.hall_roof()
        house.gate()
        return
    if district == 'towers' and rng.random() < 0.6:
        house.steps()
    elif district == 'terrace' and width > 8.0 and rng.random() < 0.25:
        house.arcade()
    else:
        house.body()
        house.roof(gabled=district == 'houses')
        if district == 'houses':
            house.porch()
        elif rng.random() < 0.5:
            house.shop()
    if height > 7.0:
        odds = rng.random()
        if odds < 0.3:
            house.balconies()
        elif odds < 0.5:
            house.bays()


class _House:
    """Hold one house's size and looks while its parts are put together."""

    def __init__(
        self, builder: Builder, rng: Rng, width: float, depth: float, height: float
    ) -> None:
        self._builder, self._rng = builder, rng
        self._width, self._depth, self._height = width, depth, height
        self._front = -depth / 2
        self._wall, self._trim = props.colour(rng, 0.12, 0.75, 0.35), props.colour(rng, 0.05, 0.8)
        self._storey = rng.uniform(2.8, 3.6)
        brick = rng.random() < 0.15
        self._material = Material.BRICK if brick else Material.FACADE
        self._pattern = (rng.uniform(1.4, 3.6), self._storey, rng.uniform(0.05, 0.5))
        if rng.random() < 0.12 and height > 12.0:  # glass from top to bottom
            self._wall, self._material = (0.08, 0.1, 0.12), Material.FACADE
            self._pattern = (1.3, self._storey, 0.4)

    def _part(self, center: Vector, half: Vector) -> None:
        """Add a box that looks like the house."""
        self._builder.add(
            Shape.BOX, center, half, self._wall,
            material=self._material, second_albedo=self._trim, pattern=self._pattern,
        )  # fmt: skip

    def body(self) -> None:
        """Add the walls."""
        half = (self._width / 2, self._depth / 2, self._height / 2)
        self._part((0.0, 0.0, self._height / 2), half)

    def roof(self, *, gabled: bool) -> None:
        """Add a gable, a mansard or a flat roof with what stands on it."""
        builder, rng, top = self._builder, self._rng, self._height
        tiles, kind = props.colour(rng, 0.04, 0.3, 0.5), rng.random()
        if gabled or kind < 0.25:
            rise = rng.uniform(1.4, 2.8)
            across = rng.random() < 0.5
            x, y = self._width / 2 + 0.4, self._depth / 2 + 0.4
            size = (y, x, rise / 2) if across else (x, y, rise / 2)
            where, turn = (0.0, 0.0, top + rise / 2), np.pi / 2 if across else 0.0
            builder.add(
                Shape.BOX, where, size, tiles, material=Material.BRICK, taper=0.98, yaw=turn
            )
            self._chimney(rng.uniform(-0.35, 0.35) * self._width, top + rise * 0.6)
        elif kind < 0.45:
            size = (self._width / 2, self._depth / 2, 1.3)
            where = (0.0, 0.0, top + 1.3)
            builder.add(Shape.BOX, where, size, tiles, material=Material.BRICK, taper=0.25)
            self._chimney(rng.uniform(-0.3, 0.3) * self._width, top + 2.4)
        else:
            cornice = (self._width / 2 + 0.02, self._depth / 2 + 0.25, 0.18)
            builder.add(Shape.BOX, (0.0, 0.0, top), cornice, self._trim)
            hut = (rng.uniform(0.6, 2.0), rng.uniform(0.6, 2.0), rng.uniform(0.5, 1.5))
            x = rng.uniform(-0.3, 0.3) * self._width
            builder.add(Shape.BOX, (x, 0.5, top + hut[2]), hut, props.colour(rng))

    def _chimney(self, x: float, z: float) -> None:
        brick = props.colour(self._rng, 0.08, 0.35, 0.5)
        half = (0.3, 0.4, 0.9)
        self._builder.add(Shape.BOX, (x, 0.6, z + 0.4), half, brick, material=Material.BRICK)

    def porch(self) -> None:
        """Add a garage before the house, or a roof over its door."""
        builder, rng = self._builder, self._rng
        side = float(rng.choice([-1.0, 1.0])) * (self._width / 2 - 1.7)
        if rng.random() < 0.5:
            builder.add(Shape.BOX, (side, self._front - 1.2, 1.25), (1.6, 1.2, 1.25), self._wall)
            where, door = (side, self._front - 2.41, 1.05), (1.25, 0.03, 1.0)
            white = props.colour(rng, 0.3, 0.8, 0.2)
            builder.add(Shape.BOX, where, door, white, material=Material.BRICK)
        else:
            builder.add(Shape.BOX, (side, self._front - 0.7, 2.5), (1.3, 0.7, 0.08), self._trim)
            for x in (side - 1.2, side + 1.2):
                builder.add(
                    Shape.BOX, (x, self._front - 1.3, 1.25), (0.07, 0.07, 1.25), self._trim
                )

    def shop(self) -> None:
        """Add shop windows at street level, their sign, and perhaps an awning."""
        builder, rng = self._builder, self._rng
        half = self._width / 2 - 0.3
        builder.add(Shape.BOX, (0.0, self._front, 1.55), (half, 0.05, 1.55), self._trim)
        # Brighter panes than these are white squares in a picture exposed for the street.
        bright, warmth = rng.uniform(0.03, 0.3), rng.uniform(0.55, 0.95)
        glow: Vector = (bright, bright * (1 + warmth) / 2, bright * warmth)
        panes = min(max(round(self._width / 4.0), 1), 3)
        for x in (np.arange(panes) + 0.5) / panes * 2 * half - half:
            pane, where = (half / panes - 0.15, 0.08, 1.1), (float(x), self._front, 1.45)
            builder.add(Shape.BOX, where, pane, GLASS, material=Material.LIGHT, emission=glow)
        board, face = (half, 0.1, 0.3), props.colour(rng, 0.05, 0.6, 0.9)
        shine: Vector = (face[0] * bright, face[1] * bright, face[2] * bright)
        builder.add(
            Shape.BOX, (0.0, self._front - 0.05, 2.95), board, face, material=Material.SIGN,
            second_albedo=props.colour(rng, 0.4, 0.9), emission=shine, pattern=(0.5, 0.3, 0.0),
        )  # fmt: skip
        if rng.random() < 0.4:
            awning = (half, 0.5, 0.06)
            builder.add(Shape.BOX, (0.0, self._front - 0.5, 2.6), awning, face)

    def arcade(self) -> None:
        """Set the ground floor back behind columns."""
        builder, inset, low = self._builder, 2.2, 3.6
        ground = (self._width / 2, (self._depth - inset) / 2, low / 2)
        self._part((0.0, inset / 2, low / 2), ground)
        upper = (self._height - low) / 2
        self._part((0.0, 0.0, low + upper), (self._width / 2, self._depth / 2, upper))
        columns = min(max(round(self._width / 3.5), 2), 4) + 1
        for x in np.linspace(-self._width / 2 + 0.3, self._width / 2 - 0.3, columns).tolist():
            where = (x, self._front + 0.3, low / 2)
            builder.add(Shape.BOX, where, (0.28, 0.28, low / 2), self._trim)
        self.roof(gabled=False)

    def steps(self) -> None:
        """Stack storeys that grow narrower, under a mast."""
        base, width, depth = 0.0, self._width, self._depth
        shares = (0.55, 0.3, 0.15)
        for share in shares:
            rise = self._height * share
            self._part((0.0, 0.0, base + rise / 2), (width / 2, depth / 2, rise / 2))
            base, width, depth = base + rise, width * 0.75, depth * 0.8
        mast = self._rng.uniform(2.0, 7.0)
        where, size = (0.0, 0.0, base + mast / 2), (0.12, 0.12, mast / 2)
        self._builder.add(Shape.CYLINDER, where, size, (0.4, 0.4, 0.4))

    def balconies(self) -> None:
        """Hang balconies on the front: one along each storey, or two beside each other."""
        rng, reach = self._rng, self._rng.uniform(0.4, 0.7)
        spans = [(0.0, self._width * 0.42)] if rng.random() < 0.4 else [
            (x * self._width, min(1.6, self._width * 0.18)) for x in (-0.25, 0.25)
        ]  # fmt: skip
        # More would cost more than they show.
        storeys = min(3, int((self._height - 1.5) / self._storey) - 1)
        for storey in range(1, storeys + 1):
            for x, half in spans:
                where = (x, self._front - reach, storey * self._storey + 0.5)
                self._builder.add(Shape.BOX, where, (half, reach, 0.5), self._trim)

    def bays(self) -> None:
        """Let bay windows stand out of the upper storeys."""
        low, top = self._storey, self._height - 0.6
        half = (min(1.3, self._width * 0.15), 0.45, (top - low) / 2)
        for x in (-0.25, 0.25):
            self._part((x * self._width, self._front - 0.4, (low + top) / 2), half)

    def hall_roof(self) -> None:
        """Roof a hall with a row of gables, or flat beside a stack."""
        builder, rng, top = self._builder, self._rng, self._height
        if rng.random() < 0.6:
            count = int(rng.integers(2, 5))
            half = self._width / 2 / count
            steel = props.colour(rng, 0.1, 0.5, 0.2)
            for x in (np.arange(count) * 2 + 1) * half - self._width / 2:
                where, size = (float(x), 0.0, top + 0.8), (half, self._depth / 2, 0.8)
                builder.add(Shape.BOX, where, size, steel, taper=0.97)
        else:
            stack, x = rng.uniform(3.0, 9.0), rng.uniform(-0.4, 0.4) * self._width
            where, size = (x, 1.0, top + stack / 2), (0.6, 0.6, stack / 2)
            builder.add(Shape.CYLINDER, where, size, self._trim, material=Material.BRICK)

    def gate(self) -> None:
        """Put gates for lorries into the front."""
        for x in (-0.25, 0.3):
            where, size = (x * self._width, self._front, 1.9), (1.7, 0.06, 1.9)
            paint = props.colour(self._rng, 0.1, 0.6, 0.5)
            self._builder.add(Shape.BOX, where, size, paint, material=Material.BRICK)
