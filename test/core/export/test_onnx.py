import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import yaml

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
for name in ('timm', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.config import from_dict  # noqa: E402
from ssd_depth_core.export import onnx as export  # noqa: E402
from ssd_depth_core.export.parity import measure_parity, Parity  # noqa: E402
from ssd_depth_core.export.reference import reference_picture  # noqa: E402
from ssd_depth_core.learning.checkpoint import CheckpointInfo, save_checkpoint  # noqa: E402
from ssd_depth_core.model_spec import load_spec  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig, ExportedDepthNet  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from ssd_depth_core.preprocess import normalize  # noqa: E402
from ssd_depth_core.reference_pair import load_reference  # noqa: E402
from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

MODEL = DepthNetConfig(input_height=64, input_width=96, decoder_channels=8, fine_channels=8)
STUDENTS = yaml.safe_load(
    (Path(__file__).parents[3] / 'config' / 'model' / 'students.yaml').read_text()
)
QUICK = ('mobilenetv4_conv_small', 'resnet18')
CONFIG = export.ExportConfig(name='tiny')
INFO = CheckpointInfo(
    model=MODEL,
    step=1,
    training_command='a command',
    training_config={'seed': 3, 'model': {'mean': [0.5]}},
    training_commit='0123456789',
    training_data='synthetic: nothing',
    metrics={'night': {'abs_rel': 0.5}},
)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return build_depth_net(MODEL).eval()


@pytest.fixture(scope='module')
def exported(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp('export')
    save_checkpoint(folder / 'a.safetensors', network, INFO)
    out = folder / 'weights' / 'tiny.onnx'
    return out, export.export_checkpoint(folder / 'a.safetensors', out, CONFIG)


@pytest.fixture
def untraced(monkeypatch):
    # Tracing takes ten seconds; what becomes of the file does not depend on what is in it.
    monkeypatch.setattr(export, 'write_onnx', lambda network, path: path.write_bytes(b'a graph'))
    monkeypatch.setattr(export, 'write_reference', lambda *_: None)


def test_the_file_is_one_opset_18_model_with_a_free_batch(exported):
    model = onnx.load(exported[0], load_external_data=False)
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [('', 18)]
    shapes = {
        value.name: [d.dim_value or d.dim_param for d in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert list(shapes) == ['image', 'inverse_depth', 'confidence']
    assert isinstance(shapes['image'][0], str)
    assert shapes['image'][1:] == [3, 64, 96]
    assert shapes['inverse_depth'][1:] == shapes['confidence'][1:] == [1, 64, 96]
    files = sorted(path.name for path in exported[0].parent.iterdir())
    assert files == ['tiny.check.npz', 'tiny.json', 'tiny.onnx', 'tiny.parity.json']


def test_the_file_names_modules_but_no_path_of_this_machine(exported):
    contents = exported[0].read_bytes()
    assert b'network.encoder.backbone' in contents
    assert b'depth_net.py' not in contents
    assert b'site-packages' not in contents


def test_the_runtimes_agree_with_torch(exported):
    assert [p.runtime.split()[0] for p in exported[1]] == ['onnxruntime', 'openvino']
    assert all(parity.error < 1e-5 for parity in exported[1])
    report = json.loads(exported[0].with_suffix('.parity.json').read_text())
    assert [Parity(**row) for row in report] == list(exported[1])


def test_the_spec_describes_the_network(exported):
    spec = load_spec(exported[0])
    assert (spec.name, spec.licence) == ('tiny', 'Apache-2.0')
    assert (spec.input_height, spec.input_width) == (64, 96)
    assert (spec.mean, spec.std) == (MODEL.mean, MODEL.std)
    assert spec.canonical_focal_px == MODEL.canonical_focal_px
    assert spec.training_command == 'a command'
    assert spec.training_config == {'seed': 3, 'model': {'mean': [0.5]}}
    assert (spec.training_commit, spec.training_steps) == ('0123456789', 1)
    assert spec.metrics == {'night': {'abs_rel': 0.5}}


def test_engines_are_checked_with_what_the_network_gives(exported, network, caplog):
    onnx_path = exported[0]
    pair = load_reference(onnx_path, load_spec(onnx_path))
    assert (pair.precision, pair.picture.shape) == ('fp32', (64, 96, 3))
    np.testing.assert_array_equal(pair.picture, reference_picture(64, 96))
    image = normalize(pair.picture, MODEL.mean, MODEL.std)[None]
    with torch.inference_mode():
        outputs = ExportedDepthNet(network).eval()(torch.from_numpy(image))
    names = ('inverse_depth', 'confidence')
    by_torch = {name: output.numpy() for name, output in zip(names, outputs, strict=True)}
    assert max(pair.differences(by_torch).values()) < 5e-4  # half precision's rounding
    for backend in ('onnxruntime', 'openvino'):
        DepthPredictor.load(onnx_path, backend)
    assert not caplog.records


def test_a_network_without_confidence_has_one_output_all_the_way(tmp_path):
    torch.manual_seed(0)
    model = DepthNetConfig(
        encoder='resnet18',
        decoder='monodepth2',
        output='sigmoid',
        confidence=False,
        input_height=64,
        input_width=96,
    )
    checkpoint, out = tmp_path / 'a.safetensors', tmp_path / 'teacher.onnx'
    save_checkpoint(checkpoint, build_depth_net(model), dataclasses.replace(INFO, model=model))
    parities = export.export_checkpoint(checkpoint, out, CONFIG)
    assert [parity.confidence_absolute for parity in parities] == [None, None]
    assert all(parity.error == parity.inverse_depth_relative < 1e-5 for parity in parities)
    assert [output.name for output in onnx.load(out).graph.output] == ['inverse_depth']
    assert not load_spec(out).has_confidence
    prediction = DepthPredictor.load(out).predict(np.zeros((64, 96, 3), np.uint8))
    assert prediction.depth.shape == (64, 96)
    assert prediction.confidence is None


@pytest.mark.parametrize(
    'name',
    [
        # Tracing takes up to 10 s of the processor for these two, up to 20 s for the others.
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in STUDENTS
    ],
)
def test_a_light_student_computes_in_every_runtime_what_it_does_in_torch(name, tmp_path):
    torch.manual_seed(0)
    multiple = from_dict(DepthNetConfig, STUDENTS[name], name).size_multiple
    small = {**STUDENTS[name], 'input_height': 2 * multiple, 'input_width': 3 * multiple}
    network = build_depth_net(from_dict(DepthNetConfig, small, name)).eval()
    export.write_onnx(network, tmp_path / 'a.onnx')
    model = onnx.load(tmp_path / 'a.onnx')
    onnx.checker.check_model(model)
    assert [(o.domain, o.version) for o in model.opset_import] == [('', 18)]
    for parity in measure_parity(network, tmp_path / 'a.onnx', seed=0):
        assert parity.error < 1e-4


def test_relative_inverse_depth_is_not_exported(tmp_path):
    model = dataclasses.replace(MODEL, output='relu')
    info = dataclasses.replace(INFO, model=model)
    save_checkpoint(tmp_path / 'a.safetensors', build_depth_net(model), info)
    with pytest.raises(ValueError, match='output relu: relative inverse depth, which no camera'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ['a.safetensors']


def test_an_older_checkpoint_is_completed_from_its_run(network, tmp_path, untraced, monkeypatch):
    monkeypatch.setattr(export, 'measure_parity', lambda *_: ())
    checkpoint, out = tmp_path / 'checkpoint.safetensors', tmp_path / 'tiny.onnx'
    old = dataclasses.replace(INFO, training_config={}, training_commit='unknown')
    save_checkpoint(checkpoint, network, old)
    with pytest.raises(FileNotFoundError, match=r'training config not found at .*config.yaml'):
        export.export_checkpoint(checkpoint, out, CONFIG)
    (tmp_path / 'config.yaml').write_text('seed: 8\nloop: {max_minutes: 3.0}\n')
    export.export_checkpoint(checkpoint, out, CONFIG)
    spec = load_spec(out)
    assert spec.training_config == {'seed': 8, 'loop': {'max_minutes': 3.0}}
    assert spec.training_commit == 'unknown'
    told = dataclasses.replace(CONFIG, training_commit='abcdef0123')
    export.export_checkpoint(checkpoint, out, told)
    assert load_spec(out).training_commit == 'abcdef0123'


def test_a_commit_that_contradicts_the_checkpoint_is_refused(network, tmp_path):
    save_checkpoint(tmp_path / 'a.safetensors', network, INFO)
    other = dataclasses.replace(CONFIG, training_commit='abcdef0123')
    with pytest.raises(ValueError, match='is 0123456789 in .* but abcdef0123 in the config'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', other)


def test_depth_without_a_unit_is_not_exported_as_metres(network, tmp_path):
    unitless = dataclasses.replace(INFO, training_config={'loss': {'velocity_weight': 0.0}})
    save_checkpoint(tmp_path / 'a.safetensors', network, unitless)
    with pytest.raises(ValueError, match='velocity_weight 0, so its depth has no unit'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert not (tmp_path / 'o.onnx').exists()


def test_depth_learnt_with_an_odometer_is_exported(network, tmp_path):
    loss = {'velocity_weight': 0.0, 'distance': 'odometer'}
    save_checkpoint(
        tmp_path / 'a.safetensors',
        network,
        dataclasses.replace(INFO, training_config={'loss': loss}),
    )
    export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert (tmp_path / 'o.onnx').exists()


def test_another_network_is_told_apart(exported, network):
    other = build_depth_net(MODEL).eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.head.bias += 0.01
    for parity in measure_parity(other, exported[0], seed=0):
        assert parity.inverse_depth_relative > 1e-3
        assert parity.confidence_absolute > 1e-4


@pytest.mark.parametrize(
    'errors', [(2e-4, 0.0), (2e-4, None), (0.0, 2e-4), (math.nan, 0.0), (0.0, math.nan)]
)
def test_a_difference_above_tolerance_leaves_no_file(
    network, tmp_path, untraced, monkeypatch, errors
):
    save_checkpoint(tmp_path / 'a.safetensors', network, INFO)
    relative, absolute = errors
    off = Parity(runtime='some 1.0', inverse_depth_relative=relative, confidence_absolute=absolute)
    monkeypatch.setattr(export, 'measure_parity', lambda *_: (off,))
    with pytest.raises(ValueError, match='some 1.0 differs from torch by (0.0002|nan), more than'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ['a.safetensors']


@pytest.mark.parametrize(('output', 'name'), [(0, 'inverse_depth'), (1, 'confidence')])
def test_a_network_that_gives_nan_is_not_exported(network, tmp_path, untraced, output, name):
    spoilt = build_depth_net(MODEL).eval()
    spoilt.load_state_dict(network.state_dict())
    with torch.no_grad():
        spoilt.head.bias[output] = math.nan
    save_checkpoint(tmp_path / 'a.safetensors', spoilt, INFO)
    with pytest.raises(ValueError, match=f'{name} of the network in torch must be finite'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ['a.safetensors']


def test_wrong_names_and_tolerances_are_errors(tmp_path):
    with pytest.raises(ValueError, match=r'out must end in .onnx, got .*o.pt'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.pt', CONFIG)
    with pytest.raises(ValueError, match='tolerance must be > 0'):
        dataclasses.replace(CONFIG, tolerance=0.0)
