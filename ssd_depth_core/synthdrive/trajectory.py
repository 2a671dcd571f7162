"""How the car moves: along lanes, around corners, slower there, and standing at some junctions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.world import CityStyle, LANE_WIDTH_M, parking_inset

STEP_M = 0.25
TURN_RADIUS_M = 6.0
"""Widest; it shrinks where the car would otherwise cut across the pavement."""
TIGHTEST_TURN_M = 3.0
KERB_CLEARANCE_M = 1.2
"""From the lane's middle to the kerb: half a car and a little."""
HALF_CAR_M = 0.95
HALF_PARKED_M = 1.55
"""Of the widest parked vehicle: a bus, 2.5 degrees askew."""
STOP_M = 9.5
"""From the rear axle to the crossing road: the bonnet (3.8 m) ends before the line (5.2 m)."""
TURN_MPS2 = 2.7
"""Sideways acceleration in a corner."""
ACCELERATION_MPS2 = 1.5
BRAKING_MPS2 = 2.0
SHORTEST_STAND_S = 0.5

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """Hold a curve on the ground, sampled every `STEP_M` of the world."""

    xy: Float
    """(N, 2) in street coordinates [m]."""
    yaw: Float
    """(N,) heading there, unwrapped [rad]."""
    radius: Float
    """(N,) of the curve in the world [m]; inf where it is straight."""
    stop: NDArray[np.bool_]
    """(N,) whether the car stands here for a while."""

    @property
    def length(self) -> float:
        """Give the length [m]."""
        return (len(self.xy) - 1) * STEP_M

    def at(self, s: float | Float) -> tuple[Float, Float]:
        """Give places along the curve.

        Args:
            s: Metres from the start, any shape; clamped to the curve.

        Returns:
            Street coordinates stacked, (..., 2) [m], and heading there (...) [rad].
        """
        grid = np.arange(len(self.xy)) * STEP_M
        x, y = (np.interp(s, grid, self.xy[:, axis]) for axis in (0, 1))
        return np.stack([x, y], -1), np.asarray(np.interp(s, grid, self.yaw))


@dataclass(frozen=True, slots=True)
class Motion:
    """Hold how far a car has come at M instants; between them its acceleration is constant."""

    time: Float
    """(M,) increasing, from 0 on [s]."""
    distance: Float
    """(M,) from the start of the path [m]."""
    speed: Float
    """(M,) [m/s]."""

    def at(self, t: float) -> tuple[float, float]:
        """Give where the car is.

        Args:
            t: Since the start [s]; clamped to the motion.

        Returns:
            Distance from the start of the path [m] and speed [m/s].
        """
        i = int(np.clip(np.searchsorted(self.time, t, 'right') - 1, 0, len(self.time) - 2))
        span = self.time[i + 1] - self.time[i]
        share = float(np.clip((t - self.time[i]) / span, 0.0, 1.0))
        gain = self.speed[i + 1] - self.speed[i]
        distance = self.distance[i] + span * (self.speed[i] * share + gain * share**2 / 2)
        return float(distance), float(self.speed[i] + gain * share)


def lane_offset(style: CityStyle, axis: int) -> float:
    """Say how far a lane lies from the middle of its road.

    Args:
        style: Of the city.
        axis: 0 for the roads along x, 1 for those along y.

    Returns:
        Half a lane, or less where parked vehicles reach into it [m].
    """
    half = style.half_road[axis]
    parked = half + parking_inset(half) - HALF_PARKED_M
    return min(LANE_WIDTH_M / 2, parked - HALF_CAR_M)


def draw_path(
    style: CityStyle, seed: int, length_m: float, lane_sign: int = 1, terrain: Terrain = FLAT
) -> Path:
    """Drive through the city, never turning back towards -x, so that the way does not meet itself.

    Args:
        style: Of the city: its grid and the side that traffic keeps.
        seed: Of the turns and stops.
        length_m: At least this long.
        lane_sign: 1 for the own lane, -1 for the lane of the traffic that comes towards it.
        terrain: That the city stands on.

    Returns:
        The curve, starting on the road along +x through the origin of the street coordinates.
    """
    rng = np.random.default_rng([style.seed, 5, seed])
    # To the left of the road's middle, by the axis of the road.
    offset = [lane_sign * style.drive_side * lane_offset(style, axis) for axis in (0, 1)]
    heading, node = np.array([1, 0]), np.array([0, 0])
    pitch = np.array(style.pitch)
    corners = [np.array([pitch[0] * rng.uniform(0.05, 0.4), offset[0]])]
    radii, stops, travelled = [np.inf], [False], 0.0

    def go(points: Float, radius: float, stands: bool = False) -> None:
        nonlocal travelled
        for point in points:
            travelled += float(np.hypot(*(point - corners[-1])))
            corners.append(point)
            radii.append(radius)
            stops.append(stands)

    while travelled < length_m:
        turn = int(rng.choice([0, 1, -1], p=[0.4, 0.3, 0.3]))
        turn = -turn if turn == heading[1] else turn
        stands = bool(rng.random() < 0.35)
        node = node + heading
        left = np.array([-heading[1], heading[0]])
        axis = int(heading[0] == 0)
        if stands:
            before = style.half_road[1 - axis] + STOP_M
            stop = node * pitch + offset[axis] * left - before * heading
            go(stop[None], np.inf, stands=True)
        if turn:
            onward = turn * left
            # Where the lanes meet, each `offset` to the left of its road's middle.
            meet = node * pitch + offset[axis] * left - turn * offset[1 - axis] * heading
            radius = turn_radius([style.half_road[i] - turn * offset[i] for i in (0, 1)])
            angles = np.linspace(0.0, np.pi / 2, 25)[:, None]
            arc = radius * (np.sin(angles) * heading + (1 - np.cos(angles)) * onward)
            begin = meet - radius * heading
            go(begin[None], np.inf)
            go((begin + arc)[1:], radius)
            heading = onward
        else:
            go((node * pitch + offset[axis] * left)[None], np.inf)
    return resampled(np.array(corners), np.array(radii), np.array(stops), terrain)


def turn_radius(kerbs: list[float]) -> float:
    """Choose the widest turn that clears a corner.

    Args:
        kerbs: How far the corner lies from the two lanes [m].

    Returns:
        Radius [m].
    """
    for radius in np.arange(TURN_RADIUS_M, TIGHTEST_TURN_M, -0.25):
        # The circle's middle lies `radius` from both lanes, on the corner's side.
        to_corner = np.hypot(max(radius - kerbs[0], 0.0), max(radius - kerbs[1], 0.0))
        if radius - to_corner >= KERB_CLEARANCE_M:
            return float(radius)
    return TIGHTEST_TURN_M


def resampled(
    points: Float, radii: Float, stops: NDArray[np.bool_], terrain: Terrain = FLAT
) -> Path:
    """Sample a polyline every `STEP_M` of the world.

    Args:
        points: (n, 2) corners in street coordinates [m].
        radii: (n,) of the curve from the corner before to this one [m]; inf where it is straight.
        stops: (n,) whether the car stands at this corner.
        terrain: That the street coordinates belong to.

    Returns:
        The curve.
    """
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    grid, at_stops = np.arange(0.0, length[-1], STEP_M), length[stops]
    if not terrain.flat:
        fine = np.stack([np.interp(grid, length, points[:, axis]) for axis in (0, 1)], -1)
        places, _ = terrain.frames(fine, np.zeros(len(fine)))
        steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
        travelled = np.concatenate([[0.0], np.cumsum(steps)])
        at_stops = np.interp(at_stops, grid, travelled)
        grid = np.interp(np.arange(0.0, travelled[-1], STEP_M), travelled, grid)
    xy = np.stack([np.interp(grid, length, points[:, axis]) for axis in (0, 1)], -1)
    tangent = np.gradient(xy, axis=0)
    yaw = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
    radius = radii[np.searchsorted(length, grid)]
    stop = np.zeros(len(grid), bool)
    samples = np.rint(at_stops / STEP_M).astype(int)
    stop[samples[samples < len(grid)]] = True
    if not terrain.flat:
        heading = terrain.tangent(*terrain.to_world(*xy.T), yaw)
        swing = np.unwrap(np.arctan2(heading[:, 1], heading[:, 0])) - yaw
        radius = 1.0 / (1.0 / radius + np.abs(np.gradient(swing, STEP_M)))
    return Path(xy, yaw, radius, stop)


def drive_along(path: Path, seed: int) -> Motion:
    """Drive along a path as the engine, the brakes and the corners allow.

    Args:
        path: The curve.
        seed: Of cruising speed and waits.

    Returns:
        The motion over the whole path, at cruising speed where it begins.
    """
    rng = np.random.default_rng([seed, 6])
    speed, sample = _speed_profile(path, rng.uniform(7.0, 12.0))
    # Half of the waits are short, the others as long as a red light's.
    wait = 1.0 + 14.0 * rng.random(len(sample)) ** 3
    step = np.where(np.diff(sample) > 0, _steps(speed, sample), wait[1:])
    times: Float = np.concatenate([[0.0], np.cumsum(step)])
    return Motion(times, np.asarray(sample * STEP_M, np.float64), speed[sample])


def drive_ahead(path: Path, behind: Motion, headway_s: float, lead_s: float) -> Motion:
    """Drive before another car, leaving every stop a little earlier than it.

    Args:
        path: With the stops of the car ahead, one for each stand of the other.
        behind: Motion of the car that follows.
        headway_s: By how much it leaves stops before the other.
        lead_s: By how much it begins before the other.

    Returns:
        The motion over the whole path; it begins at `-lead_s`.
    """
    speed, sample = _speed_profile(path, float(behind.speed.max()))
    times: Float = np.concatenate([[0.0], np.cumsum(_steps(speed, sample))]) - lead_s
    departures = behind.time[1:][np.diff(behind.distance) == 0] - headway_s
    for departure, i in zip(departures, np.flatnonzero(np.diff(sample) == 0), strict=True):
        times[i + 1 :] += max(departure - times[i], SHORTEST_STAND_S)
    return Motion(times, np.asarray(sample * STEP_M, np.float64), speed[sample])


def attainable(speed: Float) -> Float:
    """Lower speeds until engine and brakes can follow them.

    Args:
        speed: (N,) wanted every `STEP_M` [m/s].

    Returns:
        (N,) [m/s].
    """
    speed = speed.copy()
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + 2 * ACCELERATION_MPS2 * STEP_M))
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + 2 * BRAKING_MPS2 * STEP_M))
    return speed


def _speed_profile(path: Path, cruise: float) -> tuple[Float, NDArray[np.int64]]:
    """Give the speed at every sample, and the samples in turn: once, but stops twice."""
    speed = np.minimum(cruise, np.sqrt(TURN_MPS2 * path.radius))
    speed[path.stop] = 0.0
    # A stop comes twice: when the car arrives there and when it leaves.
    return attainable(speed), np.repeat(np.arange(len(speed)), 1 + path.stop)


def _steps(speed: Float, sample: NDArray[np.int64]) -> Float:
    """Say how long each step from sample to sample takes, 0 for a stand [s]."""
    mean = (speed[sample][1:] + speed[sample][:-1]) / 2
    return np.asarray(np.diff(sample) * STEP_M / np.maximum(mean, 1e-9))
