"""The CPU runtimes of a robot, opened on an ONNX file to measure what they make of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnxruntime
import openvino

Run = Callable[[NDArray[np.float32]], list[NDArray[np.float32]]]
"""From `image` (B, 3, H, W) to the outputs asked for, (B, 1, H, W) each."""


def open_onnxruntime(model: Path | bytes, outputs: list[str]) -> Run:
    """Open a network in ONNX Runtime.

    Args:
        model: The file, or what is in it.
        outputs: Names of what `Run` shall give, in this order.

    Returns:
        The network.
    """
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])

    def run(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        values: list[NDArray[np.float32]] = session.run(outputs, {'image': image})
        return values

    return run


def open_openvino(model: Path | bytes, outputs: list[str]) -> Run:
    """Open a network in OpenVINO.

    Args:
        model: The file, or what is in it.
        outputs: Names of what `Run` shall give, in this order.

    Returns:
        The network.
    """
    # Left alone, OpenVINO computes in bfloat16 where the processor can.
    options = {'INFERENCE_PRECISION_HINT': 'f32'}
    core = openvino.Core()
    network = core.read_model(model)
    compiled: dict[int, openvino.CompiledModel] = {}

    def run(image: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        batch = len(image)
        if batch not in compiled:
            # For every size by itself, as on the robot: with a free batch axis OpenVINO 2026.4.1
            # computes a ViT in int8 wrongly, inverse depth off by a third instead of 3 %.
            fixed = network.clone()
            fixed.reshape({p: [batch, *list(p.partial_shape)[1:]] for p in fixed.inputs})
            compiled[batch] = core.compile_model(fixed, 'CPU', options)
        values = compiled[batch]({'image': image})
        return [values[output] for output in outputs]

    return run


RUNTIMES: dict[str, Callable[[Path | bytes, list[str]], Run]] = {
    f'onnxruntime {onnxruntime.__version__}': open_onnxruntime,
    f'openvino {openvino.__version__.split("-")[0]}': open_openvino,
}
"""By name and version."""
