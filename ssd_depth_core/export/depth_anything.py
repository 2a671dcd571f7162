"""From a published Depth Anything V2 to an ONNX file with its ModelSpec, without training."""

from dataclasses import dataclass
from pathlib import Path

from ssd_depth_core.checks import sha256_of
from ssd_depth_core.config import to_dict
from ssd_depth_core.export.onnx import export_network
from ssd_depth_core.export.parity import Parity
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.models.depth_anything import load_depth_anything
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig, DepthOutput
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.models.weight_files import find_file
import torch


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportConfig:
    """Say what is imported, and what its files do not say of themselves."""

    seed: int = 0
    """Of the images on which the runtimes are compared."""
    name: str
    """What the model is called, for logs and tables."""
    licence: str
    """SPDX identifier of the weights' licence: Small is Apache-2.0, Base and Large are
    CC-BY-NC-4.0."""
    training_data: str
    """What the weights have seen; synthetic data is called synthetic."""
    tolerance: float = 1e-3
    """Largest relative error of inverse depth against torch."""
    model: DepthNetConfig
    """The checkpoint's architecture, at the input size wanted."""
    inverse_depth_scale: float | None = None
    """Inverse depth [1/m] for each unit of a relative network's output; None for a metric one."""
    inverse_depth_shift: float | None = None
    """Inverse depth [1/m] where a relative network says zero; None for a metric one."""

    def __post_init__(self) -> None:
        """Validate what gives metres.

        Raises:
            ValueError: If the output is none of Depth Anything's, or the scale and shift of a
                relative one are missing or wrong, or a metric one has them.
        """
        given = (self.inverse_depth_scale is not None, self.inverse_depth_shift is not None)
        if self.model.output not in ('relu', 'sigmoid_depth'):
            raise ValueError(
                'model.output must be sigmoid_depth (metric) or relu (relative), '
                f'got {self.model.output}'
            )
        if self.model.output == 'sigmoid_depth' and any(given):
            raise ValueError(
                'inverse_depth_scale and inverse_depth_shift are for relative networks; '
                f'{self.name} is metric, leave them out'
            )
        if self.model.output == 'relu' and not all(given):
            raise ValueError(
                f'{self.name} is relative, its inverse depth has no unit: give '
                'inverse_depth_scale and inverse_depth_shift, fitted to known depths of your '
                'camera, or import a metric checkpoint'
            )
        if self.inverse_depth_scale is not None and not self.inverse_depth_scale > 0:
            raise ValueError(f'inverse_depth_scale must be > 0, got {self.inverse_depth_scale}')
        if self.tolerance <= 0:
            raise ValueError(f'tolerance must be > 0, got {self.tolerance}')


class CalibratedDepthNet(DepthNet):
    """Give metres where a relative network gives inverse depth up to scale and shift."""

    def __init__(self, network: DepthNet, scale: float, shift: float) -> None:
        """Share the parts of a network.

        Args:
            network: Relative.
            scale: Inverse depth [1/m] for each unit of its output.
            shift: Inverse depth [1/m] where its output is zero.
        """
        super().__init__(network.encoder, network.decoder, network.head, network.config)
        self.scale = scale
        self.shift = shift

    def forward(self, image: torch.Tensor) -> DepthOutput:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Inverse depth [1/m], canonical, within the range of the config.
        """
        relative = super().forward(image).inverse_depth
        low, high = 1 / self.config.max_depth_m, 1 / self.config.min_depth_m
        return DepthOutput((self.scale * relative + self.shift).clamp(low, high))


def import_depth_anything(
    checkpoint: str, out: Path, config: ImportConfig, command: str
) -> tuple[Parity, ...]:
    """Export a checkpoint; `out` and its spec appear only if every runtime agrees with torch.

    Args:
        checkpoint: As `load_depth_anything` takes it.
        out: `<name>.onnx`; beside it land the spec and how far each runtime is from torch.
        config: What it is, and at which size.
        command: That asked for this, for the spec.

    Returns:
        How far each runtime is from torch.

    Raises:
        FileNotFoundError: If the checkpoint cannot be had.
        ValueError: If it is not of the config's architecture, `out` does not end in `.onnx`, or
            a runtime differs by more than the tolerance.
    """
    network = build_depth_net(config.model).eval()
    load_depth_anything(network, checkpoint)
    if config.inverse_depth_scale is not None and config.inverse_depth_shift is not None:
        network = CalibratedDepthNet(
            network, config.inverse_depth_scale, config.inverse_depth_shift
        ).eval()

    def describe(onnx_path: Path) -> ModelSpec:
        model = config.model
        return ModelSpec(
            name=config.name,
            onnx_sha256=sha256_of(onnx_path),
            input_height=model.input_height,
            input_width=model.input_width,
            mean=model.mean,
            std=model.std,
            min_depth_m=model.min_depth_m,
            max_depth_m=model.max_depth_m,
            has_confidence=False,
            canonical_focal_px=model.canonical_focal_px,
            training_data=config.training_data,
            training_command=command,
            training_config=to_dict(config) | {'sha256': sha256_of(find_file(checkpoint))},
            metrics={},
            licence=config.licence,
        )

    return export_network(network, out, describe, seed=config.seed, tolerance=config.tolerance)
