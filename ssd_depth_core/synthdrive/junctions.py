"""Where streets meet on the car's way, and the tracks that traffic follows there and between.

Everything here lies on the sheet of street coordinates, where roads are straight.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.terrain import Terrain
from ssd_depth_core.synthdrive.trajectory import Motion, Path, resampled, STEP_M, STOP_M
from ssd_depth_core.synthdrive.world import CityStyle

EXTENSION_M = 160.0
"""Tracks begin this far behind the car, beyond what its cameras tell apart."""
LINE_M = 5.2
"""From the crossing road to the line that vehicles stop at."""
ZEBRA_M = 3.0
"""From the crossing road to the far end of the strip where people cross."""
CYCLE_S = 42.0
GREEN_S = 20.0
"""For the car's way; the rest of the cycle is green for the crossing road."""
NEAR_M = 12.0
"""Farther from the middle of a junction no path bends yet."""
REACTION_S = 1.0
"""From green to the first vehicle's start."""
HALF_LONGEST_M = 6.5
"""Of a vehicle: the middle of one that waits is that near to where the car's rear axle would."""
LIGHTS_APART_M = 60.0
"""Room for a queue between two lights, so that none reaches back into a junction."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Light:
    """Hold a signal of fixed cycle."""

    green_from_s: float
    """When the car's way has green, at every `CYCLE_S` from here."""

    def remaining(self, t: float, crossing: bool) -> float:
        """Say how much longer traffic may be in the junction.

        Args:
            t: Since the car set out [s].
            crossing: Whether on the crossing road, not on the car's way.

        Returns:
            Time until the other road has green [s], 0 where it has.
        """
        phase = (t - self.green_from_s) % CYCLE_S
        if crossing:
            return CYCLE_S - phase if phase >= GREEN_S else 0.0
        return max(GREEN_S - phase, 0.0)


@dataclass(frozen=True, slots=True)
class Junction:
    """Hold one junction on the car's way."""

    node: tuple[int, int]
    """Numbers of the roads along y and along x that meet."""
    place: Float
    """(2,) of its middle [m]."""
    heading: Float
    """(2,) of the way into it."""
    onward: Float
    """(2,) of the way out of it."""
    s: float
    """Of the place on the path that is nearest [m]."""
    light: Light | None = None
    """None where nobody crosses the car's way."""

    @property
    def turn(self) -> int:
        """Say whether the way turns left (1), right (-1) or not (0)."""
        return round(float(left_of(self.heading) @ self.onward))

    @property
    def axis(self) -> int:
        """Give the axis of the way into it: 0 for x, 1 for y."""
        return int(abs(self.heading[1]) > 0.5)


@dataclass(frozen=True, slots=True)
class Gate:
    """Hold where a light stops a track."""

    line: float
    """Where fronts wait, along the track [m]."""
    exit: float
    """Where rears are out of the way, along the track [m]."""
    light: Light
    crossing: bool
    """As in `Light.remaining`."""


@dataclass(frozen=True, slots=True)
class Track:
    """Hold a way that traffic follows one behind the other."""

    path: Path
    gates: tuple[Gate, ...]
    """In the order of their lines."""


def left_of(heading: Float) -> Float:
    """Turn a direction left.

    Args:
        heading: (2,).

    Returns:
        (2,).
    """
    return np.array([-heading[1], heading[0]])


def nearest(path: Path, place: Float) -> float:
    """Find where a path passes a place.

    Args:
        path: Any.
        place: (2,) on the sheet [m].

    Returns:
        Along the path [m].
    """
    return float(np.argmin(np.hypot(*(path.xy - place).T)) * STEP_M)


def junctions_along(path: Path, style: CityStyle) -> list[Junction]:
    """Find the junctions that a path passes, without lights.

    Args:
        path: The car's.
        style: Of the city.

    Returns:
        In the order of the way.
    """
    node = np.rint(path.xy / style.pitch).astype(int)
    away = np.hypot(*(path.xy - node * style.pitch).T)
    near = np.concatenate([[False], away < NEAR_M, [False]])
    edges = np.flatnonzero(np.diff(near.astype(int)))
    found = []
    for begin, end in zip(edges[::2], edges[1::2] - 1, strict=True):
        heading, onward = (
            np.rint([np.cos(path.yaw[i]), np.sin(path.yaw[i])]) for i in (begin, end)
        )
        i, j = node[begin].tolist()
        place = node[begin] * np.array(style.pitch)
        found.append(Junction((i, j), place, heading, onward, nearest(path, place)))
    return found


def with_lights(
    junctions: list[Junction], path: Path, motion: Motion, style: CityStyle, seed: int
) -> list[Junction]:
    """Put lights where a road crosses the car's way once, green when the car comes.

    Where the way turns, or meets the same road again, the crossing road stays empty: its traffic
    would come into the car's lane.

    Args:
        junctions: Of the way.
        path: Of the first vehicle that comes, the car or the one ahead; it stops at red lights.
        motion: Of that vehicle.
        style: Of the city.
        seed: Of the lights.

    Returns:
        The same junctions, some with a light.
    """
    rng = np.random.default_rng([seed, 11])
    stops = np.flatnonzero(path.stop) * STEP_M
    result: list[Junction] = []
    last = -np.inf
    for junction in junctions:
        axis = junction.axis
        same_road = sum(other.node[axis] == junction.node[axis] for other in junctions)
        before = style.half_road[1 - axis] + STOP_M
        enters = nearest(path, junction.place - before * junction.heading)
        early = rng.uniform(1.0, 5.0)
        # Its road may also meet those of the lights on other legs: not too near to these either.
        crowded = any(
            other.light is not None
            and other.axis != axis
            and np.abs(other.place - junction.place).min() < LIGHTS_APART_M
            for other in result
        )
        whole = enters > 0 and path.length - junction.s > before
        free = whole and junction.s - last > LIGHTS_APART_M and not crowded
        if not junction.turn and same_road == 1 and free:
            stands = stops[np.abs(stops - enters) < HALF_LONGEST_M]
            if len(stands):
                enters, early = stands[0], REACTION_S
            # A little farther than where it stands: when it leaves, not when it arrives.
            comes = float(np.interp(enters + 0.1, motion.distance, motion.time))
            junction = replace(junction, light=Light(comes - early))
            last = junction.s
        result.append(junction)
    return result


def track_along(
    junctions: list[Junction],
    path: Path,
    style: CityStyle,
    aside: tuple[float, float],
    radii: tuple[float, float],
    terrain: Terrain,
    *,
    against: bool = False,
    on_foot: bool = False,
) -> Track:
    """Lead a track along the car's way, from `EXTENSION_M` before its start to its end.

    Args:
        junctions: Of the way.
        path: The car's.
        style: Of the city.
        aside: How far left of the middle of the road, on roads along x and along y [m].
        radii: Of the turns to the left and to the right of the way [m].
        terrain: That the city stands on.
        against: Whether it runs the other way.
        on_foot: Whether its gates are the kerbs, not the lines.

    Returns:
        The track.
    """
    start = np.array([path.xy[0, 0] - EXTENSION_M, aside[0]])
    corners, bends = [start], [np.inf]
    for junction in junctions:
        if junction.turn:
            arc, radius = _corner(junction, aside, radii)
            corners.extend(arc)
            bends.extend([np.inf, *[radius] * (len(arc) - 1)])
    # The end lies beside the end of the path, wherever that is on its road.
    onward = junctions[-1].onward
    left, axis = left_of(onward), int(abs(onward[1]) > 0.5)
    middle = np.rint(path.xy[-1] / style.pitch) * style.pitch
    corners.append(middle + aside[axis] * left + ((path.xy[-1] - middle) @ onward) * onward)
    bends.append(np.inf)
    points, radius_at = np.array(corners), np.array(bends)
    if against:
        # A bend's radius belongs to the segment before a corner.
        points, radius_at = points[::-1], np.concatenate([[np.inf], radius_at[:0:-1]])
    line = resampled(points, radius_at, np.zeros(len(points), bool), terrain)
    gates = [
        _gate(line, junction, style.half_road[1 - junction.axis], on_foot, crossing=False)
        for junction in junctions
        if junction.light is not None
    ]
    return Track(line, tuple(sorted(gates, key=lambda gate: gate.line)))


def track_across(
    junction: Junction,
    junctions: list[Junction],
    style: CityStyle,
    aside: float,
    direction: int,
    reach_m: float,
    terrain: Terrain,
    *,
    on_foot: bool = False,
) -> Track:
    """Lead a straight track along the road that crosses the car's way.

    Away from the way it meets the roads that cross the way's other legs: lights are there too.

    Args:
        junction: With a light.
        junctions: All of the way.
        style: Of the city.
        aside: How far left of the middle of that road, along the track [m].
        direction: 1 to cross the car's way from its right to its left, -1 the other way.
        reach_m: Length before and after the junction's middle [m].
        terrain: That the city stands on.
        on_foot: Whether its gates are the kerbs, not the lines.

    Returns:
        The track.
    """
    along = direction * left_of(junction.heading)
    middle = junction.place + aside * left_of(along)
    ends = np.array([middle - reach_m * along, middle + reach_m * along])
    line = resampled(ends, np.full(2, np.inf), np.zeros(2, bool), terrain)
    gates = [_gate(line, junction, style.half_road[junction.axis], on_foot, crossing=True)]
    for other in junctions:
        if other.light is not None and other.axis != junction.axis:
            # Both roads go by the light of the junction on the way's leg along x.
            meet = other.place.copy()
            meet[junction.axis] = junction.place[junction.axis]
            away = replace(other, place=meet, light=(junction, other)[junction.axis].light)
            half = style.half_road[1 - other.axis]
            gates.append(_gate(line, away, half, on_foot, crossing=junction.axis == 1))
    return Track(line, tuple(sorted(gates, key=lambda gate: gate.line)))


def _corner(
    junction: Junction, aside: tuple[float, float], radii: tuple[float, float]
) -> tuple[Float, float]:
    """Round a corner; give points (26, 2) and the radius of the turn."""
    axis, radius = junction.axis, radii[0] if junction.turn > 0 else radii[1]
    meet = (
        junction.place
        + aside[axis] * left_of(junction.heading)
        + aside[1 - axis] * left_of(junction.onward)
    )
    angles = np.linspace(0.0, np.pi / 2, 25)[:, None]
    arc = np.sin(angles) * junction.heading + (1 - np.cos(angles)) * junction.onward
    return meet - radius * junction.heading + radius * arc, radius


def _gate(path: Path, junction: Junction, half: float, on_foot: bool, crossing: bool) -> Gate:
    """Put a gate where a track meets the road of half width `half` that it crosses."""
    assert junction.light is not None
    yaw = path.yaw[round(nearest(path, junction.place) / STEP_M)]
    along = np.array([np.cos(yaw), np.sin(yaw)])
    before, after = (0.4, 0.4) if on_foot else (LINE_M, ZEBRA_M)
    line = nearest(path, junction.place - (half + before) * along)
    return Gate(
        line, nearest(path, junction.place + (half + after) * along), junction.light, crossing
    )
