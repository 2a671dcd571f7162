"""Load in a thread of its own, so that the one that waits can say so."""

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar('T')


class Loading(Generic[T]):
    """Run a function that may take minutes, as the building of an engine does.

    The thread is a daemon: an interrupt ends the process without it.
    """

    def __init__(self, load: Callable[[], T]) -> None:
        """Start.

        Args:
            load: What to run.
        """
        self._load = load
        self._loaded: T | None = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name='depth_loader', daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end.

        Args:
            timeout_s: How long.

        Returns:
            Whether it has ended.
        """
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def result(self) -> T:
        """Give what was loaded; to be asked for after the end.

        Returns:
            What the function returned. What it raised is raised here.
        """
        if self._error is not None:
            raise self._error
        assert self._loaded is not None
        return self._loaded

    def _run(self) -> None:
        try:
            self._loaded = self._load()
        # Raised again where the result is asked for.
        except BaseException as error:
            self._error = error
