"""ONNX Runtime on the CPU: the smallest engine, and the one that installs everywhere."""

from pathlib import Path
import platform

import numpy as np
from numpy.typing import NDArray
import onnxruntime
from onnxruntime import OrtValue
from ssd_depth_core.runtime.backends import Progress, Shape


class OnnxRuntimeBackend:
    """Run a network with ONNX Runtime, into the same memory while the batch size stays."""

    name = 'onnxruntime'
    device = f'{platform.machine()} CPU'

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        """Wrap a session.

        Args:
            session: With the network loaded.
        """
        self._session = session
        self.inputs = {node.name: _shape(node.shape) for node in session.get_inputs()}
        self.outputs = {node.name: _shape(node.shape) for node in session.get_outputs()}
        self._results: dict[str, NDArray[np.float32]] = {}
        self._batch = 0  # of the results
        self._binding = session.io_binding()

    def run(self, image: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run the network once.

        Args:
            image: (B, 3, H, W) float32, normalised.

        Returns:
            Each output by name; the next call with as many pictures overwrites it.
        """
        name = next(iter(self.inputs))
        if len(image) != self._batch:
            results = self._session.run(list(self.outputs), {name: image})
            self._results = dict(zip(self.outputs, results, strict=True))
            self._batch = len(image)
            for output, result in self._results.items():
                self._binding.bind_ortvalue_output(output, OrtValue.ortvalue_from_numpy(result))
        else:
            image = np.ascontiguousarray(image)  # from here on the engine reads its memory
            self._binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(image))
            self._session.run_with_iobinding(self._binding)
        return self._results


def load(
    path: Path, *, num_threads: int | None, max_batch: int, progress: Progress | None
) -> OnnxRuntimeBackend:
    """Load an ONNX file.

    Args:
        path: The file.
        num_threads: For the work inside one operator; None for all cores.
        max_batch: Without meaning: a batch of any size runs.
        progress: Without meaning: nothing is built ahead.

    Returns:
        The backend, ready to run.

    Raises:
        ValueError: If ONNX Runtime cannot read the file.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads or 0
    # Idle workers that spin take the cores from the rest of the robot: on two busy cores the
    # network itself was measured 1.5 times as slow with them.
    options.add_session_config_entry('session.intra_op.allow_spinning', '0')
    try:
        session = onnxruntime.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # its errors share no narrower base class
        raise ValueError(
            f'ONNX Runtime cannot read {path} ({error}); the file is damaged or needs a newer '
            'onnxruntime, copy or export it again'
        ) from error
    return OnnxRuntimeBackend(session)


def _shape(axes: list[int | str | None]) -> Shape:
    return tuple(axis if isinstance(axis, int) else None for axis in axes)
