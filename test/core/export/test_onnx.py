import dataclasses
import json
import math

import pytest

torch = pytest.importorskip('torch')
onnx = pytest.importorskip('onnx')
for name in ('timm', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.export import onnx as export  # noqa: E402
from ssd_depth_core.export.parity import measure_parity, Parity  # noqa: E402
from ssd_depth_core.learning.checkpoint import CheckpointInfo, save_checkpoint  # noqa: E402
from ssd_depth_core.model_spec import load_spec  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

MODEL = DepthNetConfig(input_height=64, input_width=96, decoder_channels=8, fine_channels=8)
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
    assert files == ['tiny.json', 'tiny.onnx', 'tiny.parity.json']


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


def test_an_older_checkpoint_is_completed_from_its_run(network, tmp_path):
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


def test_another_network_is_told_apart(exported, network):
    other = build_depth_net(MODEL).eval()
    other.load_state_dict(network.state_dict())
    with torch.no_grad():
        other.head.bias += 0.01
    for parity in measure_parity(other, exported[0], seed=0):
        assert parity.inverse_depth_relative > 1e-3
        assert parity.confidence_absolute > 1e-4


@pytest.mark.parametrize('errors', [(2e-4, 0.0), (0.0, 2e-4), (math.nan, 0.0), (0.0, math.nan)])
def test_a_difference_above_tolerance_leaves_no_file(network, tmp_path, monkeypatch, errors):
    save_checkpoint(tmp_path / 'a.safetensors', network, INFO)
    relative, absolute = errors
    off = Parity(runtime='some 1.0', inverse_depth_relative=relative, confidence_absolute=absolute)
    monkeypatch.setattr(export, 'measure_parity', lambda *_: (off,))
    with pytest.raises(ValueError, match='some 1.0 differs from torch by (0.0002|nan), more than'):
        export.export_checkpoint(tmp_path / 'a.safetensors', tmp_path / 'o.onnx', CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ['a.safetensors']


@pytest.mark.parametrize(('output', 'name'), [(0, 'inverse_depth'), (1, 'confidence')])
def test_a_network_that_gives_nan_is_not_exported(network, tmp_path, output, name):
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
