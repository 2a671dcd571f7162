"""How the car moves: along lanes, around corners, slower there, and standing at some junctions."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.world import CityStyle, LANE_WIDTH_M

STEP_M = 0.25
TURN_RADIUS_M = 6.0
TURN_SPEED_MPS = 4.0
ACCELERATION_MPS2 = 1.5
BRAKING_MPS2 = 2.0
CRAWL_MPS = 0.3
"""Slowest speed of the profile; standing is added as time, not as speed 0."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Path:
    """Hold a curve on the ground, sampled every `STEP_M`."""

    xy: Float
    """(N, 2) in the world [m]."""
    yaw: Float
    """(N,) heading, unwrapped [rad]."""
    corner: NDArray[np.bool_]
    """(N,) whether the car turns here."""
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
            x and y stacked, (..., 2) [m], and heading (...) [rad].
        """
        grid = np.arange(len(self.xy)) * STEP_M
        x, y = (np.interp(s, grid, self.xy[:, axis]) for axis in (0, 1))
        return np.stack([x, y], -1), np.asarray(np.interp(s, grid, self.yaw))


def draw_path(style: CityStyle, seed: int, length_m: float, lane_sign: int = 1) -> Path:
    """Drive through the city.

    Args:
        style: Of the city: its grid and the side that traffic keeps.
        seed: Of the turns and stops.
        length_m: At least this long.
        lane_sign: 1 for the own lane, -1 for the lane of the traffic that comes towards it.

    Returns:
        The curve, starting on the road along +x through the world's origin.
    """
    rng = np.random.default_rng([style.seed, 5, seed])
    offset = lane_sign * style.drive_side * LANE_WIDTH_M / 2
    heading, node = np.array([1, 0]), np.array([0, 0])
    pitch = np.array(style.pitch)
    start = np.array([pitch[0] * rng.uniform(0.05, 0.4), offset])
    points, corners, stops = [start], [False], [False]
    while len(points) * STEP_M < length_m:
        turn = int(rng.choice([0, 1, -1], p=[0.4, 0.3, 0.3]))
        stands = bool(rng.random() < 0.35)
        node = node + heading
        left = np.array([-heading[1], heading[0]])
        half_crossed = style.half_road[1] if heading[0] else style.half_road[0]
        onward = heading if turn == 0 else turn * left
        left_onward = np.array([-onward[1], onward[0]])
        # Where the lanes meet: each lies `offset` to the left of its road's middle.
        meet = node * pitch + offset * left + (offset * left_onward if turn else 0.0)
        gap = TURN_RADIUS_M if turn else 0.0
        distance = float((meet - points[-1]) @ heading) - gap
        line = points[-1] + np.arange(STEP_M, distance, STEP_M)[:, None] * heading
        wait = np.zeros(len(line), bool)
        if stands and len(line):
            to_stop = distance + gap - half_crossed - 5.5
            wait[int(np.clip(to_stop / STEP_M, 0, len(line) - 1))] = True
        points.extend(line)
        corners.extend([False] * len(line))
        stops.extend(wait)
        if turn:
            angles = np.arange(STEP_M / TURN_RADIUS_M, np.pi / 2, STEP_M / TURN_RADIUS_M)
            begin = meet - TURN_RADIUS_M * heading
            arc = (
                begin
                + TURN_RADIUS_M * np.sin(angles)[:, None] * heading
                + TURN_RADIUS_M * (1 - np.cos(angles))[:, None] * onward
            )
            points.extend(arc)
            corners.extend([True] * len(arc))
            stops.extend([False] * len(arc))
        heading = onward
    xy = np.array(points)
    tangent = np.gradient(xy, axis=0)
    yaw = np.unwrap(np.arctan2(tangent[:, 1], tangent[:, 0]))
    return Path(xy, yaw, np.array(corners), np.array(stops))


def times_along(path: Path, seed: int) -> Float:
    """Give when the car passes each sample of a path.

    Args:
        path: The curve.
        seed: Of cruising speed and waits.

    Returns:
        (N,) seconds from the start, increasing; a wait shows as a long step.
    """
    rng = np.random.default_rng([seed, 6])
    limit = np.where(path.corner, TURN_SPEED_MPS, rng.uniform(7.0, 12.0))
    limit = np.where(path.stop, CRAWL_MPS, limit)
    speed = limit.copy()
    for i in range(1, len(speed)):  # cannot speed up faster than the engine allows
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + 2 * ACCELERATION_MPS2 * STEP_M))
    for i in range(len(speed) - 2, -1, -1):  # nor slow down faster than the brakes allow
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + 2 * BRAKING_MPS2 * STEP_M))
    step = STEP_M / ((speed[1:] + speed[:-1]) / 2)
    waits = np.where(path.stop[1:], rng.uniform(1.0, 3.0, len(step)), 0.0)
    return np.concatenate([[0.0], np.cumsum(step + waits)])
