"""TensorRT-RTX on a GeForce or RTX PC: installs with pip, and builds in seconds."""

from pathlib import Path

from ssd_depth_core.runtime.backends.tensorrt import open_backend, TensorRtBackend


def load(path: Path, num_threads: int | None) -> TensorRtBackend:
    """Load an ONNX file with TensorRT-RTX, one picture a call, from the user's engine cache.

    Args:
        path: The file, its ModelSpec beside it.
        num_threads: Without meaning on a GPU.

    Returns:
        The backend, ready to run.

    Raises:
        ImportError: If TensorRT-RTX is not installed, or too old.
        OSError: If there is no driver or GPU, or the engine cache cannot be trusted.
        ValueError: If TensorRT-RTX cannot build the file.
    """
    return open_backend('tensorrt_rtx', path)
