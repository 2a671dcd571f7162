"""One slot between two threads: the newest item wins, and what it replaces is counted."""

from threading import Condition
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Hand the newest item from any thread to one worker.

    A queue would make every frame late once the worker is slower than the camera; one slot keeps
    the age of what is worked on below two frame times.
    """

    def __init__(self) -> None:
        """Start open and empty."""
        self._changed = Condition()
        self._item: T | None = None
        self._closed = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were replaced before the worker took them, or left when it closed."""
        with self._changed:
            return self._dropped

    def put(self, item: T) -> None:
        """Leave an item, in place of one not yet taken. After `close` it counts as dropped.

        Args:
            item: Anything but None.
        """
        with self._changed:
            if self._closed or self._item is not None:
                self._dropped += 1
            if not self._closed:
                self._item = item
                self._changed.notify()

    def take(self) -> T | None:
        """Wait for an item.

        Returns:
            The newest item, or None once the mailbox is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Let the worker go; an item still in the slot is dropped."""
        with self._changed:
            if self._item is not None:
                self._dropped += 1
            self._item, self._closed = None, True
            self._changed.notify_all()
