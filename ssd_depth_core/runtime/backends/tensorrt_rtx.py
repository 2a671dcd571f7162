"""TensorRT-RTX on a GeForce or RTX PC: installs with pip, and builds in seconds."""

from pathlib import Path

from ssd_depth_core.runtime.backends import Progress
from ssd_depth_core.runtime.backends.tensorrt import open_backend
from ssd_depth_core.runtime.backends.tensorrt_backend import TensorRtBackend
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions


def load(
    path: Path, *, num_threads: int | None, max_batch: int, progress: Progress | None
) -> TensorRtBackend:
    """Load an ONNX file with TensorRT-RTX, its engines in the user's cache.

    Args:
        path: The file, its ModelSpec beside it.
        num_threads: Without meaning on a GPU.
        max_batch: Pictures of one network call; more are done in several.
        progress: Is told of a build.

    Returns:
        The backend, ready to run.

    Raises:
        ImportError: If TensorRT-RTX is not installed, or too old.
        OSError: If there is no driver or GPU, or the engine cache cannot be trusted.
        ValueError: If TensorRT-RTX cannot build the file.
    """
    options = BuildOptions(max_batch=max_batch)
    return open_backend('tensorrt_rtx', path, options, progress=progress)
