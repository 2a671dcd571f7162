import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
for name in ('onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.export import quantized_layers as layers  # noqa: E402
from ssd_depth_core.export.sessions import open_onnxruntime  # noqa: E402

STEP = 0.01


@pytest.fixture
def network(three_layers):
    return three_layers(size=(1, 1))


@pytest.fixture
def quantized(network):
    """Read the image by one pair; give middle smoothed inputs, int8 weights and another bias."""
    result = onnx.ModelProto()
    result.CopyFrom(network)
    weight = next(c for c in result.graph.initializer if c.name == 'middle.weight')
    levels = np.round(onnx.numpy_helper.to_array(weight) * 127).astype(np.int8)
    weight.CopyFrom(onnx.numpy_helper.from_array(levels, 'levels'))
    bias = next(c for c in result.graph.initializer if c.name == 'middle.bias')
    bias.CopyFrom(onnx.numpy_helper.from_array(np.full(4, 0.25, np.float32), 'middle.bias'))
    for name, value in (
        ('step', np.float32(STEP)),
        ('fine', np.float32(0.5 / 127)),
        ('two', np.float32(2)),
        ('zero', np.int8(0)),
    ):
        result.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    node = onnx.helper.make_node
    result.graph.node.insert(
        0, node('QuantizeLinear', ['image', 'step', 'zero'], ['q'], 'QuantizeLinear_image')
    )
    result.graph.node.insert(
        1, node('DequantizeLinear', ['q', 'step', 'zero'], ['dq'], 'DequantizeLinear_image')
    )
    result.graph.node.insert(
        2, node('DequantizeLinear', ['levels', 'fine', 'zero'], ['w'], 'DequantizeLinear_weight')
    )
    place = [node.name for node in result.graph.node].index('conv_2')
    result.graph.node.insert(place, node('Mul', ['b', 'two'], ['smoothed'], 'smooth'))
    nodes = {node.name: node for node in result.graph.node}
    nodes['conv_1'].input[0] = 'dq'
    nodes['conv_2'].input[:2] = ['smoothed', 'w']
    onnx.checker.check_model(result)
    return result


def outputs(network, image, *names):
    shown = onnx.ModelProto()
    shown.CopyFrom(network)
    for name in set(names) - {output.name for output in network.graph.output}:
        shown.graph.output.append(onnx.ValueInfoProto(name=name))
    return open_onnxruntime(shown.SerializeToString(), list(names))(image)


def test_layers_are_called_by_their_weights(network):
    names = layers.layer_names(network)
    assert names['conv_1'] == 'first.weight'
    assert names['conv_3'] == 'head.weight'
    assert names['relu_1'] == 'relu_1'


def test_layers_without_weights_of_torch_are_called_by_their_modules(network):
    nodes = {node.name: node for node in network.graph.node}
    for name in ('conv_1', 'conv_2', 'relu_1'):
        scopes = "['', 'network', 'network.encoder', 'network.encoder.qkv', 'linear_3']"
        nodes[name].metadata_props.add(key=layers.SCOPES, value=scopes)
    weight = next(c for c in network.graph.initializer if c.name == 'first.weight')
    weight.name = nodes['conv_1'].input[1] = 'val_75'  # folded by the exporter
    names = layers.layer_names(network)
    assert names['conv_1'] == names['relu_1'] == 'network.encoder.qkv/linear_3'
    assert names['conv_2'] == 'middle.weight'
    nodes['exp'].metadata_props.add(key=layers.SCOPES, value="['', 'exp']")
    assert layers.layer_names(network)['exp'] == 'exp'


def test_the_outputs_begin_with_the_last_weights(network):
    assert layers.output_nodes(network) == {
        *('conv_3', 'sigmoid', 'slice_1', 'slice_2', 'mul', 'add', 'exp'),
    }


def test_int8_layers_are_those_that_read_other_tensors(network, quantized):
    assert layers.int8_nodes(network, quantized) == ['conv_1', 'conv_2']
    assert layers.int8_nodes(network, network) == []


def test_the_first_layer_alone_reads_rounded_images(network, quantized):
    image = np.array([0.0149, 0.0151, 1.9], np.float32).reshape(1, 3, 1, 1)
    rounded = np.array([0.01, 0.02, 1.27], np.float32).reshape(1, 3, 1, 1)
    mixed = layers.alone_in_int8(network, quantized, 'conv_1')
    onnx.checker.check_model(mixed)
    expected = outputs(network, rounded, 'inverse_depth', 'confidence')
    np.testing.assert_allclose(
        outputs(mixed, image, 'inverse_depth', 'confidence'), expected, rtol=1e-6
    )


def test_another_layer_alone_has_its_own_weights_and_bias(network, quantized):
    image = np.array([0.0149, 0.0151, 0.9], np.float32).reshape(1, 3, 1, 1)
    mixed = layers.alone_in_int8(network, quantized, 'conv_2')
    onnx.checker.check_model(mixed)
    # The levels are exact, so that of the layer the bias alone has changed.
    before = outputs(network, image, 'c')[0]
    np.testing.assert_allclose(outputs(mixed, image, 'c')[0], before + 0.25, rtol=1e-5)


def test_nothing_unused_comes_along_and_nothing_given_changes(network, quantized):
    before = network.SerializeToString(), quantized.SerializeToString()
    mixed = layers.alone_in_int8(network, quantized, 'conv_2')
    names = {constant.name for constant in mixed.graph.initializer}
    assert {'int8/levels', 'int8/fine', 'int8/zero', 'int8/middle.bias'} <= names
    assert not {'middle.weight', 'middle.bias', 'int8/step'} & names
    assert (network.SerializeToString(), quantized.SerializeToString()) == before
