"""How traffic on one track moves: each follows the one before it and waits at red lights.

Reference: Treiber, Hennecke and Helbing, Congested traffic states in empirical observations and
microscopic simulations, 2000, arXiv cond-mat/0002177 (the intelligent driver model).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.junctions import Gate, Track
from ssd_depth_core.synthdrive.trajectory import attainable, STEP_M, TURN_MPS2

STEP_S = 0.1
COMFORTABLE_MPS2 = 2.0
"""Braking as drivers like it."""
HARD_MPS2 = 4.0
"""Braking at a light that turns red; nearer to the line they go on."""
HARDEST_MPS2 = 7.0
SPARE_S = 1.5
"""Who enters a junction has at least this much more time than needed to leave it."""

Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Temper:
    """Hold how a kind of traffic moves."""

    cruise: tuple[float, float]
    """Slowest and fastest wanted speed [m/s]."""
    acceleration: float
    """[m/s^2]"""
    gap_m: float
    """To the one before, when both stand [m]."""
    headway_s: float
    """To the one before, added at speed [s]."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Hold where N things on one track are at M instants."""

    track: Track
    begin_s: float
    """The first instant; the others follow every `STEP_S`."""
    distance: Float
    """(M, N) of their middles along the track, which may lie beyond its ends [m]."""
    length: Float
    """(N,) from front to rear [m]."""

    def at(self, t: float) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Give where everything is.

        Args:
            t: Since the car set out [s].

        Returns:
            Places (N, 2) [m] and headings (N,) [rad] on the sheet, and who is there at all (N,).
        """
        # A recording may ask for a little more than the simulated time: then time stands.
        step = float(np.clip((t - self.begin_s) / STEP_S, 0.0, len(self.distance) - 1.001))
        i = int(step)
        s = self.distance[i] + (step - i) * (self.distance[i + 1] - self.distance[i])
        # Both axles lie on the track, as those of a long vehicle do in a bend.
        half_base = 0.3 * self.length
        (rear, _), (front, _) = (self.track.path.at(s + side * half_base) for side in (-1, 1))
        xy, along = (front + rear) / 2, front - rear
        yaw = np.arctan2(along[:, 1], along[:, 0])
        covers = self.begin_s <= t <= self.begin_s + STEP_S * (len(self.distance) - 1)
        return xy, yaw, (s >= 0) & (s <= self.track.path.length) & covers


def follow(
    track: Track,
    temper: Temper,
    length: Float,
    start: Float,
    cruise: Float,
    window_s: tuple[float, float],
    leader: Float | None = None,
) -> Stream:
    """Let things move along a track.

    Args:
        track: Theirs.
        temper: How they move.
        length: (N,) from front to rear [m].
        start: (N,) of their middles at the beginning, the foremost first [m].
        cruise: (N,) wanted speeds, also those that they begin with [m/s].
        window_s: The first and the last instant [s].
        leader: (M,) where the rear of what drives before the first of them is at every step; None
            where nothing does [m].

    Returns:
        The stream.
    """
    path = track.path
    count = int(np.ceil((window_s[1] - window_s[0]) / STEP_S)) + 2
    allowed = attainable(np.minimum(30.0, np.sqrt(TURN_MPS2 * path.radius)))
    grid = np.arange(len(allowed)) * STEP_M
    before = np.full(count, np.inf) if leader is None else leader
    s, v = start.copy(), np.minimum(cruise, np.interp(start, grid, allowed))
    distance = np.empty((count, len(s)))
    for m in range(count):
        distance[m] = s
        rear = np.concatenate([before[m : m + 1], (s - length / 2)[:-1]])
        pace = 0.0 if m == 0 or leader is None else (before[m] - before[m - 1]) / STEP_S
        pace_ahead = np.concatenate([[pace], v[:-1]])
        wanted = np.minimum(cruise, np.interp(s + length / 2, grid, allowed))
        obstacle, its_pace = rear - s - length / 2, pace_ahead
        gain = _gain(temper, v, wanted, obstacle, its_pace)
        t = window_s[0] + m * STEP_S
        to_line = _to_closed_line(track.gates, temper, t, s, v, length, cruise, rear, pace_ahead)
        # They stand half a metre before the line, not a whole gap.
        gain = np.minimum(gain, _gain(temper, v, wanted, to_line + temper.gap_m - 0.5, 0.0 * v))
        faster = np.maximum(v + STEP_S * np.clip(gain, -HARDEST_MPS2, temper.acceleration), 0.0)
        s, v = s + STEP_S * (v + faster) / 2, faster
    return Stream(track, window_s[0], distance, length)


def _gain(temper: Temper, v: Float, wanted: Float, gap: Float, pace: Float) -> Float:
    """Give the acceleration behind an obstacle `gap` ahead that moves at `pace` [m/s^2]."""
    a = temper.acceleration
    closing = v * (v - pace) / (2 * np.sqrt(a * COMFORTABLE_MPS2))
    keep = temper.gap_m + np.maximum(0.0, v * temper.headway_s + closing)
    free = a * (1 - (v / np.maximum(wanted, 0.1)) ** 4)
    return np.asarray(np.maximum(free, -COMFORTABLE_MPS2) - a * (keep / np.maximum(gap, 0.1)) ** 2)


def _to_closed_line(
    gates: tuple[Gate, ...],
    temper: Temper,
    t: float,
    s: Float,
    v: Float,
    length: Float,
    cruise: Float,
    rear: Float,
    pace: Float,
) -> Float:
    """Give the way to the next line where each has to wait [m]; inf where it may go on."""
    to_line = np.full(len(s), np.inf)
    for gate in gates:
        away = gate.line - s - length / 2
        # Who has crossed the line, or cannot stop before it, goes on.
        comes = (away > v**2 / (2 * HARD_MPS2)) & (away < 80.0)
        if not comes.any():
            continue
        leave = _duration(gate.exit - s + length / 2, v, cruise, 0.7 * temper.acceleration)
        late = gate.light.remaining(t, gate.crossing) < leave + SPARE_S
        # Never stand in the junction behind others who stand beyond it.
        full = (rear < gate.exit + length + temper.gap_m) & (rear > gate.line) & (pace < 2.0)
        to_line = np.where(comes & (late | full), np.minimum(to_line, away), to_line)
    return to_line


def _duration(way: Float, v: Float, cruise: Float, acceleration: float) -> Float:
    """Say how long a way takes from speed `v` on [s]."""
    speeding = np.maximum(cruise - v, 0.0) / acceleration
    ramp = v * speeding + acceleration * speeding**2 / 2
    soon = (np.sqrt(v**2 + 2 * acceleration * np.maximum(way, 0.0)) - v) / acceleration
    return np.where(way < ramp, soon, speeding + (way - ramp) / cruise)
