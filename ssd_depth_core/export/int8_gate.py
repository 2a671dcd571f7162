"""What int8 costs in every condition, and which layers it comes from where that is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

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
Confidence = NDArray[np.float32] | None
"""Of all frames of a condition, (N, 1, H, W); None where the network has none."""
Output = Literal['inverse_depth', 'confidence']
"""Of a network."""

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
    confidence_shift: float | None
    """Mean |c - c_float| of the confidence c over all pixels, in [0, 1]; None where the network
    has none. A robot keeps the pixels above a threshold, which must go on meaning the same; what
    moves the order of pixels moves this, and what moves all alike does too."""

    @property
    def loss(self) -> float:
        """Give how much larger the error has become, relative to the float network's."""
        return self.abs_rel_int8 / self.abs_rel_float - 1

    def within(self, max_loss: float, max_confidence_shift: float) -> bool:
        """Say whether this is little enough.

        Args:
            max_loss: Limit of `loss`.
            max_confidence_shift: Limit of `confidence_shift`, where there is one.

        Returns:
            Whether both limits are kept; NaN keeps none.
        """
        shift = 0.0 if self.confidence_shift is None else self.confidence_shift
        return self.loss <= max_loss and shift <= max_confidence_shift


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerError:
    """Hold what one layer does to the output when it alone is int8."""

    layer: str
    """As `layer_names` calls it, and as `keep_float` takes it."""
    error: float
    """Mean |y - y_float| / y_float of inverse depth y, mean |y - y_float| of confidence."""


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
    names = ['inverse_depth', 'confidence'][: 1 + spec.has_confidence]

    def measure(runtime: str, model: bytes) -> tuple[Metrics, dict[str, Confidence]]:
        run = RUNTIMES[runtime](model, names)
        said: list[NDArray[np.float32]] = []

        def predict(image: torch.Tensor) -> torch.Tensor:
            inverse_depth, *confidence = run(image.numpy())
            said.extend(confidence)
            return torch.from_numpy(inverse_depth)

        rows = evaluate(
            predict,
            dict(frames),
            canonical_focal_px=spec.canonical_focal_px,
            max_depth_m=spec.max_depth_m,
        )
        if not spec.has_confidence:
            return rows, dict.fromkeys(frames)
        ends = np.cumsum([len(some) for some in frames.values()])  # type: ignore[arg-type]
        return rows, dict(zip(frames, np.split(np.concatenate(said), ends[:-1]), strict=True))

    first = next(iter(RUNTIMES))
    floats, sure = measure(first, network)
    int8 = {runtime: measure(runtime, quantized) for runtime in RUNTIMES}
    costs = [
        Int8Cost(
            runtime=runtime,
            condition=condition,
            num_frames=int(row['n']),
            abs_rel_float=floats[condition]['abs_rel'],
            abs_rel_int8=row['abs_rel'],
            confidence_shift=_shift(sure[condition], still_sure[condition]),
        )
        for runtime, (rows, still_sure) in int8.items()
        for condition, row in rows.items()
    ]
    return costs, int8[first][0]


def rank_layers(
    network: onnx.ModelProto,
    quantized: onnx.ModelProto,
    images: Sequence[NDArray[np.float32]],
    output: Output = 'inverse_depth',
) -> list[LayerError]:
    """Measure every layer in int8 alone, all others in float.

    The opposite, one layer in float among int8 ones, hides two bad layers behind each other.

    Args:
        network: In float.
        quantized: Made from it.
        images: (3, H, W) each, normalised.
        output: What is looked at.

    Returns:
        One a layer, the worst first.
    """
    batch, names = np.stack(images), layer_names(network)
    expected = _predict(network, batch, output)
    errors = []
    for name in int8_nodes(network, quantized):
        got = _predict(alone_in_int8(network, quantized, name), batch, output)
        unit = expected if output == 'inverse_depth' else 1.0
        error = float(np.mean(np.abs(got - expected) / unit))
        errors.append(LayerError(layer=names[name], error=error))
    return sorted(errors, key=lambda layer: layer.error, reverse=True)


def refusal(
    costs: Sequence[Int8Cost],
    layers: Sequence[LayerError],
    output: Output,
    *,
    max_loss: float,
    max_confidence_shift: float,
) -> str:
    """Say why an int8 network is refused, and what can be done.

    Args:
        costs: Those above a limit.
        layers: The worst first.
        output: By which layers were ranked.
        max_loss: Limit of absRel's growth.
        max_confidence_shift: Limit of how far confidence moves.

    Returns:
        One line.
    """
    figures = '; '.join(
        f'{cost.condition} absRel {cost.abs_rel_float:.4f} to {cost.abs_rel_int8:.4f} '
        f'({cost.loss:+.1%} in {cost.runtime}, {cost.num_frames} frames)'
        + ('' if cost.confidence_shift is None else f', confidence by {cost.confidence_shift:.3f}')
        for cost in costs
    )
    worst = ', '.join(f'{layer.layer} {layer.error:.2%}' for layer in layers[:NUM_LAYERS_NAMED])
    confident = any(cost.confidence_shift is not None for cost in costs)
    limits = f' and move confidence by {max_confidence_shift:g}' if confident else ''
    return (
        f'int8 may cost {max_loss:.1%} of absRel{limits} in any condition, but does more: '
        f'{figures}. The layers that change '
        f'{output.replace("_", " ")} most when they alone are int8: {worst}. Put the first of '
        'them into keep_float and try again; nothing was written'
    )


def _shift(before: Confidence, after: Confidence) -> float | None:
    """Average how far confidence has moved, to the five digits of the other figures."""
    if before is None or after is None:
        return None
    return float(np.round(np.abs(after - before).mean(), 5))


def _predict(
    network: onnx.ModelProto, batch: NDArray[np.float32], output: Output
) -> NDArray[np.float32]:
    return open_onnxruntime(network.SerializeToString(), [output])(batch)[0]
