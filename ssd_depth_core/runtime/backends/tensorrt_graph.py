"""What surrounds the network, written as ONNX, so that the GPU does it too.

A robot has neither torch nor a CUDA compiler. Written as graphs, resizing, normalising and the way
from inverse depth to metres are compiled by TensorRT itself, need nothing else at run time, and
run on any ONNX runtime, so they are tested on machines without a GPU.

Pictures have a graph of their own: cameras of one call may differ in size, while the network's
shapes stay fixed, as a CUDA graph needs them. Averaging over areas is linear, and separable, in
the pixels: with one matrix for the rows and one for the columns it is two multiplications, the
same average that `resize_image` takes on a CPU. ONNX's own antialiased Resize is no way there:
TensorRT's parser refuses it.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.canonical_depth import BEYOND_RANGE_SHARE
from ssd_depth_core.model_spec import ModelSpec

GRAPH_VERSION = 1
"""Raised with every change to what these graphs compute: engines of the old ones are stale."""

_OPSET, _IR_VERSION = 18, 10


def picture_constants(spec: ModelSpec) -> dict[str, Any]:
    """Tell what `picture_graph` takes from a spec, for the key of its engine.

    Args:
        spec: Of the network.

    Returns:
        Values for JSON.
    """
    return {
        'graph_version': GRAPH_VERSION,
        'input_size': [spec.input_height, spec.input_width],
        'colour_order': spec.colour_order,
        'mean': list(spec.mean),
        'std': list(spec.std),
    }


def metric_constants(spec: ModelSpec) -> dict[str, Any]:
    """Tell what `metric_graph` takes from a spec, for the key of its engine.

    Args:
        spec: Of the network.

    Returns:
        Values for JSON.
    """
    return {'graph_version': GRAPH_VERSION, 'max_depth_m': spec.max_depth_m}


def resizing_matrix(source: int, target: int, kind: Literal['area', 'linear']) -> NDArray[Any]:
    """Give the weights by which pixels of a line become pixels of a resized one.

    Args:
        source: Length of the line, pixels.
        target: Length of the resized one, pixels.
        kind: Average over the area that a pixel covers, or interpolate between pixel centres.

    Returns:
        (target, source) float16; rows sum to 1.
    """
    scale = source / target
    pixels = np.arange(source)
    if kind == 'area':
        starts = np.arange(target)[:, None] * scale
        weights = np.minimum(pixels + 1, starts + scale) - np.maximum(pixels, starts)
    else:
        centres = (np.arange(target)[:, None] + 0.5) * scale - 0.5
        weights = 1.0 - np.abs(pixels - centres.clip(0, source - 1))
    weights = weights.clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float16)


def resizing_matrices(
    picture_size: tuple[int, int], input_size: tuple[int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give the weights of `picture_graph` for pictures of one size.

    Args:
        picture_size: (H, W), pixels.
        input_size: (h, w) of the network, pixels.

    Returns:
        rows (h, H) and columns (W, w), float16.
    """
    shrinks = all(p >= i for p, i in zip(picture_size, input_size, strict=True))
    kind: Literal['area', 'linear'] = 'area' if shrinks else 'linear'  # as `resize_image`
    rows, columns = (
        resizing_matrix(p, i, kind) for p, i in zip(picture_size, input_size, strict=True)
    )
    return rows, np.ascontiguousarray(columns.T)


def picture_graph(spec: ModelSpec) -> Any:
    """Write the way from a camera's picture to the network's input.

    Args:
        spec: Of the network.

    Returns:
        An `onnx.ModelProto`: `picture` (H, W, 3) uint8 RGB, `rows` (h, H) and `columns` (W, w)
        float16 to `image` (1, 3, h, w) float32. Half precision holds 8-bit levels exactly and
        their averages to an eighth of a level; rounded to a whole one, as on a CPU, they err more.
    """
    from onnx import helper, numpy_helper, TensorProto

    node, port = helper.make_node, helper.make_tensor_value_info
    height, width = spec.input_height, spec.input_width
    mean, std = (np.array(values, np.float32).reshape(3, 1, 1) for values in (spec.mean, spec.std))
    constants = {
        'rows_of_pixels': np.array([0, -1], np.int64),
        'pixels_of_colours': np.array([height, -1, 3], np.int64),
        'order': np.array([0, 1, 2] if spec.colour_order == 'rgb' else [2, 1, 0], np.int64),
        'scale': 1 / (255 * std),
        'offset': -mean / std,
        'batch': np.array([0], np.int64),
    }
    nodes = [
        node('Cast', ['picture'], ['levels'], to=TensorProto.FLOAT16),
        node('Reshape', ['levels', 'rows_of_pixels'], ['flat']),  # (H, W*3)
        node('MatMul', ['rows', 'flat'], ['lower']),  # (h, W*3)
        node('Reshape', ['lower', 'pixels_of_colours'], ['lower_pixels']),  # (h, W, 3)
        node('Transpose', ['lower_pixels'], ['planes'], perm=[2, 0, 1]),  # (3, h, W)
        node('MatMul', ['planes', 'columns'], ['small']),  # (3, h, w)
        node('Gather', ['small', 'order'], ['ordered'], axis=0),
        node('Cast', ['ordered'], ['averages'], to=TensorProto.FLOAT),
        node('Mul', ['averages', 'scale'], ['scaled']),
        node('Add', ['scaled', 'offset'], ['normalised']),
        node('Unsqueeze', ['normalised', 'batch'], ['image']),
    ]
    graph = helper.make_graph(
        nodes,
        'pictures',
        [
            port('picture', TensorProto.UINT8, ['H', 'W', 3]),
            port('rows', TensorProto.FLOAT16, [height, 'H']),
            port('columns', TensorProto.FLOAT16, ['W', width]),
        ],
        [port('image', TensorProto.FLOAT, [1, 3, height, width])],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = [helper.make_opsetid('', _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)


def metric_graph(network: Any, spec: ModelSpec) -> Any:
    """Append the way from inverse depth to metres to a network.

    Args:
        network: `onnx.ModelProto`; not changed.
        spec: Of it.

    Returns:
        A new model with an input more, `focal_scale` (B, 1, 1, 1): the live focal length over the
        canonical one. New outputs, all float32: `depth` (B, 1, h, w) [m], NaN beyond range as
        `metric_depth` says, and for each output of the network `good_<name>` (B, 1, 1, 1), how
        many of its values `check_outputs` takes. NaN is never equal, less or greater, so faults
        are seen by counting what is good.
    """
    from onnx import helper, ModelProto, numpy_helper, TensorProto

    model = ModelProto()
    model.CopyFrom(network)
    graph, node = model.graph, helper.make_node
    batch, _, height, width = graph.output[0].type.tensor_type.shape.dim
    free = batch.dim_param or batch.dim_value
    constants = {
        'metric/threshold': np.float32(1 / (BEYOND_RANGE_SHARE * spec.max_depth_m)),
        'metric/unknown': np.float32(np.nan),
        'metric/zero': np.float32(0),
        'metric/infinity': np.float32(np.inf),
        'metric/axes': np.array([1, 2, 3], np.int64),
    }
    nodes = [
        node('Div', ['focal_scale', 'inverse_depth'], ['metric/all']),
        node('Greater', ['inverse_depth', 'metric/threshold'], ['metric/known']),
        node('Where', ['metric/known', 'metric/all', 'metric/unknown'], ['depth']),
    ]
    outputs = {'depth': [free, 1, height.dim_value, width.dim_value]}
    for name in [output.name for output in graph.output]:
        # An inverse depth must be positive besides; a confidence may be zero.
        size, lower = f'metric/size/{name}', f'metric/lower/{name}'
        nodes += [
            node('Abs', [name], [size]),
            node('Less', [size, 'metric/infinity'], [f'metric/finite/{name}']),
        ]
        good = f'metric/finite/{name}'
        if name == 'inverse_depth':
            nodes += [
                node('Greater', [name, 'metric/zero'], [lower]),
                node('And', [good, lower], [f'metric/good/{name}']),
            ]
            good = f'metric/good/{name}'
        nodes += [
            node('Cast', [good], [f'metric/ones/{name}'], to=TensorProto.FLOAT),
            node('ReduceSum', [f'metric/ones/{name}', 'metric/axes'], [f'good_{name}']),
        ]
        outputs[f'good_{name}'] = [free, 1, 1, 1]
    graph.node.extend(nodes)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()
    )
    port = helper.make_tensor_value_info
    graph.input.append(port('focal_scale', TensorProto.FLOAT, [free, 1, 1, 1]))
    graph.output.extend(port(name, TensorProto.FLOAT, shape) for name, shape in outputs.items())
    return model
