"""NVIDIA's library, found in whichever form a machine has it.

`tensorrt` comes with JetPack (10.3 on JetPack 6) and from NVIDIA's repositories; `tensorrt_rtx`,
its form for GeForce and RTX PCs, installs with pip. All that is used of them here has the same
name and meaning in TensorRT 10.3 to 11.4 and in TensorRT-RTX; where one of them has more, it is
asked for by `hasattr`.
"""

from dataclasses import dataclass
from importlib import import_module
import logging
import re
from typing import Any, Literal

LibraryName = Literal['tensorrt', 'tensorrt_rtx']

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    title: str
    oldest: tuple[int, int]
    remedy: str


_FORMS: dict[LibraryName, _Form] = {
    'tensorrt': _Form(
        title='TensorRT',
        oldest=(10, 3),  # JetPack 6's; before 10.0, networks are not strongly typed
        remedy='on a Jetson `sudo apt install nvidia-jetpack`, elsewhere TensorRT 10.3 or later '
        'from NVIDIA, and a virtual environment made with --system-site-packages',
    ),
    'tensorrt_rtx': _Form(
        title='TensorRT-RTX',
        oldest=(1, 4),  # the first on the Python registry
        remedy='on an RTX PC `pip install tensorrt-rtx` brings it; Jetsons have tensorrt instead',
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """Hold an imported TensorRT and the log that it writes to."""

    name: LibraryName
    """Which form."""
    title: str
    """As NVIDIA writes it."""
    version: str
    """In full."""
    trt: Any
    """The module."""
    logger: Any
    """A `trt.ILogger`; what goes wrong is told there and nowhere else."""
    errors: list[str]
    """What the logger was told since `take_errors`."""

    def take_errors(self) -> str:
        """Give the errors logged so far, and forget them.

        Returns:
            One line.
        """
        text = '; '.join(' '.join(error.split()) for error in self.errors)
        self.errors.clear()
        return text or 'TensorRT gives no reason'

    def create(self, class_name: str) -> Any:
        """Make a `Builder` or a `Runtime`, which need a driver where the library does.

        Args:
            class_name: Which of the two.

        Returns:
            The object.

        Raises:
            OSError: If TensorRT cannot be started on this machine.
        """
        try:
            return getattr(self.trt, class_name)(self.logger)
        except (TypeError, RuntimeError):  # pybind's words for a null pointer say nothing
            raise OSError(
                f'{self.title} {self.version} cannot start on this machine '
                f'({self.take_errors()}); check the NVIDIA driver with `nvidia-smi`'
            ) from None


def load_library(name: LibraryName) -> Library:
    """Import a TensorRT.

    Args:
        name: Which form.

    Returns:
        The library.

    Raises:
        ImportError: If it is not installed, or too old.
    """
    form = _FORMS[name]
    try:
        trt: Any = import_module(name)
    except ImportError as error:
        raise ImportError(f'{form.title} cannot be imported ({error}); {form.remedy}') from error
    version = getattr(trt, '__version__', 'none')  # e.g. a folder of that name
    number = re.match(r'(\d+)\.(\d+)', version)
    if number is None or tuple(map(int, number.groups())) < form.oldest:
        raise ImportError(
            f'{form.title} must be {".".join(map(str, form.oldest))} or later, got {version}; '
            f'{form.remedy}'
        )
    errors: list[str] = []
    return Library(
        name=name,
        title=form.title,
        version=version,
        trt=trt,
        logger=_logger(trt, errors),
        errors=errors,
    )


def _logger(trt: Any, errors: list[str]) -> Any:
    """Send TensorRT's log to Python's, its errors also to a list."""
    severities = trt.ILogger.Severity
    levels = {
        severities.INTERNAL_ERROR: logging.ERROR,
        severities.ERROR: logging.ERROR,
        severities.WARNING: logging.WARNING,
    }

    class Logger(trt.ILogger):  # type: ignore[misc]
        def log(self, severity: Any, message: str) -> None:
            level = levels.get(severity, logging.DEBUG)
            if level == logging.ERROR:
                errors.append(message)
            # Its errors end up in an exception's text; told twice, they would look like two.
            _log.log(logging.INFO if level >= logging.WARNING else level, message)

    return Logger()
