from dataclasses import replace
import itertools
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('torch')

from ssd_depth_core.config import from_dict, load_yaml
from ssd_depth_core.data.nuscenes_index import NuScenesIndexConfig
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.self_supervised import SelfSupervisedConfig
from ssd_depth_core.records import read_result

from training import experiment as command
from training._experiment import (
    Experiment,
    ExperimentConfig,
    GUESSES,
    StageConfig,
)
from training._stages import read_record
from training.render_synthdrive import RenderConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture
def config(monkeypatch):
    monkeypatch.chdir(ROOT)  # configs are named from there
    return load_yaml(ExperimentConfig, command.CONFIG)


@pytest.fixture
def experiment(config, tmp_path):
    preset = replace(config.presets['tiny'], num_seeds=2)
    made = Experiment(
        config=config, preset=preset, out=tmp_path, data=tmp_path / 'data', device='cpu'
    )
    for path in ('data/synthdrive.json', 'index/train.jsonl', 'index/test.jsonl'):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    return made


def test_every_preset_is_made_of_valid_configs(config):
    assert list(config.presets) == ['tiny', 'small', 'gpu']
    for name, preset in config.presets.items():
        for stage, cls in (
            (preset.data, RenderConfig),
            (preset.index, NuScenesIndexConfig),
            (preset.evaluate, EvaluationConfig),
        ):
            from_dict(cls, stage.resolved(), name)
        assert list(preset.rows) == list(config.rows)
        for row, changes in preset.rows.items():
            how = StageConfig(config=config.rows[row].config, set=changes)
            training = from_dict(SelfSupervisedConfig, how.resolved(), f'{name}: {row}')
            scratch = training.model.encoder_weights is training.pose.encoder_weights is None
            assert scratch == (name != 'gpu')


def test_changes_of_a_config_go_as_deep_as_they_are_given(tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text('seed: 0\nloop: {max_epochs: 20, rate: 1e-4, factors: {a.b: 0.1, c: 2}}\n')
    changes = {'loop': {'max_epochs': None, 'factors': {'a.b': 1.0}}, 'model': {'width': 3}}
    stage = StageConfig(config=path, set=changes)
    assert stage.resolved() == {
        'seed': 0,
        'loop': {'max_epochs': None, 'rate': 1e-4, 'factors': {'a.b': 1.0, 'c': 2}},
        'model': {'width': 3},
    }


def test_a_preset_of_unknown_rows_or_without_any_is_refused(config):
    tiny = config.presets['tiny']
    with pytest.raises(ValueError, match='presets.a.rows must be of monodepth2, .* got other'):
        replace(config, presets={'a': replace(tiny, rows={'other': {}})})
    for changes in ({'rows': {}}, {'num_seeds': 0}, {'num_parallel': 0}):
        with pytest.raises(ValueError, match='num_parallel must be >= 1 and rows one'):
            replace(tiny, **changes)


def test_an_unknown_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match='--preset must be one of tiny, small, gpu, got large'):
        command.main(['--preset', 'large', '--out', str(tmp_path)])


def test_each_row_comes_once_before_the_second_seed(experiment):
    for row in experiment.preset.rows:
        for seed in experiment.seeds():
            checkpoint = experiment.run_folder(row, seed).checkpoint
            checkpoint.parent.mkdir(parents=True)
            checkpoint.write_text(f'{row} {seed}')
    trainings = (experiment.training(*training) for training in experiment.trainings())
    stages = [*experiment.preparation(), *itertools.chain.from_iterable(trainings)]
    assert [stage.name for stage in stages] == [
        *('render', 'index', *(f'evaluate-{guess}' for guess in GUESSES)),
        *(
            f'{verb}-{row}-seed{seed}'
            for seed in (0, 1)
            for row in experiment.preset.rows
            for verb in ('train', 'evaluate')
        ),
    ]
    # Scores of one checkpoint are not taken for another's.
    methods = [stage.inputs['method'] for stage in stages if 'method' in stage.inputs]
    assert len(set(methods)) == len(methods)


def training_stage(experiment):
    """Ask for the first training, as after the stages before it."""
    return next(experiment.training('monodepth2', 0))


def test_stages_belong_to_the_data_that_they_read(experiment):
    _, index, guess, *_ = experiment.preparation()
    training = next(experiment.training('monodepth2', 0))
    (experiment.data / 'synthdrive.json').write_text('another set')
    for name in ('train', 'test'):
        (experiment.index_folder / f'{name}.jsonl').write_text('another index')
    _, other_index, other_guess, *_ = experiment.preparation()
    assert index.inputs != other_index.inputs
    assert guess.inputs != other_guess.inputs
    assert training.inputs != next(experiment.training('monodepth2', 0)).inputs


def test_a_half_trained_row_is_resumed_and_a_begun_one_begun_again(experiment):
    run = experiment.run_folder('monodepth2', 0)
    assert '--resume' not in training_stage(experiment).arguments
    run.path.mkdir(parents=True)
    run.config.write_text('seed: 0')
    assert '--resume' not in training_stage(experiment).arguments
    assert not run.path.exists()
    run.state.parent.mkdir(parents=True)
    run.config.write_text('seed: 0')
    run.state.write_text('moments')
    assert '--resume' in training_stage(experiment).arguments
    assert run.config.exists()


def test_weights_are_never_thrown_away(experiment):
    run = experiment.run_folder('monodepth2', 0)
    run.path.mkdir(parents=True)
    run.config.write_text('seed: 0')
    run.checkpoint.write_text('weights')
    training_stage(experiment)
    assert run.checkpoint.exists()


@pytest.fixture
def run_tiny():
    """Start the command; what still runs when the test ends, by a fault, is killed."""
    processes = []

    def start(out, *options):
        arguments = ['--preset', 'tiny', '--out', str(out), '--device', 'cpu', *options]
        process = subprocess.Popen(
            [sys.executable, '-m', 'training.experiment', *arguments],
            cwd=ROOT,
            env=os.environ | {'OMP_NUM_THREADS': '1'},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_whole_command_is_killed_fails_and_comes_to_its_end(tmp_path, run_tiny):
    out, docs = tmp_path / 'out', tmp_path / 'docs'
    steps = ('--set', 'presets.tiny.rows.monodepth2.loop.max_steps=8')
    # Killed in the middle of a training.
    process = run_tiny(out, *steps)
    state = RunFolder(out / 'runs' / 'monodepth2-seed0').state
    while process.poll() is None and not state.exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    record = out / 'stages' / 'train-monodepth2-seed0.json'
    assert not read_record(record).finished
    rendered = (out / 'data' / 'synthdrive.json').stat().st_mtime_ns
    # A row that cannot be trained ends the command by name, after the one before it.
    process = run_tiny(out, *steps, '--set', 'presets.tiny.rows.md4all_baseline.model.encoder=x')
    _, errors = process.communicate()
    assert process.returncode == 1
    assert 'error: stage train-md4all_baseline-seed0 ended with status 1, see above' in errors
    assert read_record(record).finished
    assert '--resume' in read_record(record).command
    # A finished row is of its config alone.
    process = run_tiny(out)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert 'monodepth2-seed0 was finished with another config: loop.max_steps 8 there, 2' in errors
    # Mended, it goes on: what was finished stays.
    kept = [*out.glob('scores/*/metrics.json'), *out.glob('runs/monodepth2-seed0/*')]
    assert len(kept) > 4
    stamps = [path.stat().st_mtime_ns for path in kept]
    paths = docs / 'results' / 'teachers.json', docs / 'images' / 'teachers.png'
    process = run_tiny(out, *steps, '--json', str(paths[0]), '--plot', str(paths[1]))
    text, errors = process.communicate()
    assert process.returncode == 0, errors
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert (out / 'data' / 'synthdrive.json').stat().st_mtime_ns == rendered
    result = read_result(paths[0])
    assert (out / 'results.json').read_text() == paths[0].read_text()
    assert (out / 'results.png').read_bytes() == paths[1].read_bytes()
    assert (out / 'results.md').read_text() in text
    assert result.command.startswith('python -m training.experiment --preset tiny --out')
    found = {(row['method'], row['scaling'], row['condition']) for row in result.rows}
    assert len(found) == len(result.rows) == (6 + 5) * 2
    assert ('ssd_teacher', 'metric', 'night') in found
    assert ('monodepth2', 'metric', 'night') not in found
    assert 'trained from scratch' in result.notes
    assert '| monodepth2 | resnet18, monodepth2 | from scratch | 96x160 | 1 | 8 | 16 |' in (
        result.table
    )
    # The flat road of a level, rendered street is better than one depth for everything.
    day = {
        row['method'].split()[0]: row['abs_rel']
        for row in result.rows
        if (row['scaling'], row['condition']) == ('metric', 'day-clear')
    }
    assert day['flat'] < day['constant']
    assert json.loads(paths[0].read_text())['seed'] == 0
