import math

import numpy as np
import pytest

SIZE = (8, 12)
FAR, NEAR = 1 / 80, 1 / 0.1


@pytest.fixture(scope='session')
def three_layers():
    """Make image -> first -> ReLU -> middle -> ReLU -> head -> inverse depth and confidence.

    All convolutions are 1x1, so that a pixel's output is a product of small matrices. `spoilt` is
    a factor on one channel between first and middle, undone by the weights around it: nothing
    changes in float, but in int8 the three other channels of that tensor share what is left.
    """
    onnx = pytest.importorskip('onnx')
    node, from_array = onnx.helper.make_node, onnx.numpy_helper.from_array

    def make(spoilt=1.0, size=SIZE):
        first = np.array([[60, -30, 10], [20, 63, -5], [-63, 1, 30], [9, 9, 63]], np.float32) / 63
        middle = np.array(
            [[127, -64, 32, 1], [3, 127, 5, -7], [-2, 4, -127, 99], [0, 11, 60, 127]], np.float32
        )
        middle /= 127
        first[3] *= spoilt
        middle[:, 3] /= spoilt
        head = np.array([[0.5, -1.0, 0.4, 0.3], [1.0, 1.0, 0.0, -1.0]], np.float32)
        constants = {
            'first.weight': first[..., None, None],
            'first.bias': np.zeros(4, np.float32),
            'middle.weight': middle[..., None, None],
            'middle.bias': np.zeros(4, np.float32),
            'head.weight': head[..., None, None],
            'head.bias': np.array([-0.8, 0.1], np.float32),
            'range': np.array(math.log(NEAR / FAR), np.float32),
            'far': np.array(math.log(FAR), np.float32),
            '0': np.array([0]),
            '1': np.array([1]),
            '2': np.array([2]),
        }
        nodes = [
            node('Conv', ['image', 'first.weight', 'first.bias'], ['a'], 'conv_1'),
            node('Relu', ['a'], ['b'], 'relu_1'),
            node('Conv', ['b', 'middle.weight', 'middle.bias'], ['c'], 'conv_2'),
            node('Relu', ['c'], ['d'], 'relu_2'),
            node('Conv', ['d', 'head.weight', 'head.bias'], ['logits'], 'conv_3'),
            node('Sigmoid', ['logits'], ['fraction'], 'sigmoid'),
            node('Slice', ['fraction', '0', '1', '1'], ['e'], 'slice_1'),
            node('Mul', ['e', 'range'], ['f'], 'mul'),
            node('Add', ['f', 'far'], ['g'], 'add'),
            node('Exp', ['g'], ['inverse_depth'], 'exp'),
            node('Slice', ['fraction', '1', '2', '1'], ['confidence'], 'slice_2'),
        ]
        port = onnx.helper.make_tensor_value_info
        graph = onnx.helper.make_graph(
            nodes,
            'three_layers',
            [port('image', onnx.TensorProto.FLOAT, ['batch', 3, *size])],
            [
                port(name, onnx.TensorProto.FLOAT, ['batch', 1, *size])
                for name in ('inverse_depth', 'confidence')
            ],
            [from_array(values, name) for name, values in constants.items()],
        )
        opset = [onnx.helper.make_opsetid('', 18)]
        network = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
        onnx.checker.check_model(network)
        return network

    return make


@pytest.fixture(scope='session')
def images():
    """Give twelve images of noise in [0, 1.27], both ends reached in each."""
    values = np.random.default_rng(0).uniform(0, 1.27, (12, 3, *SIZE)).astype(np.float32)
    values[:, :, 0, 0], values[:, :, 0, 1] = 0, 1.27
    return list(values)
