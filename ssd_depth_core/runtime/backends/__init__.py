"""The engines that can run an ONNX depth network, behind one small protocol."""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

BackendName = Literal['auto', 'openvino', 'onnxruntime', 'tensorrt', 'tensorrt_rtx']
Shape = tuple[int | None, ...]
"""Of a network's input or output; None where an axis is free."""
Progress = Callable[[str, float], None]
"""Is told a phase of a build and the share of it that is done, in [0, 1]; from any thread. What it
raises stops the build."""

# In the order of preference on a CPU: OpenVINO is up to 1.4 times as fast in float32.
_ORDER: tuple[BackendName, ...] = ('openvino', 'onnxruntime')


class Backend(Protocol):
    """Hold one loaded network; calls must not overlap."""

    name: str
    """As in `BackendName`."""
    device: str
    """What it runs on, for people to read."""
    inputs: dict[str, Shape]
    """Shape of each input by name."""
    outputs: dict[str, Shape]
    """Shape of each output by name."""

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network once.

        Args:
            image: (B, 3, H, W) float32, normalised.

        Returns:
            Each output by name; valid until the next call, copy what must last.
        """
        ...


def choose_backend(name: BackendName) -> BackendName:
    """Decide which engine a name stands for.

    Args:
        name: Which engine; 'auto' takes OpenVINO where it is installed, else ONNX Runtime.

    Returns:
        A name other than 'auto'.

    Raises:
        ImportError: If none is installed.
        ValueError: If there is no engine of that name.
    """
    if name not in get_args(BackendName):
        raise ValueError(
            f'backend must be one of {", ".join(get_args(BackendName))}, got {name!r}'
        )
    if name != 'auto':
        return name
    for candidate in _ORDER:
        if find_spec(candidate) is not None:
            return candidate
    raise ImportError(
        'no engine for ONNX files is installed; `pip install onnxruntime` (any CPU) or '
        '`pip install openvino` (faster on x86) brings one'
    )


def load_backend(
    name: BackendName,
    path: Path,
    num_threads: int | None,
    max_batch: int = 1,
    progress: Progress | None = None,
) -> Backend:
    """Load an ONNX file into an engine.

    Args:
        name: Which engine; 'auto' takes OpenVINO where it is installed, else ONNX Runtime.
        path: The ONNX file.
        num_threads: CPU threads of the engine; None leaves the number to the engine.
        max_batch: Images of one call that an engine is compiled for, where engines are compiled.
        progress: Is told of such a compilation, which takes seconds to minutes.

    Returns:
        The engine, ready to run, on any number of images where the file's batch axis is free.

    Raises:
        ImportError: If the engine is not installed.
        OSError: If there is no driver or GPU, or compiled engines cannot be trusted.
        ValueError: If there is no engine of that name, a number is below 1, or the engine cannot
            read the file.
    """
    if num_threads is not None and num_threads < 1:
        raise ValueError(f'num_threads must be >= 1, or None for all cores, got {num_threads}')
    if max_batch < 1:
        raise ValueError(f'max_batch must be >= 1, got {max_batch}')
    chosen = choose_backend(name)
    try:
        module = import_module(f'{__name__}.{chosen}')
    except ImportError as error:
        raise ImportError(
            f'backend {chosen} cannot be imported ({error}); `pip install {chosen}` brings it'
        ) from error
    backend: Backend = module.load(
        path, num_threads=num_threads, max_batch=max_batch, progress=progress
    )
    return backend
