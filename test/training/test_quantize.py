from dataclasses import replace
from pathlib import Path
import shutil
import sys

import numpy as np
import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
for name in ('nncf', 'accelerate', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.checks import sha256_of  # noqa: E402
from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index  # noqa: E402
from ssd_depth_core.export.quantize import QuantizeConfig  # noqa: E402
from ssd_depth_core.model_spec import load_spec, ModelSpec, save_spec  # noqa: E402
from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

from training import quantize  # noqa: E402
from training._int8_frames import drawn, images_of, indexed_frames, rendered_frames  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'config' / 'export' / 'int8.yaml'
K = ((50.0, 0.0, 31.5), (0.0, 50.0, 31.5), (0.0, 0.0, 1.0))
SPEC = ModelSpec(
    name='two',
    onnx_sha256='0' * 64,
    input_height=64,
    input_width=64,
    mean=(0.5, 0.5, 0.5),
    std=(0.25, 0.25, 0.25),
    canonical_focal_px=50.0,
    has_confidence=False,
    training_data='none',
    training_command='a training',
    metrics={},
    licence='Apache-2.0',
)


@pytest.fixture
def model(tmp_path):
    """Two 1x1 convolutions: the brighter, the nearer."""
    constants = {
        'first.weight': np.full((2, 3, 1, 1), 0.3, np.float32),
        'first.bias': np.array([0.1, 0.7], np.float32),
        'head.weight': np.full((1, 2, 1, 1), 0.2, np.float32),
        'head.bias': np.array([-1.0], np.float32),
    }
    node, port = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [
            node('Conv', ['image', 'first.weight', 'first.bias'], ['a'], 'conv_1'),
            node('Relu', ['a'], ['b'], 'relu'),
            node('Conv', ['b', 'head.weight', 'head.bias'], ['logits'], 'conv_2'),
            node('Exp', ['logits'], ['inverse_depth'], 'exp'),
        ],
        'two',
        [port('image', onnx.TensorProto.FLOAT, ['batch', 3, 64, 64])],
        [port('inverse_depth', onnx.TensorProto.FLOAT, ['batch', 1, 64, 64])],
        [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    path = tmp_path / 'two.onnx'
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    save_spec(replace(SPEC, onnx_sha256=sha256_of(path)), path)
    return path


def run(model, out, *options):
    words = ['--config', CONFIG, '--model', model, '--out', out, *options]
    return quantize.main([str(word) for word in words])


def test_a_rendered_set_gives_a_model_that_the_runtime_runs(model, rendered_set, tmp_path, capsys):
    out = tmp_path / 'int8'
    assert run(model, out, '--data', rendered_set, '--seed', 4) == 0
    printed = capsys.readouterr().out
    assert 'calibration: 12 frames of day-clear, night' in printed
    assert f'model: {out / "two.int8.onnx"}' in printed
    spec = load_spec(out / 'two.int8.onnx')
    assert spec.training_config['quantize']['seed'] == 4
    assert '; python -m training.quantize --config ' in spec.training_command
    assert {condition: row['n'] for condition, row in spec.metrics.items()} == {
        'day-clear': 2,
        'night': 2,
    }
    picture = np.full((64, 64, 3), 99, np.uint8)
    for backend in ('onnxruntime', 'openvino'):
        depths = [
            DepthPredictor.load(path, backend=backend).predict(picture).depth
            for path in (out / 'two.int8.onnx', model)
        ]
        np.testing.assert_allclose(*depths, rtol=0.02)


def test_a_limit_that_is_not_held_writes_nothing(model, rendered_set, tmp_path):
    options = ('--data', rendered_set, '--set', 'max_loss=1e-9')
    with pytest.raises(ValueError, match=r'absRel .* alone are int8: first.weight .*keep_float'):
        run(model, tmp_path / 'int8', *options)
    assert not (tmp_path / 'int8').exists()


def test_missing_nncf_is_told_in_one_line(model, rendered_set, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'nncf', None)
    with pytest.raises(ValueError, match='`pip install nncf` brings it'):
        run(model, tmp_path / 'int8', '--data', rendered_set)


def test_the_shipped_config_holds_every_field_at_its_default():
    import yaml

    assert set(yaml.safe_load(CONFIG.read_text())) == set(QuantizeConfig.__dataclass_fields__)


# The frames.


def ids(dataset):
    return [frame.line.id for frame in dataset.frames]


def test_calibration_is_drawn_from_train_and_the_gate_from_validation(rendered_set):
    config = QuantizeConfig(num_calibration_frames=3, num_gate_frames=1)
    calibration, gate = rendered_frames([rendered_set], SPEC, config)
    assert list(calibration) == list(gate) == ['day-clear', 'night']
    train = ['000000', '000001', '000003', '000004', '000006', '000007']
    for condition in calibration:
        assert len(ids(calibration[condition])) == 3
        assert set(ids(calibration[condition])) <= set(train)
        assert ids(gate[condition]) == ['000002']
    assert [image.shape for image in images_of(calibration)] == 6 * [(3, 64, 64)]
    same, _ = rendered_frames([rendered_set], SPEC, config)
    assert [ids(x) for x in same.values()] == [ids(x) for x in calibration.values()]
    others = [
        rendered_frames([rendered_set], SPEC, replace(config, seed=seed))[0]
        for seed in range(1, 4)
    ]
    assert any(ids(x['night']) != ids(calibration['night']) for x in others)


def test_the_gate_may_see_conditions_that_the_calibration_has_not(rendered_set, tmp_path):
    night = shutil.copytree(rendered_set, tmp_path / 'night')
    path = night / 'frames.jsonl'
    path.write_text(path.read_text().replace('["day-clear", "night"]', '["night"]'))
    config = QuantizeConfig(num_calibration_frames=2, num_gate_frames=1)
    calibration, gate = rendered_frames([night], SPEC, config, validation=[rendered_set])
    assert list(calibration) == ['night']
    assert list(gate) == ['day-clear', 'night']


def test_drawing_takes_each_once_and_keeps_the_order():
    rng = np.random.default_rng(0)
    assert drawn('abc', 5, rng) == ['a', 'b', 'c']
    for _ in range(5):
        some = drawn(range(100), 40, rng)
        assert len(set(some)) == 40
        assert some == sorted(some)


def test_an_index_gives_the_same_kinds_of_frames(rendered_set, tmp_path):
    lines = [
        IndexLine(
            id=f'{name}-{number}',
            scene=name,
            channel='CAM_FRONT',
            condition=condition,
            timestamp_us=number,
            image=f'{condition}/{number:06d}.jpg',
            size=(64, 64),
            K=K,
            speed_mps=None,
            exact_depth=f'depth/{number:06d}.png',
        )
        for name, condition in (('street', 'day-clear'), ('street-night', 'night'))
        for number in range(6)
    ]
    header = IndexHeader(
        format='nuscenes', root=str(rendered_set), options={}, kept={}, dropped={}
    )
    validation = [line for line in lines if line.timestamp_us in (2, 5)]
    # What a network is calibrated on needs no truth, and no sweep is recorded here.
    train = [replace(line, exact_depth=None) for line in lines if line not in validation]
    write_index(tmp_path, header, {'train': train, 'validation': validation})
    config = QuantizeConfig(num_calibration_frames=3, num_gate_frames=9)
    calibration, gate = indexed_frames(tmp_path, SPEC, config)
    assert {condition: len(frames) for condition, frames in calibration.items()} == {
        'day-clear': 3,
        'night': 3,
    }
    # A picture's level tells its number: 5 a frame at night.
    numbers = [round((float(s['image'].mean()) / 4 + 0.5) * 51 - 2) for s in gate['night']]
    assert numbers == [2, 5]
    assert gate['night'][0]['depth'][0, 5, 5] == 4 + 3 * 2
    assert 'depth' not in calibration['night'][0]
    assert len(images_of(calibration)) == 6
