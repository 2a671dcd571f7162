"""The proof that an exported file computes what the network in torch computes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnxruntime
import openvino
from ssd_depth_core.models.depth_net import DepthNet, ExportedDepthNet
import torch

Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""`inverse_depth` and `confidence`, (B, 1, H, W) each."""

Run = Callable[[NDArray[np.float32]], Outputs]
"""From `image` (B, 3, H, W) to the outputs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Hold how far one runtime is from torch."""

    runtime: str
    """Name and version."""
    inverse_depth_relative: float
    """Largest |d - d_torch| / d_torch of inverse depth."""
    confidence_absolute: float
    """Largest difference of confidence."""

    @property
    def error(self) -> float:
        """Give the larger of the two."""
        return _largest(self.inverse_depth_relative, self.confidence_absolute)


def measure_parity(network: DepthNet, onnx_path: Path, seed: int) -> tuple[Parity, ...]:
    """Compare every CPU runtime with torch on noise, one image at a time and two.

    Args:
        network: In evaluation mode, on the CPU.
        onnx_path: Exported from it.
        seed: Of the noise.

    Returns:
        One record a runtime, the worse batch size each.

    Raises:
        ValueError: If the network itself gives values that are not finite.
    """
    config = network.config
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn((2, 3, config.input_height, config.input_width), generator=generator)
    with torch.inference_mode():
        inverse_depth, confidence = ExportedDepthNet(network).eval()(images)
    expected = inverse_depth.numpy(), confidence.numpy()
    for output, values in zip(('inverse_depth', 'confidence'), expected, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(
                f'{output} of the network in torch must be finite, got '
                f'{np.count_nonzero(~np.isfinite(values))} values of {values.size} that are not; '
                'its weights are spoilt, export an older checkpoint or train again'
            )
    runtimes: dict[str, Callable[[Path], Run]] = {
        f'onnxruntime {onnxruntime.__version__}': _onnxruntime,
        f'openvino {openvino.__version__.split("-")[0]}': _openvino,
    }
    records = []
    for name, load in runtimes.items():
        run = load(onnx_path)
        both = run(images.numpy())
        alone = run(images[:1].numpy())
        records.append(
            Parity(
                runtime=name,
                inverse_depth_relative=_largest(
                    _relative(both[0], expected[0]), _relative(alone[0], expected[0][:1])
                ),
                confidence_absolute=_largest(
                    _absolute(both[1], expected[1]), _absolute(alone[1], expected[1][:1])
                ),
            )
        )
    return tuple(records)


def _onnxruntime(path: Path) -> Run:
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(image: NDArray[np.float32]) -> Outputs:
        inverse_depth, confidence = session.run(['inverse_depth', 'confidence'], {'image': image})
        return inverse_depth, confidence

    return run


def _openvino(path: Path) -> Run:
    # Left alone, OpenVINO computes in bfloat16 where the processor can.
    model = openvino.compile_model(path, 'CPU', {'INFERENCE_PRECISION_HINT': 'f32'})

    def run(image: NDArray[np.float32]) -> Outputs:
        outputs = model({'image': image})
        return outputs['inverse_depth'], outputs['confidence']

    return run


def _relative(value: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.max(np.abs(value - expected) / expected))


def _absolute(value: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    return float(np.max(np.abs(value - expected)))


def _largest(*errors: float) -> float:
    # Unlike Python's max, NumPy's gives NaN wherever one is among the values.
    return float(np.max(errors))
