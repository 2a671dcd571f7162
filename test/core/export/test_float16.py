from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

from ssd_depth_core.checks import sha256_of  # noqa: E402
from ssd_depth_core.export.float16 import float16_file, to_float16  # noqa: E402
from ssd_depth_core.model_spec import load_spec, save_spec  # noqa: E402
from ssd_depth_core.reference_pair import (  # noqa: E402
    load_reference,
    output_names,
    ReferencePair,
    save_reference,
)
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL  # noqa: E402

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def run(model, image):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    return session.run(None, {'image': image})


def types_of(model):
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def test_layers_are_in_half_precision_but_the_last_and_the_ports(three_layers):
    half = to_float16(three_layers())
    types = types_of(half)
    assert [types[name] for name in 'abcd'] == [HALF] * 4
    ports = ('image', 'logits', 'fraction', 'inverse_depth', 'confidence')
    assert [types[name] for name in ports] == [FLOAT] * 5
    weights = {tensor.name: tensor.data_type for tensor in half.graph.initializer}
    assert weights['middle.weight/float16'] == HALF
    assert weights['head.weight'] == FLOAT
    assert 'middle.weight' not in weights
    # After the image, and before the head.
    assert Counter(node.op_type for node in half.graph.node)['Cast'] == 2


def test_what_it_computes_is_what_the_float_network_does(three_layers, images):
    network = three_layers()
    before = network.SerializeToString()
    batch = np.stack(images)
    half = run(to_float16(network), batch)
    for got, expected in zip(half, run(network, batch), strict=True):
        np.testing.assert_allclose(got, expected, rtol=5e-3)
        assert not np.array_equal(got, expected)
    assert network.SerializeToString() == before


def test_the_shipped_student_keeps_its_depth_in_half_precision():
    network = onnx.load(SHIPPED_MODEL)
    half = to_float16(network)
    assert half.ByteSize() < 0.55 * network.ByteSize()
    image = np.random.default_rng(0).normal(size=(1, 3, 192, 320)).astype(np.float32)
    (depth, confidence), expected = run(half, image), run(network, image)
    np.testing.assert_allclose(depth, expected[0], rtol=0.01)
    np.testing.assert_allclose(confidence, expected[1], atol=0.002)


def chain(*steps):
    """A network of operators with one input each, before a last layer with weights."""
    node, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    names = ['image', *(f'value_{i}' for i in range(len(steps)))]
    nodes = [
        node(operator, [names[i], *inputs], [names[i + 1]], f'node_{i}', **attributes)
        for i, (operator, inputs, attributes) in enumerate(steps)
    ]
    nodes.append(node('Conv', [names[-1], 'weight'], ['inverse_depth'], 'head'))
    constants = {
        'weight': np.ones((1, 3, 1, 1), np.float32),
        'scales': np.array([1, 1, 2, 2], np.float32),
    }
    graph = onnx.helper.make_graph(
        nodes,
        'chain',
        [port('image', FLOAT, [1, 3, 2, 2])],
        [port('inverse_depth', FLOAT, None)],
        [onnx.numpy_helper.from_array(v, k) for k, v in constants.items()],
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)


def test_parameters_that_must_be_float32_stay_so():
    network = chain(('Relu', [], {}), ('Resize', ['', 'scales'], {'mode': 'linear'}))
    half = to_float16(network)
    assert types_of(half)['value_1'] == HALF
    assert {t.name for t in half.graph.initializer} == {'scales', 'weight'}
    image = np.full((1, 3, 2, 2), 0.25, np.float32)
    np.testing.assert_array_equal(run(half, image)[0], np.full((1, 1, 4, 4), 0.75))


def test_sums_stay_in_float32_between_layers_in_half_precision():
    network = chain(('Relu', [], {}), ('Softmax', [], {'axis': 1}), ('Relu', [], {}))
    types = types_of(to_float16(network))
    assert [types[f'value_{i}'] for i in range(3)] == [HALF, FLOAT, HALF]


def test_a_weight_beyond_half_precision_is_refused(three_layers):
    message = 'weight first.weight must be at most 65504 .* got 1e\\+06'
    with pytest.raises(ValueError, match=message):
        to_float16(three_layers(spoilt=1e6))


def test_what_is_not_float32_is_refused(three_layers):
    half = to_float16(three_layers())
    with pytest.raises(ValueError, match='has half precision already; give the float32 one'):
        to_float16(half)


def test_the_file_lies_beside_its_spec(tmp_path):
    path = float16_file(SHIPPED_MODEL, tmp_path / 'new')
    assert path == tmp_path / 'new' / 'student.fp16.onnx'
    spec = load_spec(path)  # which verifies the hash
    assert (spec.name, spec.metrics) == ('student_fp16', {})
    assert spec.canonical_focal_px == load_spec(SHIPPED_MODEL).canonical_focal_px


def test_engines_are_held_to_what_float32_computed(three_layers, tmp_path):
    network = three_layers()
    model = tmp_path / 'three.onnx'
    onnx.save(network, model)
    spec = replace(load_spec(SHIPPED_MODEL), onnx_sha256=sha256_of(model))
    save_spec(spec, model)
    pair = ReferencePair(
        onnx_sha256=spec.onnx_sha256,
        precision='fp32',
        picture=np.zeros((4, 6, 3), np.uint8),
        outputs={name: np.full((4, 6), 0.5, np.float16) for name in output_names(spec)},
    )
    save_reference(pair, model)
    half = float16_file(model, tmp_path / 'half')
    written = load_reference(half, load_spec(half))  # which verifies that they belong together
    assert written.precision == 'fp16'
    for name, values in pair.outputs.items():
        np.testing.assert_array_equal(written.outputs[name], values)
