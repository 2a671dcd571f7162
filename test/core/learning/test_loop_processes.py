"""The loop in processes of its own: killed, out of disk, and launched together."""

import json
import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('tensorboard')

from safetensors.torch import load_file  # noqa: E402
from ssd_depth_core.learning.run_folder import RunFolder  # noqa: E402

SCRIPT = Path(__file__).with_name('small_training.py')
ROOT = Path(__file__).parents[3]
SIGKILLED = -9
# Nine steps of 8 samples are two epochs and a half; states are kept at steps 0, 4, 8 and 9.
LOOP = {
    'max_steps': 9,
    'batch_size': 8,
    'num_workers': 1,
    'learning_rate': 0.01,
    'log_every_steps': 3,
    'validate_every_steps': 4,
}
TIMEOUT_S = 300  # an idle machine needs ten


def start(out, launcher=(), loop=LOOP, **options):
    arguments = json.dumps({'out': str(out), 'loop': loop, **options})
    return subprocess.run(
        [sys.executable, *launcher, str(SCRIPT), arguments],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )


def finish(out, **options):
    done = start(out, **options)
    assert done.returncode == 0, done.stderr
    return RunFolder(out)


def curve(run):
    """The log without what no two runs share."""
    rows = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    clocks = ('minutes', 'images_per_s')
    return [{name: value for name, value in row.items() if name not in clocks} for row in rows]


def assert_same_weights(run, other):
    mine, theirs = load_file(run.state), load_file(other.state)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that never stopped; only to be read."""
    return finish(tmp_path_factory.mktemp('whole') / 'run', noise=0.1)


def test_a_log_has_each_step_once(whole):
    steps = [(row['step'], 'validation' in row) for row in curve(whole)]
    assert steps == [
        *((3, False), (4, False), (4, True), (6, False)),
        *((8, False), (8, True), (9, False), (9, True)),
    ]


@pytest.mark.parametrize(
    'death',
    [
        pytest.param({'die_at_call': 8}, id='after-lines-beyond-the-state'),
        pytest.param({'die_at_state': 8}, id='between-checkpoint-and-state'),
        pytest.param({'die_at_call': 2}, id='before-the-first-validation'),
    ],
)
def test_a_killed_run_goes_on_as_if_it_never_stopped(whole, tmp_path, death):
    run = RunFolder(tmp_path / 'run')
    assert start(run.path, noise=0.1, **death).returncode == SIGKILLED
    finish(run.path, noise=0.1, resume=True)
    assert curve(run) == curve(whole)
    assert_same_weights(run, whole)
    assert run.checkpoint.read_bytes() == whole.checkpoint.read_bytes()


@pytest.mark.parametrize(('file', 'max_bytes'), [('checkpoint', 9_000), ('state', 40_000)])
def test_a_full_disk_loses_nothing(whole, tmp_path, file, max_bytes):
    run = RunFolder(shutil.copytree(whole.path, tmp_path / 'run'))
    options = {'loop': {**LOOP, 'max_steps': 12}, 'noise': 0.1, 'resume': True}
    failed = start(run.path, max_bytes=max_bytes, **options)
    assert failed.returncode == 1
    path = getattr(run, file)
    error = failed.stderr.splitlines()[-1]
    assert f'{file} {path} cannot be written' in error
    assert 'File too large' in error
    assert 'the old one is kept; free 0.' in error
    assert path.read_bytes() == getattr(whole, file).read_bytes()
    assert [part for part in run.path.rglob('*') if part.suffix == '.part'] == []
    finish(run.path, **options)  # with space again
    assert curve(run)[-1]['step'] == 12


def test_two_processes_take_the_steps_of_one_with_twice_the_batch(tmp_path):
    loop = {**LOOP, 'max_gradient_norm': 1e9}
    half = {**loop, 'batch_size': 4}
    # The launcher's own `--cpu` would start one process; the script stays on the CPU by itself.
    # Port 0: any that is free.
    flags = ('--multi_gpu', '--num_processes=2', '--num_machines=1', '--main_process_port=0')
    launcher = ('-m', 'accelerate.commands.launch', *flags, '--mixed_precision=no')
    one = finish(tmp_path / 'one', loop=loop)
    two = finish(tmp_path / 'two', loop=half, launcher=launcher)
    assert [row['step'] for row in curve(two)] == [row['step'] for row in curve(one)]
    for mine, theirs in zip(curve(two), curve(one), strict=True):
        if 'validation' not in mine:
            assert mine == pytest.approx(theirs, abs=2e-5)
    mine, theirs = load_file(two.checkpoint), load_file(one.checkpoint)
    for name in theirs:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-4, atol=1e-6)
    first, second = load_file(two.state)['noise/cpu']
    assert not torch.equal(first, second)  # each process draws its own
