import dataclasses
import json
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
for name in ('nncf', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.checks import sha256_of  # noqa: E402
from ssd_depth_core.export import quantize  # noqa: E402
from ssd_depth_core.export.quantized_layers import int8_nodes  # noqa: E402
from ssd_depth_core.export.sessions import open_onnxruntime, RUNTIMES  # noqa: E402
from ssd_depth_core.model_spec import load_spec, ModelSpec, save_spec  # noqa: E402
from ssd_depth_core.preprocess import normalize  # noqa: E402
from ssd_depth_core.reference_pair import load_reference  # noqa: E402
from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

H, W = 8, 12
FOCAL = 10.0
CONFIG = quantize.QuantizeConfig()
SPEC = ModelSpec(
    name='three',
    onnx_sha256='0' * 64,
    input_height=H,
    input_width=W,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    canonical_focal_px=FOCAL,
    training_data='none',
    training_command='a training',
    training_config={'seed': 3},
    metrics={'night': {'abs_rel': 9.0}},
    licence='Apache-2.0',
)


@pytest.fixture(scope='module')
def network(three_layers):
    return three_layers()


@pytest.fixture(scope='module')
def quantized(network, images):
    return quantize.quantize_network(network, images)


def constants(network):
    return {c.name: onnx.numpy_helper.to_array(c) for c in network.graph.initializer}


def predict(network, batch, runtime=None):
    run = RUNTIMES[runtime] if runtime else open_onnxruntime
    return run(network.SerializeToString(), ['inverse_depth', 'confidence'])(batch)


def frames_of(network, images):
    """Two conditions whose truth is 20 % off what the float network says, up and down."""
    inverse_depth = predict(network, np.stack(images))[0]
    factors = np.random.default_rng(1).choice((0.8, 1.2), inverse_depth.shape)
    frames = [
        {
            'image': torch.from_numpy(image),
            'depth': torch.from_numpy((factor / inverse).astype(np.float32)),
            'K': torch.tensor(((FOCAL, 0, W / 2), (0, FOCAL, H / 2), (0, 0, 1))),
        }
        for image, inverse, factor in zip(images, inverse_depth, factors, strict=True)
    ]
    return {'day-clear': frames[:6], 'night': frames[6:]}


def write(network, folder, **fields):
    path = folder / 'three.onnx'
    onnx.save(network, path)
    save_spec(dataclasses.replace(SPEC, **({'onnx_sha256': sha256_of(path)} | fields)), path)
    return path


# The graph.


def test_every_pair_is_signed_and_symmetric(quantized):
    onnx.checker.check_model(quantized)
    values = constants(quantized)
    pairs = [node for node in quantized.graph.node if node.op_type in quantize.PAIR]
    assert len(pairs) == 6  # image and b to int8 and back; two weights from int8
    for node in pairs:
        assert values[node.input[2]].dtype == np.int8
        assert not values[node.input[2]].any()
    assert [(o.domain, o.version) for o in quantized.opset_import] == [('', 18)]


def test_scales_and_weights_are_those_of_hand(quantized):
    values = constants(quantized)
    (image,) = (node for node in quantized.graph.node if list(node.input)[:1] == ['image'])
    assert values[image.input[1]] == pytest.approx(1.27 / 127, rel=1e-5)
    conv = next(node for node in quantized.graph.node if node.name == 'conv_2')
    weight = next(node for node in quantized.graph.node if node.output[0] == conv.input[1])
    # A row's largest weight is 127 levels, whatever the other rows hold.
    np.testing.assert_allclose(values[weight.input[1]], 1 / 127, rtol=1e-6)
    np.testing.assert_array_equal(
        values[weight.input[0]][..., 0, 0],
        [[127, -64, 32, 1], [3, 127, 5, -7], [-2, 4, -127, 99], [0, 11, 60, 127]],
    )


def test_the_last_layer_and_what_follows_stay_float(network, quantized):
    assert int8_nodes(network, quantized) == ['conv_1', 'conv_2']


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_every_runtime_computes_what_the_float_network_does(network, quantized, images, runtime):
    batch = np.stack(images)
    inverse_depth, confidence = predict(quantized, batch, runtime)
    expected = predict(network, batch)
    np.testing.assert_allclose(inverse_depth, expected[0], rtol=0.05)
    np.testing.assert_allclose(confidence, expected[1], atol=0.02)
    assert not np.array_equal(inverse_depth, expected[0])
    one = predict(quantized, batch[:1], runtime)[0]
    np.testing.assert_allclose(one, inverse_depth[:1], rtol=1e-5)


def test_unsigned_activations_become_signed_over_the_same_range(three_layers):
    network = three_layers()
    for name, value in (('step', np.float32(0.1)), ('zero', np.uint8(0))):
        network.graph.initializer.append(onnx.numpy_helper.from_array(np.array(value), name))
    node = onnx.helper.make_node
    network.graph.node.insert(0, node('QuantizeLinear', ['image', 'step', 'zero'], ['q'], 'q'))
    network.graph.node.insert(1, node('DequantizeLinear', ['q', 'step', 'zero'], ['dq'], 'dq'))
    network.graph.node[2].input[0] = 'dq'
    values = constants(quantize.signed(network))
    assert values['zero'].dtype == np.int8
    assert 127 * values['step'] == pytest.approx(255 * 0.1, rel=1e-6)
    assert constants(network)['zero'].dtype == np.uint8  # the one given is left as it was
    again = quantize.signed(quantize.signed(network))
    assert constants(again)['step'] == values['step']


def test_layers_named_stay_float(network, images):
    for pattern in ('middle.weight', 'mid*'):
        kept = quantize.quantize_network(network, images, [pattern])
        assert int8_nodes(network, kept) == ['conv_1']
    with pytest.raises(ValueError, match=r"no layer matches 'midle.weight'; .* middle.weight"):
        quantize.quantize_network(network, images, ['midle.weight'])


@pytest.mark.slow
def test_a_transformer_computes_nearly_the_same_and_its_layers_are_ranked(tmp_path):
    pytest.importorskip('timm')
    pytest.importorskip('onnxscript')
    from ssd_depth_core.export.int8_gate import rank_layers
    from ssd_depth_core.export.onnx import write_onnx
    from ssd_depth_core.models.depth_net import DepthNetConfig
    from ssd_depth_core.models.dpt_decoder import DptConfig
    from ssd_depth_core.models.factory import build_depth_net

    model = DepthNetConfig(
        encoder='vit_small_patch14_dinov2',
        encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
        decoder='dpt',
        dpt=DptConfig(taps=(1, 2, 3, 4), channels=(8, 8, 16, 16), features=8, batch_norm=False),
        input_height=28,
        input_width=56,
    )
    torch.manual_seed(0)
    write_onnx(build_depth_net(model).eval(), tmp_path / 'vit.onnx')
    network = onnx.load(tmp_path / 'vit.onnx')
    noise = np.random.default_rng(0).normal(size=(12, 3, 28, 56)).astype(np.float32)
    quantized = quantize.quantize_network(network, list(noise))
    onnx.checker.check_model(quantized)
    assert any('smooth' in node.name for node in quantized.graph.node)
    expected = predict(network, noise)[0]
    for runtime in RUNTIMES:
        np.testing.assert_allclose(predict(quantized, noise, runtime)[0], expected, rtol=0.05)
    ranked = rank_layers(network, quantized, list(noise[:2]))
    assert 0 < ranked[0].error < 0.05
    assert {layer.layer for layer in ranked} > {
        *('network.decoder.head.0.weight', 'network.encoder.backbone.blocks.3.attn.qkv/linear_12'),
    }


# The files.


@pytest.fixture
def frames(network, images):
    return frames_of(network, images)


def test_a_model_that_passes_is_written_with_its_spec(network, images, frames, tmp_path):
    model, out = write(network, tmp_path), tmp_path / 'out'
    config = dataclasses.replace(CONFIG, seed=5)
    costs = quantize.quantize_file(model, out, images, frames, config, 'a command')
    assert sorted(path.name for path in out.iterdir()) == [
        *('three.int8.check.npz', 'three.int8.costs.json', 'three.int8.json', 'three.int8.onnx'),
    ]
    spec = load_spec(out / 'three.int8.onnx')
    assert spec.name == 'three_int8'
    assert spec.training_command == 'a training; a command'
    assert spec.training_config['seed'] == 3
    assert spec.training_config['quantize']['seed'] == 5
    assert {(cost.runtime, cost.condition) for cost in costs} == {
        (runtime, condition) for runtime in RUNTIMES for condition in frames
    }
    for cost in costs:
        assert cost.num_frames == 6
        assert cost.abs_rel_float == pytest.approx(0.2, rel=0.1)
        assert cost.loss <= 0.02
        assert 0 < cost.confidence_shift < 0.01
    first = next(cost for cost in costs if cost.condition == 'night')
    assert spec.metrics['night']['abs_rel'] == first.abs_rel_int8
    report = json.loads((out / 'three.int8.costs.json').read_text())
    assert [row['abs_rel_int8'] for row in report] == [cost.abs_rel_int8 for cost in costs]


def test_two_runs_give_the_same_bytes(network, images, frames, tmp_path):
    model = write(network, tmp_path)
    for folder in ('a', 'b'):
        quantize.quantize_file(model, tmp_path / folder, images, frames, CONFIG, 'a command')
    for ending in ('onnx', 'json', 'costs.json', 'check.npz'):
        name = f'three.int8.{ending}'
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes()


def test_engines_are_checked_with_what_the_int8_file_says(
    network, images, frames, tmp_path, caplog
):
    model, out = write(network, tmp_path), tmp_path / 'out' / 'three.int8.onnx'
    quantize.quantize_file(model, out.parent, images, frames, CONFIG, 'a command')
    spec = load_spec(out)
    pair = load_reference(out, spec)
    assert pair.precision == 'int8'
    assert pair.picture.shape == (H, W, 3)
    image = normalize(pair.picture, spec.mean, spec.std)[None]
    by_float = dict(zip(('inverse_depth', 'confidence'), predict(network, image), strict=True))
    assert pair.differences(by_float)['inverse_depth'] > 1e-3  # it is not the float network's
    for backend in ('onnxruntime', 'openvino'):
        DepthPredictor.load(out, backend)
    assert not caplog.records


def test_a_confidence_that_moves_too_far_is_refused_by_its_own_layers(
    network, images, frames, tmp_path
):
    config = dataclasses.replace(CONFIG, max_confidence_shift=1e-5)
    message = r'move confidence by 1e-05 .*, confidence by 0.0.* that change confidence most'
    with pytest.raises(ValueError, match=message):
        quantize.quantize_file(
            write(network, tmp_path), tmp_path / 'out', images, frames, config, 'a command'
        )
    assert not (tmp_path / 'out').exists()


def test_a_costly_layer_is_named_and_can_be_kept_float(three_layers, images, frames, tmp_path):
    spoilt = three_layers(spoilt=1000.0)  # in float the same network
    model, out = write(spoilt, tmp_path), tmp_path / 'out'
    with pytest.raises(ValueError, match='int8 may cost 2.0%') as refusal:
        quantize.quantize_file(model, out, images, frames, CONFIG, 'a command')
    message = str(refusal.value)
    for part in ('day-clear absRel 0.', 'night absRel 0.', *RUNTIMES):
        assert part in message
    assert 'alone are int8: middle.weight ' in message  # the worst comes first
    assert not out.exists()
    config = dataclasses.replace(CONFIG, keep_float=('middle.weight',))
    quantize.quantize_file(model, out, images, frames, config, 'a command')
    assert load_spec(out / 'three.int8.onnx').training_config['quantize']['keep_float'] == [
        'middle.weight'
    ]


def test_without_nncf_the_remedy_is_named(network, images, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nncf', None)
    with pytest.raises(ImportError, match='int8 needs nncf.*`pip install nncf` brings it'):
        quantize.quantize_network(network, images)


def test_a_wrong_model_is_refused(network, quantized, images, frames, tmp_path):
    def run(model):
        quantize.quantize_file(model, tmp_path / 'out', images, frames, CONFIG, 'a command')

    with pytest.raises(FileNotFoundError, match='model not found at .*none.onnx'):
        run(tmp_path / 'none.onnx')
    with pytest.raises(ValueError, match='three.onnx is int8 already; give the float one'):
        run(write(quantized, tmp_path))
    with pytest.raises(ValueError, match='must be .3, 16, 12. float32 .* got .3, 8, 12. float32'):
        run(write(network, tmp_path, input_height=16))
    assert not (tmp_path / 'out').exists()


def test_too_few_images_are_refused(network, images, frames, tmp_path):
    model = write(network, tmp_path)
    with pytest.raises(ValueError, match='at least 8 images, got 7; raise num_calibration'):
        quantize.quantize_file(model, tmp_path / 'out', images[:7], frames, CONFIG, 'a command')
    assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('field', ['num_calibration_frames', 'num_gate_frames', 'max_loss'])
def test_numbers_are_positive(field):
    with pytest.raises(ValueError, match=f'{field} must be > 0, got 0'):
        dataclasses.replace(CONFIG, **{field: 0})
