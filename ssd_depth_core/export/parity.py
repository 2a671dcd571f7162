"""The proof that an exported file computes what the network in torch computes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ssd_depth_core.export.sessions import RUNTIMES
from ssd_depth_core.models.depth_net import DepthNet, ExportedDepthNet
import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class Parity:
    """Hold how far one runtime is from torch."""

    runtime: str
    """Name and version."""
    inverse_depth_relative: float
    """Largest |d - d_torch| / d_torch of inverse depth."""
    confidence_absolute: float | None
    """Largest difference of confidence; None where the network gives none."""

    @property
    def error(self) -> float:
        """Give the larger of the two."""
        errors = (self.inverse_depth_relative, self.confidence_absolute)
        # Unlike Python's max, NumPy's gives NaN wherever one is among the values.
        return float(np.max([error for error in errors if error is not None]))


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
    size = (2, 3, config.input_height, config.input_width)
    images = torch.randn(size, generator=generator).numpy()
    exported = ExportedDepthNet(network).eval()
    with torch.inference_mode():
        outputs = [output.numpy() for output in exported(torch.from_numpy(images))]
    expected = [np.concatenate((values, values[:1])) for values in outputs]
    for output, values in zip(exported.output_names, outputs, strict=True):
        if not np.isfinite(values).all():
            raise ValueError(
                f'{output} of the network in torch must be finite, got '
                f'{np.count_nonzero(~np.isfinite(values))} values of {values.size} that are not; '
                'its weights are spoilt, export an older checkpoint or train again'
            )
    records = []
    for name, open_session in RUNTIMES.items():
        run = open_session(onnx_path, exported.output_names)
        # A batch of two, then one image alone.
        pairs = zip(run(images), run(images[:1]), strict=True)
        values = [np.concatenate(pair) for pair in pairs]
        differences = [np.abs(v - e) for v, e in zip(values, expected, strict=True)]
        records.append(
            Parity(
                runtime=name,
                inverse_depth_relative=float(np.max(differences[0] / expected[0])),
                confidence_absolute=float(np.max(differences[1])) if differences[1:] else None,
            )
        )
    return tuple(records)
