"""One slot a camera between threads: the newest item wins, and what it replaces is counted."""

from collections.abc import Callable, Iterable
from threading import Condition
import time
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Hand the newest items of several slots, as one batch, from any thread to one worker.

    A queue would make every frame late once the worker is slower than the cameras; one slot each
    keeps the age of what is worked on below two frame times.

    A batch is due when every awaited slot is full. A slot that a batch left without is not awaited
    until something comes for it, so that a silent camera makes the others wait once, not always.
    """

    def __init__(
        self, slots: Iterable[str] = ('',), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start open and empty, with every slot awaited.

        Args:
            slots: Their names.
            clock: Seconds that never go back.
        """
        self._changed = Condition()
        self._clock = clock
        self._items: dict[str, T] = {}
        self._since = 0.0
        self._dropped = dict.fromkeys(slots, 0)
        self._awaited = set(self._dropped)
        self._closed = False

    def dropped(self, slot: str = '') -> int:
        """Count what never reached the worker.

        Args:
            slot: Its name.

        Returns:
            How many items were replaced before the worker took them, or left when it closed.
        """
        with self._changed:
            return self._dropped[slot]

    def put(self, item: T, slot: str = '') -> None:
        """Leave an item, in place of one not yet taken. After `close` it counts as dropped.

        Args:
            item: Anything.
            slot: Its name.
        """
        with self._changed:
            if self._closed or slot in self._items:
                self._dropped[slot] += 1
            if self._closed:
                return
            if not self._items:
                self._since = self._clock()
            self._items[slot] = item
            self._awaited.add(slot)
            self._changed.notify()

    def take(self, timeout_s: float = 0.0) -> dict[str, T] | None:
        """Wait for a batch.

        Args:
            timeout_s: How long its first item waits for those of the other slots.

        Returns:
            The newest items by slot, at least one; or None once the mailbox is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._items)
            remaining_s = self._since + timeout_s - self._clock()
            self._changed.wait_for(
                lambda: self._closed or self._awaited <= self._items.keys(), max(remaining_s, 0.0)
            )
            if self._closed:
                return None
            batch, self._items = self._items, {}
            self._awaited = set(batch)
            return batch

    def close(self) -> None:
        """Let the worker go; items still in their slots are dropped."""
        with self._changed:
            for slot in self._items:
                self._dropped[slot] += 1
            self._items, self._closed = {}, True
            self._changed.notify_all()
