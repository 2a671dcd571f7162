"""Who takes part in the traffic of a drive, and which track each follows."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.bodies import Body, draw_body
from ssd_depth_core.synthdrive.following import follow, STEP_S, Stream, Temper
from ssd_depth_core.synthdrive.junctions import (
    Junction,
    junctions_along,
    nearest,
    Track,
    track_across,
    track_along,
    with_lights,
)
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.trajectory import (
    drive_ahead,
    drive_along,
    HALF_PARKED_M,
    lane_offset,
    Motion,
    Path,
    STEP_M,
    turn_radius,
)
from ssd_depth_core.synthdrive.world import CityStyle, parking_inset

VIEW_M = 150.0
"""What is farther from the car is left out: a few pixels, and the buildings hide most of it."""
WARM_UP_S = 20.0
"""How long traffic moves before anyone sees it, so that queues stand where lights are red."""
NOSE_M, TAIL_M = 3.8, 1.0
"""From the car's rear axle to its front and to its rear."""
BEHIND_LEAD_M = 2.2
"""From a standing lead to the car."""
SLOWEST_BEND_MPS = 4.5
"""Nearly so: the lead is that much earlier in a bend as keeps the car off its rear there."""
LEAD_ODDS = 0.75
WIDE_ROAD_M = 6.0
"""Half width of the roads that buses and lorries use."""
PASSING_OFFSET_M = 1.4
"""Lanes nearer to the middle of their road than this are too near to one another in bends."""
BESIDE_BUS_M = 2.0
"""From the middle of a bus to that of a cyclist whom it passes."""
BESIDE_PARKED_M = 0.55
"""From parked vehicles or the kerb to the middle of a cyclist."""
WALK_M = 1.3
"""From the kerb to where people walk: behind lamps and signs, before the houses."""

DRIVERS = Temper(cruise=(7.0, 11.0), acceleration=1.5, gap_m=2.0, headway_s=1.2)
CYCLISTS = Temper(cruise=(3.8, 6.0), acceleration=1.0, gap_m=1.0, headway_s=1.0)
WALKERS = Temper(cruise=(1.0, 1.6), acceleration=1.0, gap_m=0.4, headway_s=0.4)

NARROW_MIX = {'car': 0.55, 'suv': 0.25, 'van': 0.2}
WIDE_MIX = {'car': 0.42, 'suv': 0.16, 'van': 0.14, 'lorry': 0.15, 'bus': 0.13}
CYCLIST_SHARE = 0.15
"""Of what crosses at junctions."""

Float = NDArray[np.float64]
Rng = np.random.Generator


@dataclass(slots=True)
class Cast:
    """Hold who moves, and how the car moves among them."""

    motion: Motion
    """Of the car, along its path."""
    bodies: list[Body] = field(default_factory=list)
    """In the order of the streams and of the things in each."""
    streams: list[Stream] = field(default_factory=list)

    def add(self, bodies: list[Body], stream: Stream) -> None:
        """Let some more take part.

        Args:
            bodies: As many as the stream has, numbered onwards from those in the cast.
            stream: Where they are.
        """
        self.bodies.extend(bodies)
        self.streams.append(stream)


def cast_traffic(
    style: CityStyle, path: Path, seed: int, end_s: float, terrain: Terrain = FLAT
) -> Cast:
    """Draw the traffic of a drive.

    Args:
        style: Of the city.
        path: The car's way, at least 200 m longer than it comes.
        seed: Of the drive.
        end_s: Until when traffic moves, since the car set out.
        terrain: That the city stands on.

    Returns:
        The cast; the car stops farther from the lines where another stands before it.
    """
    cast, first = _cast_lead(style, path, seed, end_s)
    junctions = with_lights(junctions_along(path, style), *first, style, seed)
    way = _Way(style, path, junctions, seed, end_s, terrain)
    _cast_lanes(cast, way)
    _cast_cyclists(cast, way)
    _cast_walkers(cast, way)
    for number, junction in enumerate(junctions):
        if junction.light is not None:
            _cast_crossing(cast, way, junction, np.random.default_rng([seed, 13, number]))
    return cast


@dataclass(frozen=True, slots=True)
class _Way:
    """Hold what all on the car's way have in common."""

    style: CityStyle
    path: Path
    junctions: list[Junction]
    seed: int
    end_s: float
    terrain: Terrain

    def track(self, aside: tuple[float, float], *, against: bool = False) -> Track:
        """Lead a lane along the way, `aside` left of the middle of the roads by axis."""
        radii = [
            turn_radius([self.style.half_road[i] - turn * aside[i] for i in (0, 1)])
            for turn in (1, -1)
        ]
        return track_along(
            self.junctions, self.path, self.style, aside, (radii[0], radii[1]), self.terrain,
            against=against,
        )  # fmt: skip


def _offsets(style: CityStyle) -> tuple[float, float]:
    """Give how far left of the middle the car's lane lies on the roads along x and along y."""
    along_x, along_y = (style.drive_side * lane_offset(style, axis) for axis in (0, 1))
    return along_x, along_y


def _mix(half_road: float) -> dict[str, float]:
    return WIDE_MIX if half_road > WIDE_ROAD_M else NARROW_MIX


def _choose(rng: Rng, mix: dict[str, float]) -> str:
    return str(rng.choice(list(mix), p=list(mix.values())))


def _cast_lead(
    style: CityStyle, path: Path, seed: int, end_s: float
) -> tuple[Cast, tuple[Path, Motion]]:
    """Draw the vehicle ahead; give also the path and motion of whichever comes first."""
    rng = np.random.default_rng([seed, 7])
    body = draw_body(_choose(rng, _mix(min(style.half_road))), rng, 0)
    headway, comes = rng.uniform(0.8, 1.6), rng.random() < LEAD_ODDS
    stops = np.flatnonzero(path.stop).astype(np.float64) * STEP_M
    back = body.length + BEHIND_LEAD_M
    # Nor may the car have to stand in the bend before, or behind its start.
    room = np.diff(stops, prepend=0.0) > back + 1.0
    if not comes or not room.all():
        motion = drive_along(path, seed)
        return Cast(motion), (path, motion)
    ahead = _stopping(path, stops + NOSE_M - body.length / 2)
    motion = drive_along(_stopping(path, stops - back), seed)
    lead_s = headway + (NOSE_M + BEHIND_LEAD_M + body.length / 2) / SLOWEST_BEND_MPS
    lead = drive_ahead(ahead, motion, headway, lead_s)
    cast = Cast(motion)
    distance = np.array([[lead.at(t)[0]] for t in np.arange(0.0, end_s + 2 * STEP_S, STEP_S)])
    cast.add([body], Stream(Track(path, ()), 0.0, distance, np.array([body.length])))
    return cast, (ahead, lead)


def _stopping(path: Path, stops: Float) -> Path:
    """Move the places where a path stops [m]."""
    stop = np.zeros(len(path.stop), bool)
    stop[np.rint(stops / STEP_M).astype(int)] = True
    return replace(path, stop=stop)


def _cast_lanes(cast: Cast, way: _Way) -> None:
    """Put vehicles behind the car and into the lane of those that come towards it."""
    rng = np.random.default_rng([way.seed, 14])
    own = _offsets(way.style)
    narrowest, mix = min(map(abs, own)), _mix(min(way.style.half_road))
    times = np.arange(-WARM_UP_S, way.end_s + 2 * STEP_S, STEP_S)
    reach, speed = np.array([cast.motion.at(float(t)) for t in times]).T
    # Before it sets out, the car comes along the road at its speed then.
    lane = way.track(own)
    start = nearest(lane.path, way.path.xy[0])
    rear = start + reach + np.minimum(times, 0.0) * speed - TAIL_M
    _fill(
        cast, rng, lane, DRIVERS, mix, rng.uniform(5.0, 60.0),
        (-WARM_UP_S, way.end_s), front=float(rear[0]) - 4.0, leader=rear,
    )  # fmt: skip
    # In the bends of the narrowest streets two cars cannot pass: there nobody comes.
    if narrowest > PASSING_OFFSET_M:
        track = way.track((-own[0], -own[1]), against=True)
        spacing = rng.uniform(5.0, 60.0)
        _fill(cast, rng, track, DRIVERS, mix, spacing, (-WARM_UP_S, way.end_s))


def _cast_cyclists(cast: Cast, way: _Way) -> None:
    """Let cyclists ride between lane and kerb, where there is room for them and a bus."""
    rng = np.random.default_rng([way.seed, 15])
    aside = []
    for axis, lane in enumerate(map(abs, _offsets(way.style))):
        half = way.style.half_road[axis]
        parked = half + parking_inset(half) - HALF_PARKED_M
        kerb = parked if way.style.parking_odds else half
        if lane + BESIDE_BUS_M > kerb - BESIDE_PARKED_M:
            return
        aside.append(way.style.drive_side * (kerb - BESIDE_PARKED_M))
    tight, wide = 1.5, 5.0
    for against in (False, True):
        sign = -1 if against else 1
        # The kerb's side of a bend is the inner one when the way turns to that side.
        radii = (tight, wide) if sign * aside[0] > 0 else (wide, tight)
        track = track_along(
            way.junctions, way.path, way.style, (sign * aside[0], sign * aside[1]), radii,
            way.terrain, against=against,
        )  # fmt: skip
        spacing = rng.uniform(15.0, 80.0)
        _fill(cast, rng, track, CYCLISTS, {'cyclist': 1.0}, spacing, (-WARM_UP_S, way.end_s))


def _cast_walkers(cast: Cast, way: _Way) -> None:
    """Let people walk along both pavements, one way on each."""
    rng = np.random.default_rng([way.seed, 16])
    for sign in (-1, 1):
        aside = [sign * (half + WALK_M) for half in way.style.half_road]
        track = track_along(
            way.junctions, way.path, way.style, (aside[0], aside[1]), (0.8, 0.8),
            way.terrain, against=sign < 0, on_foot=True,
        )  # fmt: skip
        spacing = 8.0 + rng.exponential(15.0) + 20.0 * (1 - way.style.crowd)
        _fill(cast, rng, track, WALKERS, {'pedestrian': 1.0}, spacing, (-WARM_UP_S, way.end_s))


def _cast_crossing(cast: Cast, way: _Way, junction: Junction, rng: Rng) -> None:
    """Let vehicles and people cross the car's way at a light while the car is near it."""
    times = np.arange(0.0, way.end_s + 1.0)
    places = way.path.at(np.array([cast.motion.at(float(t))[0] for t in times]))[0]
    near = times[np.abs((places - junction.place) @ junction.heading) < VIEW_M + 10.0]
    if not len(near):
        return
    window = (float(near[0]) - WARM_UP_S, float(near[-1]) + 1.0)
    lasts = window[1] - window[0]
    axis = 1 - junction.axis
    lane, half = lane_offset(way.style, axis), way.style.half_road[axis]
    mix = {kind: share * (1 - CYCLIST_SHARE) for kind, share in _mix(half).items()}
    for direction in (1, -1):
        far = DRIVERS.cruise[1] * lasts + VIEW_M
        aside = way.style.drive_side * lane
        track = track_across(
            junction, way.junctions, way.style, aside, direction, far, way.terrain
        )
        odds = mix | {'cyclist': CYCLIST_SHARE}
        front = far - 20.0 if rng.random() < 0.5 else far - 60.0
        _fill(cast, rng, track, DRIVERS, odds, rng.uniform(8.0, 70.0), window, front=front)
        # On foot: on the pavement before the crossing road, and on that behind it.
        beside = direction * (half + WALK_M)
        far = WALKERS.cruise[1] * lasts + 60.0
        track = track_across(
            junction, way.junctions, way.style, beside, direction, far, way.terrain, on_foot=True
        )
        spacing = 5.0 + rng.exponential(8.0) + 12.0 * (1 - way.style.crowd)
        _fill(cast, rng, track, WALKERS, {'pedestrian': 1.0}, spacing, window, front=far + 40.0)


def _fill(
    cast: Cast,
    rng: Rng,
    track: Track,
    temper: Temper,
    mix: dict[str, float],
    spacing_m: float,
    window_s: tuple[float, float],
    front: float | None = None,
    leader: Float | None = None,
) -> None:
    """Line a track up to `front` with things of a mix, `spacing_m` apart on average."""
    place = track.path.length if front is None else front
    bodies: list[Body] = []
    starts, cruises = [], []
    while True:
        body = draw_body(_choose(rng, mix), rng, len(cast.bodies) + len(bodies))
        slower = CYCLISTS if body.kind == 'cyclist' else temper
        cruise = rng.uniform(*slower.cruise)
        # As far as a driver keeps from another at that speed, and chance.
        keep = temper.gap_m + temper.headway_s * cruise
        place -= body.length / 2
        if place < body.length:
            break
        bodies.append(body)
        starts.append(place)
        cruises.append(cruise)
        place -= body.length / 2 + keep + rng.exponential(spacing_m)
    if bodies:
        length = np.array([body.length for body in bodies])
        stream = follow(
            track, temper, length, np.array(starts), np.array(cruises), window_s, leader
        )
        cast.add(bodies, stream)
