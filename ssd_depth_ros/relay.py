"""From the thread that prepares to the thread that works, just in time."""

from collections.abc import Callable
from threading import Condition
import time
from typing import Generic, TypeVar

T = TypeVar('T')


class Relay(Generic[T]):
    """Keep one item ready for a busy worker, and that one as new as can be.

    Prepared as soon as the worker begins on the one before, an item would lie for the rest of that
    work and be old when its turn comes; prepared when the worker is free, it would keep it idle.
    So preparing starts when the work in hand is expected to last just as long: both take about as
    long as they did the last time.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start open, with a worker that is free.

        Args:
            clock: Seconds that never go back.
        """
        self._changed = Condition()
        self._clock = clock
        self._item: T | None = None
        self._began_s: float | None = None
        self._work_s = 0.0
        self._prepare_s = 0.0
        self._closed = False

    def wait_until_due(self) -> bool:
        """Wait until it is time to prepare the next item.

        Returns:
            Whether it is; False once the relay is closed.
        """
        with self._changed:
            while not self._closed and (remaining_s := self._due_in_s()) != 0.0:
                self._changed.wait(remaining_s)
            return not self._closed

    def put(self, item: T, prepare_s: float) -> None:
        """Leave the prepared item for the worker.

        Args:
            item: Anything but None.
            prepare_s: How long it took to prepare.
        """
        with self._changed:
            self._item, self._prepare_s = item, prepare_s
            self._changed.notify_all()

    def take(self) -> T | None:
        """Wait for an item; to ask for one says that the work on the last is done.

        Returns:
            The item, or None once the relay is closed.
        """
        with self._changed:
            if self._began_s is not None:
                self._work_s, self._began_s = self._clock() - self._began_s, None
                self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            if self._closed:
                return None
            item, self._item = self._item, None
            self._began_s = self._clock()
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let both threads go; an item that lies ready is left."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _due_in_s(self) -> float | None:
        """Tell how long not to prepare yet; None for until something changes."""
        if self._item is not None:
            return None
        if self._began_s is None:
            return 0.0
        done_s = self._began_s + self._work_s
        return max(done_s - self._prepare_s - self._clock(), 0.0)
