"""OpenVINO on the CPU: the fastest engine on x86."""

from pathlib import Path
import platform

import numpy as np
from numpy.typing import NDArray
import openvino
from ssd_depth_core.runtime.backends import Progress, Shape

# float32 by name: where it may choose, OpenVINO takes a 16-bit type, which costs accuracy and, on
# a CPU that must emulate it, was measured 33 times slower. No cache: compiling takes half a
# second, and a stale cache is hard to see. One picture at a time is one stream on all threads.
# Threads are not tied to cores: on a robot others run there too, and a tied thread waits for them
# while another core is free (on two busy cores, 19 ms at best instead of 33).
_OPTIONS = {
    'PERFORMANCE_HINT': 'LATENCY',
    'ENABLE_CPU_PINNING': 'NO',
    'INFERENCE_PRECISION_HINT': 'f32',
    'CACHE_DIR': '',
}


MAX_SIZES = 12
"""Of batches: as many as a robot has cameras."""


class OpenVinoBackend:
    """Run a network with OpenVINO, compiled for each batch size that it meets.

    A free batch axis left to the engine made one picture take 1.5 times as long, and gave wrong
    depth of a ViT in int8. The last `MAX_SIZES` are kept: a rig whose cameras come and go must not
    wait for a compilation each time, and every size ever met would fill the memory.
    """

    name = 'openvino'
    device = f'{platform.machine()} CPU'

    def __init__(self, model: openvino.Model, num_threads: int | None) -> None:
        """Compile a network for one picture.

        Args:
            model: The network, its batch axis free or 1.
            num_threads: For one inference; None for all cores.
        """
        self.inputs = {port.any_name: _shape(port.partial_shape) for port in model.inputs}
        self.outputs = {port.any_name: _shape(port.partial_shape) for port in model.outputs}
        self._model = model
        self._options = dict(_OPTIONS)
        if num_threads is not None:
            self._options['INFERENCE_NUM_THREADS'] = str(num_threads)
        self._core = openvino.Core()
        self._requests = {1: self._compile(1)}

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network once.

        Args:
            image: (B, 3, H, W) float32, normalised.

        Returns:
            Each output by name; views of the engine's memory, which the next call overwrites.
        """
        batch = len(image)
        if batch not in self._requests:
            if len(self._requests) == MAX_SIZES:
                del self._requests[next(iter(self._requests))]
            self._requests[batch] = self._compile(batch)
        results = self._requests[batch].infer([image], share_inputs=True, share_outputs=True)
        return {name: results[name] for name in self.outputs}

    def _compile(self, batch: int) -> openvino.InferRequest:
        model = self._model.clone()
        model.reshape({p: [batch, *list(p.partial_shape)[1:]] for p in model.inputs})
        return self._core.compile_model(model, 'CPU', self._options).create_infer_request()


def load(
    path: Path, *, num_threads: int | None, max_batch: int, progress: Progress | None
) -> OpenVinoBackend:
    """Load an ONNX file.

    Args:
        path: The file.
        num_threads: For one inference; None for all cores.
        max_batch: Without meaning: a batch of any size runs.
        progress: Without meaning: nothing is built ahead.

    Returns:
        The backend, ready to run.

    Raises:
        ValueError: If OpenVINO cannot read the file.
    """
    try:
        return OpenVinoBackend(openvino.Core().read_model(path), num_threads)
    except RuntimeError as error:
        reason = ' '.join(str(error).split())  # it comes in many lines; a log wants one
        raise ValueError(
            f'OpenVINO cannot read {path} ({reason}); the file is damaged or needs a newer '
            'openvino, copy or export it again'
        ) from error


def _shape(shape: openvino.PartialShape) -> Shape:
    return tuple(axis.get_length() if axis.is_static else None for axis in shape)
