"""OpenVINO on the CPU: the fastest engine on x86."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import openvino
from ssd_depth_core.runtime.backends import Shape


class OpenVinoBackend:
    """Run a network with OpenVINO."""

    name = 'openvino'

    def __init__(self, model: openvino.CompiledModel) -> None:
        """Wrap a compiled model.

        Args:
            model: The network.
        """
        self._request = model.create_infer_request()
        self.inputs = {port.any_name: _shape(port.partial_shape) for port in model.inputs}
        self.outputs = {port.any_name: _shape(port.partial_shape) for port in model.outputs}

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network once.

        Args:
            image: (B, 3, H, W) float32, normalised.

        Returns:
            Each output by name; views of the engine's memory, which the next call overwrites.
        """
        results = self._request.infer([image], share_inputs=True, share_outputs=True)
        return {name: results[name] for name in self.outputs}


def load(path: Path, num_threads: int | None) -> OpenVinoBackend:
    """Load an ONNX file.

    Args:
        path: The file.
        num_threads: For one inference; None for all cores.

    Returns:
        The backend, ready to run.

    Raises:
        ValueError: If OpenVINO cannot read the file.
    """
    # float32 by name: where it may choose, OpenVINO takes a 16-bit type, which costs accuracy and,
    # on a CPU that must emulate it, was measured 33 times slower. No cache: compiling takes about
    # a second, and a stale cache is hard to see.
    options = {
        'PERFORMANCE_HINT': 'LATENCY',
        'INFERENCE_PRECISION_HINT': 'f32',
        'CACHE_DIR': '',
    }
    if num_threads is not None:
        options['INFERENCE_NUM_THREADS'] = str(num_threads)
    core = openvino.Core()
    try:
        model = core.compile_model(core.read_model(path), 'CPU', options)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())  # it comes in many lines; a log wants one
        raise ValueError(
            f'OpenVINO cannot read {path} ({reason}); the file is damaged or needs a newer '
            'openvino, copy or export it again'
        ) from error
    return OpenVinoBackend(model)


def _shape(shape: openvino.PartialShape) -> Shape:
    return tuple(axis.get_length() if axis.is_static else None for axis in shape)
