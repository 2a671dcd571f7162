from dataclasses import replace

import cv2
import numpy as np
import pytest
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.preprocess import resize_image
from ssd_depth_core.runtime.backends.tensorrt_graph import (
    metric_constants,
    metric_graph,
    picture_constants,
    picture_graph,
    resizing_matrices,
    resizing_matrix,
)
from ssd_depth_core.runtime.postprocess import metric_depth
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL

onnx = pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')

SPEC = ModelSpec(
    name='tiny',
    onnx_sha256='0' * 64,
    input_height=12,
    input_width=20,
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    canonical_focal_px=10.0,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)
SIZE = (12, 20)


def run(model, **inputs):
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=['CPUExecutionProvider']
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def test_area_weights_are_shares_of_the_area_covered():
    third, sixth = 2 / 3, 1 / 3
    expected = [[third, sixth, 0], [0, sixth, third]]
    np.testing.assert_allclose(resizing_matrix(3, 2, 'area'), expected, atol=5e-4)


def test_linear_weights_are_taken_between_pixel_centres():
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    np.testing.assert_array_equal(resizing_matrix(2, 4, 'linear'), expected)


# Shrinking by a whole and by an odd factor, growing, and one side each way.
@pytest.mark.parametrize('size', [(36, 60), (100, 173), (7, 9), (30, 15), (12, 20), (1, 1)])
@pytest.mark.parametrize('order', ['rgb', 'bgr'])
def test_pictures_become_what_the_cpu_makes_of_them(size, order):
    spec = replace(SPEC, colour_order=order)
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    rows, columns = resizing_matrices(size, SIZE)
    (image,) = run(picture_graph(spec), picture=picture, rows=rows, columns=columns)['image']
    std = np.reshape(spec.std, (3, 1, 1))

    def levels_from(small):
        ordered = small if order == 'rgb' else small[..., ::-1]
        expected = (ordered / 255 - spec.mean) / spec.std
        return np.abs(image - expected.transpose(2, 0, 1)).max() / (1 / (255 * std)).max()

    # Half precision costs an eighth of a level in each of its two sums; the CPU rounds besides.
    shrinks = size[0] >= SIZE[0] and size[1] >= SIZE[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    exact = cv2.resize(picture.astype(np.float32), SIZE[::-1], interpolation=how)
    assert levels_from(exact) < 0.25
    assert levels_from(resize_image(picture, SIZE)) < 0.75 + 1e-3


def tiny_network(batch='batch', outputs=('inverse_depth', 'confidence')):
    port, node = onnx.helper.make_tensor_value_info, onnx.helper.make_node
    constants = {'0': [0], '1': [1], '2': [2]}
    graph = onnx.helper.make_graph(
        [
            node('Slice', ['image', '0', '1', '1'], ['inverse_depth']),
            node('Slice', ['image', '1', '2', '1'], ['confidence']),
        ],
        'tiny',
        [port('image', onnx.TensorProto.FLOAT, [batch, 3, 2, 3])],
        [port(name, onnx.TensorProto.FLOAT, [batch, 1, 2, 3]) for name in outputs],
        [onnx.numpy_helper.from_array(np.array(v), name) for name, v in constants.items()],
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)


def network_outputs(inverse_depth, confidence=None, scales=(1.0,)):
    image = np.zeros((len(scales), 3, 2, 3), np.float32)
    image[:, 0] = np.reshape(inverse_depth, (-1, 2, 3))
    if confidence is not None:
        image[:, 1] = np.reshape(confidence, (-1, 2, 3))
    model = metric_graph(tiny_network(), replace(SPEC, input_height=2, input_width=3))
    return run(model, image=image, focal_scale=np.reshape(np.float32(scales), (-1, 1, 1, 1)))


def test_inverse_depth_becomes_the_metres_that_the_cpu_makes_of_it():
    inverse_depth = np.array([10, 1, 0.1, 1 / 77.5, 1 / 77.7, 1 / 80], np.float32)
    outputs = network_outputs(np.tile(inverse_depth, 2), scales=(1.0, 1.5))
    for depth, focal_px in zip(outputs['depth'], (None, 15.0), strict=True):
        expected = metric_depth(inverse_depth, SPEC, focal_px)
        np.testing.assert_allclose(depth.ravel(), expected, rtol=1e-6)
        assert np.isnan(expected).tolist() == [False] * 4 + [True] * 2
    np.testing.assert_array_equal(outputs['inverse_depth'][1].ravel(), inverse_depth)


def test_good_values_are_counted_by_picture():
    depths = [[1, 1, 1, 1, 1, 1], [np.nan, np.inf, -np.inf, 0, -1, 2]]
    confidences = [[0, 0, 1, 1, 0.5, 0.5], [np.nan, np.inf, -np.inf, 0, -1, 2]]
    outputs = network_outputs(depths, confidences, scales=(1.0, 1.0))
    assert outputs['good_inverse_depth'].ravel().tolist() == [6, 1]
    assert outputs['good_confidence'].ravel().tolist() == [6, 3]


def test_a_fixed_batch_and_a_missing_confidence_are_followed():
    model = metric_graph(tiny_network(1, ('inverse_depth',)), SPEC)
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        port.name: [d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    }
    assert shapes['focal_scale'] == [1, 1, 1, 1]
    assert shapes['depth'] == [1, 1, 2, 3]
    assert 'good_confidence' not in shapes


@pytest.mark.parametrize(
    'change',
    [
        {'mean': (0.5, 0.456, 0.406)},
        {'std': (1, 1, 1)},
        {'colour_order': 'bgr'},
        {'input_width': 40},
    ],
)
def test_whatever_the_way_of_pictures_bakes_in_is_told(change):
    assert picture_constants(replace(SPEC, **change)) != picture_constants(SPEC)


def test_whatever_the_way_to_metres_bakes_in_is_told():
    assert metric_constants(replace(SPEC, max_depth_m=100.0)) != metric_constants(SPEC)


def test_both_graphs_together_give_what_the_predictor_gives():
    predictor = DepthPredictor.load(None, 'onnxruntime')
    spec = predictor.spec
    coarse = np.random.default_rng(0).integers(0, 256, (9, 16, 3), np.uint8)
    picture = cv2.resize(coarse, (638, 382))  # too small for the CPU to halve and round it before
    rows, columns = resizing_matrices((382, 638), (spec.input_height, spec.input_width))
    image = run(picture_graph(spec), picture=picture, rows=rows, columns=columns)['image']
    scale = np.full((1, 1, 1, 1), 1.25, np.float32)
    outputs = run(metric_graph(onnx.load(SHIPPED_MODEL), spec), image=image, focal_scale=scale)
    focal_px = 1.25 * spec.canonical_focal_px
    K = np.diag([focal_px * 638 / spec.input_width, focal_px * 382 / spec.input_height, 1.0])
    expected = predictor.predict(picture, K)
    both = np.isfinite(expected.depth) & np.isfinite(outputs['depth'][0, 0])
    assert both.mean() > 0.9
    relative = outputs['depth'][0, 0][both] / expected.depth[both] - 1
    assert np.percentile(np.abs(relative), 99) < 0.01  # the CPU rounds averages to whole levels
    np.testing.assert_allclose(outputs['confidence'][0, 0], expected.confidence, atol=0.01)
    assert outputs['good_inverse_depth'] == spec.input_height * spec.input_width
