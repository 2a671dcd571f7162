"""What became of the images: exact counts since activation, times over a sliding window."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from threading import Lock
import time

import numpy as np

WINDOW_S = 10.0
"""Of the rates and percentiles: long enough for a p99 at camera rates, short enough to be live."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Hold the figures of one moment.

    `frames_in` is the sum of `frames_out`, `dropped`, `faulty`, `skipped` and, at most, the three
    images in the mailbox, ready for the network, and in it.
    """

    frames_in: int
    """Images received."""
    frames_out: int
    """Images whose outputs were published."""
    dropped: int
    """Images replaced by a newer one before the worker was free."""
    faulty: int
    """Images that could not be used."""
    skipped: int
    """Images left out because nobody subscribed."""
    rate_in_hz: float
    """Images received a second, over the window."""
    rate_out_hz: float
    """Images published a second, over the window."""
    dropped_lately: int
    """Of `dropped`, those in the window."""
    times_ms: dict[str, tuple[float, float]]
    """p50 and p99 over the window by name: `age` (publication minus stamp, by the node's clock),
    `receive` (receipt minus stamp), `latency` (receipt to publication) and each stage; only those
    that have been measured."""


MAX_AGE_S = 3600.0
"""No image is processed this late: its stamp is of another clock, as that of a bag without
`use_sim_time`."""


def total(reports: Sequence[Report]) -> Report:
    """Sum up several cameras.

    Args:
        reports: One a camera, at least one.

    Returns:
        Sums of counts and rates; of the times, each the worst of all cameras.
    """
    names = dict.fromkeys(name for report in reports for name in report.times_ms)
    times = [[r.times_ms[name] for r in reports if name in r.times_ms] for name in names]
    sums = {
        item.name: sum(getattr(report, item.name) for report in reports)
        for item in fields(Report)
        if item.name != 'times_ms'
    }
    worst = {
        name: (max(p50 for p50, _ in pairs), max(p99 for _, p99 in pairs))
        for name, pairs in zip(names, times, strict=True)
    }
    return Report(**sums, times_ms=worst)


class Statistics:
    """Count and time frames; every method may be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at zero.

        Args:
            clock: Seconds that never go back.
        """
        self._clock = clock
        self._lock = Lock()
        self._counts = {'frames_in': 0, 'frames_out': 0, 'faulty': 0, 'skipped': 0}
        self._dropped = 0
        self.reset_window()

    def reset_window(self) -> None:
        """Forget times and rates, as after a jump of the clock; the counts stay."""
        with self._lock:
            self._in: deque[float] = deque()
            self._drops: deque[tuple[float, int]] = deque()
            self._out: deque[tuple[float, dict[str, float]]] = deque()
            self._since = self._clock()

    def received(self) -> None:
        """Count an image in."""
        with self._lock:
            self._counts['frames_in'] += 1
            self._in.append(self._clock())

    def skipped(self) -> None:
        """Count an image that nobody wanted."""
        with self._lock:
            self._counts['skipped'] += 1

    def faulty(self) -> None:
        """Count an image that could not be used."""
        with self._lock:
            self._counts['faulty'] += 1

    def published(self, seconds: dict[str, float]) -> None:
        """Count an image out.

        Args:
            seconds: By name of the stage; an `age` below zero or above `MAX_AGE_S` is left out,
                for the stamp is then of another clock.
        """
        with self._lock:
            self._counts['frames_out'] += 1
            kept = {name: value for name, value in seconds.items() if 0 <= value <= MAX_AGE_S}
            self._out.append((self._clock(), kept))

    def report(self, dropped: int) -> Report:
        """Sum up.

        Args:
            dropped: The mailbox's count.

        Returns:
            The figures of now.
        """
        with self._lock:
            now = self._clock()
            if dropped > self._dropped:
                self._drops.append((now, dropped - self._dropped))
                self._dropped = dropped
            start = now - WINDOW_S
            while self._in and self._in[0] < start:
                self._in.popleft()
            for window in (self._out, self._drops):
                while window and window[0][0] < start:
                    window.popleft()
            span = max(min(now - self._since, WINDOW_S), 1e-3)
            times: dict[str, list[float]] = {}
            for _, seconds in self._out:
                for name, value in seconds.items():
                    times.setdefault(name, []).append(value * 1e3)
            return Report(
                **self._counts,
                dropped=dropped,
                rate_in_hz=len(self._in) / span,
                rate_out_hz=len(self._out) / span,
                dropped_lately=sum(count for _, count in self._drops),
                times_ms={
                    name: tuple(np.percentile(values, (50, 99)).tolist())
                    for name, values in times.items()
                },
            )
