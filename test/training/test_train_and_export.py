import json
import os
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest

for name in ('torch', 'timm', 'accelerate', 'onnxscript', 'onnxruntime', 'openvino'):
    pytest.importorskip(name)

from ssd_depth_core.runtime.predictor import DepthPredictor  # noqa: E402

from training import export, train_supervised  # noqa: E402

ROOT = Path(__file__).parents[2]
STUDENT = ROOT / 'config' / 'train' / 'student_supervised.yaml'
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
OVERRIDES = [word for item in TINY for word in ('--set', item)]


def train(rendered_set, out, *options):
    words = ['--config', str(STUDENT), '--data', str(rendered_set), '--out', str(out)]
    return train_supervised.main([*words, *OVERRIDES, *options])


def test_a_set_becomes_a_model_that_the_runtime_runs(rendered_set, tmp_path, capsys):
    run, model = tmp_path / 'run', tmp_path / 'm.onnx'
    assert train(rendered_set, run, '--device', 'cpu', '--seed', '4') == 0
    assert str(run / 'checkpoint.safetensors') in capsys.readouterr().out
    arguments = ['--config', str(ROOT / 'config' / 'export' / 'student.yaml')]
    arguments += ['--checkpoint', str(run / 'checkpoint.safetensors'), '--out', str(model)]
    assert export.main(arguments) == 0
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


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ('loop.learning_rat=1e-3', r'loop: unknown field\(s\) learning_rat for LoopConfig; known'),
        ('looop.max_steps=3', r'unknown field\(s\) looop for SupervisedConfig'),
        ('loop.schedule=sine', 'schedule must be one of cosine, linear, step'),
        ('loop.precision=fp16', 'precision fp16 needs a GPU'),
        ('loop.learning_rate_factors={network.encodr: 0.1}', 'got network.encodr; known are'),
    ],
)
def test_a_wrong_setting_is_named(rendered_set, tmp_path, setting, message):
    with pytest.raises(ValueError, match=message):
        train(rendered_set, tmp_path / 'run', '--device', 'cpu', '--set', setting)


def test_one_gpu_among_several_is_refused_with_what_to_do(rendered_set, tmp_path, monkeypatch):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    with pytest.raises(ValueError, match='put CUDA_VISIBLE_DEVICES=1 before the command'):
        train(rendered_set, tmp_path / 'run', '--device', 'cuda:1')


@pytest.mark.slow
def test_processes_launched_together_train_one_network(rendered_set, tmp_path):
    words = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '-m']
    words += ['training.train_supervised', '--config', str(STUDENT), '--device', 'cpu']
    words += ['--data', str(rendered_set), '--out', str(tmp_path / 'run'), *OVERRIDES]
    subprocess.run(words, check=True, cwd=ROOT, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    rows = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(row)['step'] for row in rows if 'validation' in row] == [2]
