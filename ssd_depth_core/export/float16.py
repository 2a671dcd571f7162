"""From an exported float32 network to a float16 one, for engines that take types as written.

TensorRT 11 and TensorRT-RTX have no flag for half precision any more: every layer runs in the type
that the ONNX graph gives its tensors. Inputs and outputs stay float32, and so do the last layer
with weights and what follows it, as in int8: near 1/80 m, half precision would cost the sky its
margin to the end of the range. So do sums over many values, which half precision cannot hold.
"""

from collections.abc import Iterable
import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.export.quantized_layers import output_nodes, PAIR
from ssd_depth_core.model_spec import load_spec, save_spec
from ssd_depth_core.reference_pair import load_reference, reference_path_of, save_reference

KEPT = (
    *('LayerNormalization', 'InstanceNormalization', 'GroupNormalization', 'Softmax'),
    *('ReduceMean', 'ReduceSum', 'GlobalAveragePool', 'Pow', 'Exp', 'Sqrt', 'Erf'),
)
"""Operators that stay in float32: they sum many values, or overflow above 65504."""
_UNTYPED = ('Cast', 'Constant', 'ConstantOfShape', 'Range', 'Shape')
"""Operators whose output's type is not that of an input."""
_PARAMETERS = {'Resize': 1}
"""Inputs from this one on are float32 by the standard, whatever the data's type."""
_HALF, _FULL = '/float16', '/float32'


def float16_file(model: Path, folder: Path) -> Path:
    """Write a network in half precision beside its spec.

    Args:
        model: `<name>.onnx` in float32, its spec beside it.
        folder: Where `<name>.fp16.onnx`, its spec and, where the model has one, the pair that
            engines are checked with, `<name>.fp16.check.npz`, go.

    Returns:
        The file written.

    Raises:
        FileNotFoundError: If the model or its spec is missing.
        ValueError: If the model is int8, has half precision already, a weight is too large, or its
            pair cannot be read.
    """
    spec = load_spec(model)
    folder.mkdir(parents=True, exist_ok=True)
    out = folder / f'{model.stem}.fp16.onnx'
    out.write_bytes(to_float16(onnx.load(model)).SerializeToString(deterministic=True))
    half_spec = replace(
        spec,
        name=f'{spec.name}_fp16',
        onnx_sha256=sha256_of(out),
        training_command=f'{spec.training_command}; then in half precision',
        metrics={},  # those known were measured in float32
    )
    save_spec(half_spec, out)
    # What float32 computed is what half precision must come near, and needs no run of either.
    pair = load_reference(model, spec)
    reference_path_of(out).unlink(missing_ok=True)  # an older export's would not fit
    if pair is not None:
        save_reference(replace(pair, onnx_sha256=half_spec.onnx_sha256, precision='fp16'), out)
    return out


def to_float16(network: onnx.ModelProto) -> onnx.ModelProto:
    """Turn a network into half precision, casting where float32 ends and begins.

    Args:
        network: In float32.

    Returns:
        A new network with the same inputs and outputs.

    Raises:
        ValueError: If the network is int8, has half precision already, or a weight is too large.
    """
    network = onnx.shape_inference.infer_shapes(network)
    graph = network.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    types |= {name: tensor.data_type for name, tensor in weights.items()}
    if TensorProto.FLOAT16 in types.values() or any(n.op_type in PAIR for n in graph.node):
        raise ValueError(
            f'network {graph.name} is int8 or has half precision already; give the float32 one '
            'that it was made of'
        )
    kept = output_nodes(network)
    in_half: set[str] = set()  # tensors whose type is no longer that of the float32 network
    nodes: list[onnx.NodeProto] = []
    casts: set[str] = set()

    def cast(name: str, to: int, suffix: str) -> str:
        if name + suffix not in casts:
            casts.add(name + suffix)
            nodes.append(helper.make_node('Cast', [name], [name + suffix], name + suffix, to=to))
        return name + suffix

    def half(name: str) -> str:
        if name in in_half or types.get(name) != TensorProto.FLOAT:
            return name
        if name not in weights:
            return cast(name, TensorProto.FLOAT16, _HALF)
        if name + _HALF not in weights:
            weights[name + _HALF] = _half_weight(weights[name])
        return name + _HALF

    def full(name: str) -> str:
        return cast(name, TensorProto.FLOAT, _FULL) if name in in_half else name

    for original in graph.node:
        node = copy.deepcopy(original)
        stays = node.name in kept or node.op_type in (*KEPT, *_UNTYPED)
        parameters = _PARAMETERS.get(node.op_type, len(node.input))
        for place, name in enumerate(original.input):
            node.input[place] = full(name) if stays or place >= parameters else half(name)
        if not stays:
            in_half |= {name for name in node.output if types.get(name) == TensorProto.FLOAT}
        nodes.append(node)

    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(_used(weights.values(), nodes))
    onnx.checker.check_model(network, full_check=True)
    return network


def _half_weight(weight: onnx.TensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(weight)
    largest = float(np.abs(values).max(initial=0.0))
    if largest > float(np.finfo(np.float16).max):
        raise ValueError(
            f'weight {weight.name} must be at most 65504 for half precision, got {largest:g}; '
            'keep this network in float32'
        )
    return numpy_helper.from_array(values.astype(np.float16), weight.name + _HALF)


def _used(
    weights: Iterable[onnx.TensorProto], nodes: list[onnx.NodeProto]
) -> list[onnx.TensorProto]:
    read = {name for node in nodes for name in node.input}
    return [weight for weight in weights if weight.name in read]
