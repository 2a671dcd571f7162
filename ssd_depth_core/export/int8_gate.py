"""What int8 costs in every condition, and which layers it comes from where that is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
import onnx
from ssd_depth_core.export.quantized_layers import alone_in_int8, int8_nodes, layer_names
from ssd_depth_core.export.sessions import open_onnxruntime, RUNTIMES
from ssd_depth_core.learning.evaluation import evaluate
from ssd_depth_core.model_spec import ModelSpec
import torch
from torch.utils.data import Dataset

Frames = Mapping[str, Dataset[dict[str, torch.Tensor]]]
"""By condition, what `evaluate` asks for."""
Metrics = dict[str, dict[str, float]]
"""By condition, what `evaluate` gives."""

NUM_LAYERS_NAMED = 5
"""In a refusal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Int8Cost:
    """Hold what int8 does to one condition in one runtime."""

    runtime: str
    """Name and version."""
    condition: str
    """Of the frames."""
    num_frames: int
    """Scored."""
    abs_rel_float: float
    """Of the float network, in ONNX Runtime."""
    abs_rel_int8: float
    """Of the int8 network, in `runtime`."""

    @property
    def loss(self) -> float:
        """Give how much larger the error has become, relative to the float network's."""
        return self.abs_rel_int8 / self.abs_rel_float - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerError:
    """Hold what one layer does to the output when it alone is int8."""

    layer: str
    """As `layer_names` calls it, and as `keep_float` takes it."""
    error: float
    """Mean |d - d_float| / d_float of inverse depth d."""


def measure_costs(
    network: bytes, quantized: bytes, frames: Frames, spec: ModelSpec
) -> tuple[list[Int8Cost], Metrics]:
    """Score the float network once and the int8 one in every runtime, on the same frames.

    Runtimes differ here, unlike in float: each fuses integer layers in its own way.

    Args:
        network: The float ONNX file's contents.
        quantized: The int8 one's.
        frames: By condition.
        spec: Of the float network.

    Returns:
        What int8 costs by runtime and condition, and its metrics in the first runtime.

    Raises:
        ValueError: If a condition has no image with known depth.
    """

    def metrics(runtime: str, model: bytes) -> Metrics:
        run = RUNTIMES[runtime](model, ['inverse_depth'])
        return evaluate(
            lambda image: torch.from_numpy(run(image.numpy())[0]),
            dict(frames),
            canonical_focal_px=spec.canonical_focal_px,
            max_depth_m=spec.max_depth_m,
        )

    first = next(iter(RUNTIMES))
    floats = metrics(first, network)
    int8 = {runtime: metrics(runtime, quantized) for runtime in RUNTIMES}
    costs = [
        Int8Cost(
            runtime=runtime,
            condition=condition,
            num_frames=int(row['n']),
            abs_rel_float=floats[condition]['abs_rel'],
            abs_rel_int8=row['abs_rel'],
        )
        for runtime, rows in int8.items()
        for condition, row in rows.items()
    ]
    return costs, int8[first]


def rank_layers(
    network: onnx.ModelProto, quantized: onnx.ModelProto, images: Sequence[NDArray[np.float32]]
) -> list[LayerError]:
    """Measure every layer in int8 alone, all others in float.

    The opposite, one layer in float among int8 ones, hides two bad layers behind each other.

    Args:
        network: In float.
        quantized: Made from it.
        images: (3, H, W) each, normalised.

    Returns:
        One a layer, the worst first.
    """
    batch, names = np.stack(images), layer_names(network)
    expected = _inverse_depth(network, batch)
    errors = []
    for name in int8_nodes(network, quantized):
        got = _inverse_depth(alone_in_int8(network, quantized, name), batch)
        error = float(np.mean(np.abs(got - expected) / expected))
        errors.append(LayerError(layer=names[name], error=error))
    return sorted(errors, key=lambda layer: layer.error, reverse=True)


def refusal(costs: Sequence[Int8Cost], layers: Sequence[LayerError], max_loss: float) -> str:
    """Say why an int8 network is refused, and what can be done.

    Args:
        costs: Those above the limit.
        layers: The worst first.
        max_loss: The limit.

    Returns:
        One line.
    """
    figures = '; '.join(
        f'{cost.condition} absRel {cost.abs_rel_float:.4f} to {cost.abs_rel_int8:.4f} '
        f'({cost.loss:+.1%} in {cost.runtime}, {cost.num_frames} frames)'
        for cost in costs
    )
    worst = ', '.join(f'{layer.layer} {layer.error:.2%}' for layer in layers[:NUM_LAYERS_NAMED])
    return (
        f'int8 may cost {max_loss:.1%} of absRel in any condition, but costs more: {figures}. '
        f'The layers that change inverse depth most when they alone are int8: {worst}. Put the '
        'first of them into keep_float and try again; nothing was written'
    )


def _inverse_depth(network: onnx.ModelProto, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return open_onnxruntime(network.SerializeToString(), ['inverse_depth'])(batch)[0]
