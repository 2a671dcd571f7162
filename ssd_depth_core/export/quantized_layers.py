"""Layers of an ONNX graph: what they are called, which stay float, and one of them in int8 alone.

A quantised graph is the float one with pairs of QuantizeLinear and DequantizeLinear on edges (of
weights the second alone), before some of which activations are smoothed. Its nodes keep their
names, so the two can be compared node by node.
"""

import ast
from collections.abc import Iterable
import copy

import onnx

WEIGHTED = ('Conv', 'ConvTranspose', 'Gemm', 'MatMul')
"""Operators whose second input is the weight."""
PAIR = ('QuantizeLinear', 'DequantizeLinear')
SCOPES = 'pkg.torch.onnx.name_scopes'
"""Where torch's exporter writes the modules that a node is of, outermost first, and its call."""
ALONE = 'int8/'
"""Begins the names of tensors that `alone_in_int8` brings into the float graph."""


def layer_names(network: onnx.ModelProto) -> dict[str, str]:
    """Call layers as in torch: its exporter numbers nodes by what else is in the graph.

    Args:
        network: In float.

    Returns:
        By the node's name: its weight's, e.g. `network.head.weight`; where it has none, or one
        that the exporter folded, its module and call, e.g. `network.decoder/add_3`; where the
        file does not say these, the node's own.
    """
    constants = {tensor.name for tensor in network.graph.initializer}
    names = {}
    for node in network.graph.node:
        weight = node.input[1] if node.op_type in WEIGHTED else ''
        scopes = [entry.value for entry in node.metadata_props if entry.key == SCOPES]
        if weight in constants and '.' in weight:  # a parameter's path
            names[node.name] = weight
        elif scopes:
            names[node.name] = '/'.join(filter(None, ast.literal_eval(scopes[0])[-2:]))
        else:
            names[node.name] = node.name
    return names


def output_nodes(network: onnx.ModelProto) -> set[str]:
    """Find the last layers with weights and all that comes after them.

    Args:
        network: In float.

    Returns:
        Names of the nodes.
    """
    producers = _producers(network)
    todo, found = [output.name for output in network.graph.output], set()
    while todo:
        node = producers.get(todo.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        if node.op_type not in WEIGHTED:
            todo.extend(node.input)
    return found


def int8_nodes(network: onnx.ModelProto, quantized: onnx.ModelProto) -> list[str]:
    """List the nodes that read an int8 tensor in the quantised graph.

    Args:
        network: In float.
        quantized: Made from it.

    Returns:
        Names of nodes, in the order of the graph.
    """
    inputs = {node.name: list(node.input) for node in network.graph.node}
    return [
        node.name
        for node in quantized.graph.node
        if node.name in inputs and list(node.input) != inputs[node.name]
    ]


def alone_in_int8(
    network: onnx.ModelProto, quantized: onnx.ModelProto, name: str
) -> onnx.ModelProto:
    """Give the float network with one node as it is in the quantised one.

    Args:
        network: In float.
        quantized: Made from it.
        name: One of `int8_nodes`.

    Returns:
        A new network: that node reads activations through the quantised network's pairs, and has
        its weights and its bias.
    """
    mixed = copy.deepcopy(network)
    kept = {*(port.name for port in network.graph.input), *_producers(network), ''}
    place, target = next(
        (place, node) for place, node in enumerate(mixed.graph.node) if node.name == name
    )
    source = next(node for node in quantized.graph.node if node.name == name)
    chain = _nodes_between(kept, quantized, source)

    def renamed(tensors: Iterable[str]) -> list[str]:
        return [tensor if tensor in kept else ALONE + tensor for tensor in tensors]

    wanted = {tensor for node in (*chain, source) for tensor in node.input} - kept
    for constant in quantized.graph.initializer:
        if constant.name in wanted:
            mixed.graph.initializer.add().CopyFrom(constant)
            mixed.graph.initializer[-1].name = ALONE + constant.name
    target.input[:] = renamed(source.input)
    for offset, node in enumerate(chain):
        new = copy.deepcopy(node)
        new.input[:], new.output[:] = renamed(node.input), renamed(node.output)
        mixed.graph.node.insert(place + offset, new)
    used = {tensor for node in mixed.graph.node for tensor in node.input}
    for constant in [c for c in mixed.graph.initializer if c.name not in used]:
        mixed.graph.initializer.remove(constant)  # else ONNX Runtime warns of each
    return mixed


def _producers(network: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    return {tensor: node for node in network.graph.node for tensor in node.output}


def _nodes_between(
    tensors: set[str], quantized: onnx.ModelProto, node: onnx.NodeProto
) -> list[onnx.NodeProto]:
    """List what lies between float tensors and a node that reads them, in order."""
    producers = _producers(quantized)
    todo, found = list(node.input), set()
    while todo:
        tensor = todo.pop()
        if tensor in producers and tensor not in tensors:
            found.add(producers[tensor].name)
            todo.extend(producers[tensor].input)
    return [node for node in quantized.graph.node if node.name in found]
