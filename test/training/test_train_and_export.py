import json
from pathlib import Path

import numpy as np
import pytest

for name in ('torch', 'timm', 'accelerate', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

from training import export, train_supervised  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'config'
TINY = (
    'model.input_height=64',
    'model.input_width=64',
    'model.decoder_channels=8',
    'model.fine_channels=8',
    'loop.max_minutes=null',
    'loop.max_steps=2',
    'loop.batch_size=2',
    'loop.num_workers=1',
    'loop.precision=fp32',
)


def train(rendered_set, out, *options):
    overrides = [word for item in TINY for word in ('--set', item)]
    config = str(CONFIG / 'train' / 'student_supervised.yaml')
    return train_supervised.main(
        ['--config', config, '--data', str(rendered_set), '--out', str(out), *overrides, *options]
    )


def test_a_set_becomes_a_model_that_the_runtime_runs(rendered_set, tmp_path, capsys):
    run, model, report = tmp_path / 'run', tmp_path / 'm.onnx', tmp_path / 'parity.json'
    assert train(rendered_set, run, '--device', 'cpu', '--seed', '4') == 0
    assert str(run / 'checkpoint.safetensors') in capsys.readouterr().out
    arguments = ['--config', str(CONFIG / 'export' / 'student.yaml'), '--report', str(report)]
    arguments += ['--checkpoint', str(run / 'checkpoint.safetensors'), '--out', str(model)]
    assert export.main(arguments) == 0
    assert [row['runtime'].split()[0] for row in json.loads(report.read_text())] == [
        'onnxruntime',
        'openvino',
    ]
    predictor = DepthPredictor.load(model, backend='onnxruntime')
    prediction = predictor.predict(np.full((48, 80, 3), 99, np.uint8))
    assert prediction.depth.dtype == np.float32
    assert np.nanmin(prediction.depth) > 0
    command = json.loads(model.with_suffix('.json').read_text())['training_command']
    assert command.startswith('python -m training.train_supervised --config ')
    assert command.endswith('--device cpu --seed 4')


def test_a_run_is_resumed_only_when_asked(rendered_set, tmp_path):
    run = tmp_path / 'run'
    train(rendered_set, run, '--device', 'cpu')
    with pytest.raises(FileExistsError, match='--resume'):
        train(rendered_set, run, '--device', 'cpu')
    more = ('--resume', '--set', 'loop.max_steps=3')
    assert train(rendered_set, run, '--device', 'cpu', *more) == 0
    steps = [json.loads(line)['step'] for line in (run / 'metrics.jsonl').read_text().splitlines()]
    assert steps[-1] == 3
