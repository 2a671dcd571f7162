"""From an exported float network to an int8 one, kept only if depth stays as good.

NNCF calibrates the ONNX graph and writes it in Q/DQ form, which OpenVINO, ONNX Runtime and
TensorRT all read: weights in int8 with a scale a channel, activations in int8 with one scale a
tensor, all symmetric. Its own `quantize_with_accuracy_control` is not used: it puts layers back to
float by itself until one number is good enough, and a robot would run an int8 file that is slower
than it need be without anybody having been told.

Reference: Jacob et al., 2018, arXiv 1712.05877, section 2.1.
"""

from collections.abc import Sequence
import copy
from dataclasses import dataclass, replace
import difflib
from fnmatch import fnmatchcase
import json
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
import onnx
from onnx import numpy_helper
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.config import to_dict
from ssd_depth_core.export.int8_gate import (
    Frames,
    Int8Cost,
    measure_costs,
    Output,
    rank_layers,
    refusal,
)
from ssd_depth_core.export.quantized_layers import layer_names, output_nodes, PAIR
from ssd_depth_core.export.reference import write_reference
from ssd_depth_core.model_spec import load_spec, ModelSpec, save_spec

MIN_CALIBRATION_IMAGES = 8
"""A tensor's range is the mean over images of its largest value: below this one odd picture
decides it."""
NUM_RANKING_IMAGES = 8
"""Of the calibration, on which each layer is measured after a refusal: seconds in all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizeConfig:
    """Say how a network is made int8, and what that may cost."""

    seed: int = 0
    """Of the choice of calibration frames."""
    num_calibration_frames: int = 100
    """Frames of each condition of the train split on which ranges are measured, drawn at random;
    all where there are no more."""
    num_gate_frames: int = 100
    """Frames of each condition of the validation split that are scored, spread evenly."""
    max_loss: float = 0.02
    """Largest growth of absRel in any condition, relative to the float network's."""
    max_confidence_shift: float = 0.02
    """Largest mean change of confidence in any condition: two pixels of a hundred change sides of
    a threshold where confidence is spread evenly."""
    keep_float: tuple[str, ...] = ()
    """Layers that stay in float: names as a refusal gives them, or shell patterns of these such
    as `network.decoder.merges.0.*`. The last layer and all that follows it always do."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a number is not positive.
        """
        for name in (
            *('num_calibration_frames', 'num_gate_frames'),
            *('max_loss', 'max_confidence_shift'),
        ):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} must be > 0, got {getattr(self, name)}')


def quantize_file(
    model: Path,
    folder: Path,
    calibration: Sequence[NDArray[np.float32]],
    frames: Frames,
    config: QuantizeConfig,
    command: str,
) -> list[Int8Cost]:
    """Make an exported network int8; files appear only if every condition stays within the limit.

    Args:
        model: `<name>.onnx` in float, its spec beside it.
        folder: Where `<name>.int8.onnx`, its spec, `<name>.int8.costs.json` and what engines are
            checked with, `<name>.int8.check.npz`, go.
        calibration: Normalised images, (3, H, W) each.
        frames: For the gate; others than those of the calibration.
        config: How.
        command: That asked for this, for the spec.

    Returns:
        What int8 costs by runtime and condition.

    Raises:
        FileNotFoundError: If the model or its spec is missing.
        ImportError: If NNCF is not installed.
        ValueError: If the model is not a float one with a spec that fits, the calibration has too
            few images or wrong ones, `keep_float` names no layer, or int8 costs too much.
    """
    spec = load_spec(model)
    network = onnx.load(model)
    if any(node.op_type in PAIR for node in network.graph.node):
        raise ValueError(f'model {model} is int8 already; give the float one that it was made of')
    _check_calibration(calibration, spec)

    quantized = quantize_network(network, calibration, config.keep_float)
    contents = quantized.SerializeToString(deterministic=True)
    costs, metrics = measure_costs(model.read_bytes(), contents, frames, spec)
    limits = {
        'max_loss': config.max_loss,
        'max_confidence_shift': config.max_confidence_shift,
    }
    refused = [cost for cost in costs if not cost.within(**limits)]
    if refused:
        numbers = np.linspace(0, len(calibration) - 1, NUM_RANKING_IMAGES).round().astype(int)
        images = [calibration[number] for number in numbers]
        depth_suffers = any(not cost.loss <= config.max_loss for cost in refused)
        output: Output = 'inverse_depth' if depth_suffers else 'confidence'
        layers = rank_layers(network, quantized, images, output)
        raise ValueError(refusal(refused, layers, output, **limits))

    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f'{model.stem}.int8.onnx'
    out.write_bytes(contents)
    int8_spec = replace(
        spec,
        name=f'{spec.name}_int8',
        onnx_sha256=sha256_of(out),
        training_command=f'{spec.training_command}; {command}',
        training_config=spec.training_config | {'quantize': to_dict(config)},
        metrics=metrics,
    )
    save_spec(int8_spec, out)
    write_reference(out, int8_spec, 'int8')
    report = [to_dict(cost) | {'loss': round(cost.loss, 4)} for cost in costs]
    out.with_suffix('.costs.json').write_text(json.dumps(report, indent=2) + '\n')
    return costs


def quantize_network(
    network: onnx.ModelProto,
    calibration: Sequence[NDArray[np.float32]],
    keep_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """Make a network int8.

    Args:
        network: In float; its input is called `image`.
        calibration: Normalised images, (3, H, W) each.
        keep_float: As in `QuantizeConfig`.

    Returns:
        A new network in Q/DQ form. What turns logits into inverse depth and confidence, and the
        layer that gives the logits, are in float: 256 levels of the logarithm between 0.1 m and
        80 m are steps of 2.6 % of depth.

    Raises:
        ImportError: If NNCF is not installed.
        ValueError: If `keep_float` names no layer.
    """
    try:
        import nncf  # here: an export in float does without it
    except ImportError as error:
        raise ImportError(
            f'int8 needs nncf, which cannot be imported ({error}); `pip install nncf` brings it'
        ) from error
    nncf.set_log_level(logging.WARNING)  # its notes on every step are for its developers
    ignored = output_nodes(network) | _matching(network, keep_float)
    attends = any(node.op_type == 'Softmax' for node in network.graph.node)
    quantized = nncf.quantize(
        copy.deepcopy(network),
        nncf.Dataset(calibration, lambda image: {'image': image[None]}),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric throughout
        subset_size=len(calibration),
        # Smooths activations of a ViT, whose few large channels would take the range of all.
        model_type=nncf.ModelType.TRANSFORMER if attends else None,
        ignored_scope=nncf.IgnoredScope(names=sorted(ignored), validate=False),
    )
    return signed(quantized)


def signed(quantized: onnx.ModelProto) -> onnx.ModelProto:
    """Turn unsigned activations into signed ones of the same range.

    NNCF gives uint8 to what is never negative, i.e. behind a ReLU. TensorRT has no uint8: its
    parser warns, takes the same scale for int8, and so cuts off the upper half of every range.

    Args:
        quantized: In Q/DQ form, symmetric.

    Returns:
        A new network: 127 steps instead of 255 over the range.
    """
    result = copy.deepcopy(quantized)
    constants = {tensor.name: tensor for tensor in result.graph.initializer}
    ends = {
        tuple(node.input[1:3]) for node in result.graph.node if node.op_type in PAIR
    }  # a scale and a zero point each, which the two of a pair share
    for scale, zero_point in ends:
        zeros = numpy_helper.to_array(constants[zero_point])
        if zeros.dtype != np.uint8:
            continue
        assert not zeros.any()  # symmetric
        steps = numpy_helper.to_array(constants[scale])
        wider = (steps * np.float32(255 / 127)).astype(np.float32)
        constants[scale].CopyFrom(numpy_helper.from_array(wider, scale))
        constants[zero_point].CopyFrom(numpy_helper.from_array(zeros.astype(np.int8), zero_point))
    del result.graph.value_info[:]  # still says uint8, and only repeats what runtimes infer
    return result


def _matching(network: onnx.ModelProto, patterns: Sequence[str]) -> set[str]:
    """Give the nodes whose layers match a pattern; every pattern matches one."""
    names = layer_names(network)
    found = set()
    for pattern in patterns:
        matches = {node for node, layer in names.items() if fnmatchcase(layer, pattern)}
        if not matches:
            near = difflib.get_close_matches(pattern, names.values(), cutoff=0.0)
            raise ValueError(
                f'keep_float: no layer matches {pattern!r}; some near it are {", ".join(near)}'
            )
        found |= matches
    return found


def _check_calibration(images: Sequence[NDArray[np.float32]], spec: ModelSpec) -> None:
    size = (3, spec.input_height, spec.input_width)
    if len(images) < MIN_CALIBRATION_IMAGES:
        raise ValueError(
            f'calibration must have at least {MIN_CALIBRATION_IMAGES} images, got {len(images)}; '
            'raise num_calibration_frames or give more training data'
        )
    for image in images:
        if image.shape != size or image.dtype != np.float32:
            raise ValueError(
                f'calibration images must be {size} float32 as the model takes them, '
                f'got {image.shape} {image.dtype}'
            )
