from dataclasses import replace
import math

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
for name in ('onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.export import int8_gate as gate  # noqa: E402
from ssd_depth_core.export.sessions import RUNTIMES  # noqa: E402
from ssd_depth_core.model_spec import ModelSpec  # noqa: E402

H, W = 2, 3
FOCAL = 10.0
SPEC = ModelSpec(
    name='flat',
    onnx_sha256='0' * 64,
    input_height=H,
    input_width=W,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    canonical_focal_px=FOCAL,
    has_confidence=False,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)


def flat(depth_m, *, first=0.0, head=0.0, suffix='', confidence=None):
    """A network that says one depth of any picture; `first` and `head` add to its logarithm.

    Its confidence, where it has one, is the picture's third channel times `confidence`.
    With a suffix, its two layers read other tensors, as those of a quantised network do.
    """
    values = {
        'first.weight': np.zeros((1, 3, 1, 1)),
        'first.bias': np.array([-math.log(depth_m) - first]),
        'head.weight': np.ones((1, 1, 1, 1)),
        'head.bias': np.array([-head]),
    }
    constants = [
        onnx.numpy_helper.from_array(value.astype(np.float32), name + suffix)
        for name, value in values.items()
    ]
    first_inputs, head_inputs = (
        [f'{layer}.{part}{suffix}' for part in ('weight', 'bias')] for layer in ('first', 'head')
    )
    node, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    sure, outputs = [], ['inverse_depth']
    if confidence is not None:
        weight = np.reshape([0, 0, confidence], (1, 3, 1, 1)).astype(np.float32)
        constants.append(onnx.numpy_helper.from_array(weight, f'sure.weight{suffix}'))
        sure = [node('Conv', ['image', f'sure.weight{suffix}'], ['confidence'], 'conv_3')]
        outputs.append('confidence')
    graph = onnx.helper.make_graph(
        [
            node('Conv', ['image', *first_inputs], ['a'], 'conv_1'),
            node('Conv', ['a', *head_inputs], ['b'], 'conv_2'),
            node('Exp', ['b'], ['inverse_depth'], 'exp'),
            *sure,
        ],
        'flat',
        [port('image', onnx.TensorProto.FLOAT, ['batch', 3, H, W])],
        [port(name, onnx.TensorProto.FLOAT, ['batch', 1, H, W]) for name in outputs],
        constants,
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    return onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)


def frames(depth_m, count):
    K = torch.tensor(((FOCAL, 0, 1.0), (0, FOCAL, 0.5), (0, 0, 1)))
    depth = torch.full((1, H, W), depth_m)
    return [{'image': torch.zeros(3, H, W), 'depth': depth, 'K': K} for _ in range(count)]


def test_costs_are_those_of_hand():
    by_condition = {'day-clear': frames(10.0, 3), 'night': frames(4.0, 1)}
    costs, metrics = gate.measure_costs(
        flat(8.0).SerializeToString(), flat(7.5).SerializeToString(), by_condition, SPEC
    )
    assert [(cost.runtime, cost.condition) for cost in costs] == [
        (runtime, condition) for runtime in RUNTIMES for condition in by_condition
    ]
    for day, night in (costs[:2], costs[2:]):
        assert (day.num_frames, night.num_frames) == (3, 1)
        assert (day.abs_rel_float, day.abs_rel_int8) == (0.2, 0.25)
        assert day.loss == pytest.approx(0.25)
        assert (night.abs_rel_float, night.abs_rel_int8) == (1.0, 0.875)
        assert night.loss == pytest.approx(-0.125)
    assert metrics['day-clear']['abs_rel'] == 0.25
    assert metrics['night']['n'] == 1


def test_a_confidence_moves_by_the_mean_over_all_pixels():
    by_condition = {'day-clear': frames(10.0, 17), 'night': frames(10.0, 2)}  # two batches by day
    for number, frame in enumerate((*by_condition['day-clear'], *by_condition['night'])):
        frame['image'] = torch.full((3, H, W), 0.9 if number < 17 else 0.2)
        frame['image'][..., 0] = 0  # where nothing moves
    costs, _ = gate.measure_costs(
        flat(8.0, confidence=1.0).SerializeToString(),
        flat(8.0, confidence=0.9).SerializeToString(),
        by_condition,
        replace(SPEC, has_confidence=True),
    )
    shifts = [cost.confidence_shift for cost in costs]
    assert shifts == pytest.approx(2 * [0.09 * 2 / 3, 0.02 * 2 / 3], abs=1e-5)
    assert [cost.loss for cost in costs] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ('after', 'shift', 'kept'),
    [
        (0.21, None, True),
        (0.21, 0.02, True),
        (0.23, 0.0, False),
        (0.21, 0.03, False),
        (math.nan, 0.0, False),
        (0.21, math.nan, False),
    ],
)
def test_both_limits_are_to_be_kept(after, shift, kept):
    cost = gate.Int8Cost(
        runtime='some 1.0',
        condition='night',
        num_frames=7,
        abs_rel_float=0.2,
        abs_rel_int8=after,
        confidence_shift=shift,
    )
    assert cost.within(max_loss=0.1, max_confidence_shift=0.02) == kept


def test_layers_are_ranked_by_what_each_does_alone():
    network = flat(8.0)
    quantized = flat(8.0, first=math.log(1 / 1.1), head=math.log(1 / 1.3), suffix='_int8')
    images = [np.zeros((3, H, W), np.float32)] * 2
    ranked = gate.rank_layers(network, quantized, images)
    assert [layer.layer for layer in ranked] == ['head.weight', 'first.weight']
    assert [layer.error for layer in ranked] == pytest.approx([0.3, 0.1], rel=1e-5)
    assert gate.rank_layers(network, network, images) == []


def test_layers_are_ranked_by_confidence_where_that_is_asked():
    network, quantized = flat(8.0, confidence=0.5), flat(8.0, confidence=0.4, suffix='_int8')
    images = [np.ones((3, H, W), np.float32)]
    ranked = gate.rank_layers(network, quantized, images, 'confidence')
    assert (ranked[0].layer, ranked[0].error) == ('sure.weight', pytest.approx(0.1, rel=1e-5))
    by_depth = gate.rank_layers(network, quantized, images)
    assert [layer.error for layer in by_depth] == [0, 0, 0]


def test_a_refusal_names_figures_and_the_worst_layers():
    cost = gate.Int8Cost(
        runtime='some 1.0',
        condition='night',
        num_frames=7,
        abs_rel_float=0.2,
        abs_rel_int8=0.21,
        confidence_shift=0.0312,
    )
    layers = [gate.LayerError(layer=f'layer_{n}', error=0.1 / (n + 1)) for n in range(9)]
    limits = {'max_loss': 0.02, 'max_confidence_shift': 0.01}
    text = gate.refusal([cost], layers, 'inverse_depth', **limits)
    assert 'may cost 2.0% of absRel and move confidence by 0.01 in any' in text
    assert '0.2000 to 0.2100 (+5.0% in some 1.0, 7 frames), confidence by 0.031. The' in text
    assert 'that change inverse depth most' in text
    assert 'layer_0 10.00%, layer_1 5.00%, ' in text
    assert 'layer_4' in text
    assert 'layer_5' not in text
    assert 'keep_float' in text
    assert '\n' not in text


def test_a_refusal_speaks_of_confidence_only_where_there_is_one():
    cost = gate.Int8Cost(
        runtime='some 1.0',
        condition='fog',
        num_frames=7,
        abs_rel_float=0.2,
        abs_rel_int8=0.21,
        confidence_shift=None,
    )
    limits = {'max_loss': 0.02, 'max_confidence_shift': 0.01}
    assert 'confidence' not in gate.refusal([cost], [], 'inverse_depth', **limits)
