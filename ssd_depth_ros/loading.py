"""Load in a thread of its own, so that the one that waits can say so, and can give up."""

from collections.abc import Callable
from threading import Event, Thread
from typing import Generic, TypeVar

from ssd_depth_core.runtime.backends import Progress

T = TypeVar('T')


class LoadingCancelled(RuntimeError):
    """Nobody waits for what was being loaded any more."""


class Loading(Generic[T]):
    """Run a function that may take minutes, as the building of an engine does.

    It can be cancelled wherever it tells its progress. TensorRT does so hundreds of times a build.
    ONNX Runtime and OpenVINO never do; they load in a second or two, which is waited for. The
    thread is a daemon: if all else fails, the process ends without it.
    """

    def __init__(self, load: Callable[[Progress], T], report: Progress) -> None:
        """Start.

        Args:
            load: What to run; is given what it tells its progress to.
            report: Is told the progress, from another thread.
        """
        self._load, self._report = load, report
        self._cancelled = Event()
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

    def cancel(self, timeout_s: float) -> bool:
        """Ask for the end, and wait for it.

        Args:
            timeout_s: How long.

        Returns:
            Whether it has ended.
        """
        self._cancelled.set()
        return self.wait(timeout_s)

    def result(self) -> T:
        """Give what was loaded; to be asked for after the end.

        Returns:
            What the function returned. What it raised is raised here, `LoadingCancelled` where it
            was cancelled in time.
        """
        if self._error is not None:
            raise self._error
        assert self._loaded is not None
        return self._loaded

    def _run(self) -> None:
        try:
            self._loaded = self._load(self._tell)
        # Raised again where the result is asked for.
        except BaseException as error:
            self._error = error

    def _tell(self, phase: str, done: float) -> None:
        if self._cancelled.is_set():
            raise LoadingCancelled(f'loading was cancelled ({phase}, {done:.0%})')
        self._report(phase, done)
