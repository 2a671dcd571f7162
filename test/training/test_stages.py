from dataclasses import replace
from functools import partial
from pathlib import Path
import shutil
import subprocess
import sys
import threading
import time

import psutil
import pytest

from training import _stages
from training._stages import Job, read_record, run_jobs, run_stage, Stage

ROOT = Path(__file__).parents[2]
MODULE = """
import os, sys, time
from pathlib import Path

def main(argv):
    _, config, _, out, *rest = argv
    out = Path(out)
    out.mkdir(exist_ok=True)
    (out / 'pid').write_text(str(os.getpid()))
    with (out / 'calls').open('a') as file:
        file.write(Path(config).read_text())
    if 'fail' in rest:
        raise ValueError('num_cities must be >= 1, got 0')
    if 'sleep' in rest:
        time.sleep(600)
    if 'idle' not in rest:
        (out / 'product').write_text('done')
    return 0
"""


@pytest.fixture
def stage(tmp_path, monkeypatch):
    (tmp_path / 'made_up_stage.py').write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Stage(
        name='make-it',
        module='made_up_stage',
        config={'loop': {'max_steps': 2}},
        arguments=('--out', str(tmp_path / 'out')),
        inputs={'seed': 0},
        product=tmp_path / 'out' / 'product',
    )


def calls(stage):
    return (stage.product.parent / 'calls').read_text().count('max_steps')


def test_a_finished_stage_is_not_done_again(stage, tmp_path):
    for _ in range(2):
        run_stage(stage, tmp_path / 'stages')
    assert calls(stage) == 1
    record = read_record(tmp_path / 'stages' / 'make-it.json')
    assert record.finished
    assert record.command == (
        f'python -m made_up_stage --config {tmp_path}/stages/make-it.yaml --out {tmp_path}/out'
    )
    assert (record.config, record.inputs) == (stage.config, stage.inputs)
    assert len(record.commits) == 1


def test_what_somebody_deleted_is_made_again(stage, tmp_path):
    run_stage(stage, tmp_path / 'stages')
    stage.product.unlink()
    run_stage(stage, tmp_path / 'stages')
    assert calls(stage) == 2


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'config': {'loop': {'max_steps': 3}}}, 'loop.max_steps 2 there, 3 here; take the same'),
        ({'config': {'loop': {'max_steps': 2, 'rate': 1}}}, 'loop.rate None there, 1 here'),
        ({'inputs': {'seed': 1}}, 'seed 0 there, 1 here'),
    ],
)
def test_another_config_is_refused(stage, tmp_path, change, message):
    run_stage(stage, tmp_path / 'stages')
    with pytest.raises(ValueError, match=f'make-it was finished with another config: {message}'):
        run_stage(replace(stage, **change), tmp_path / 'stages')
    assert calls(stage) == 1


def test_a_stage_that_failed_is_named_and_tried_again(stage, tmp_path, capfd):
    failing = replace(stage, arguments=(*stage.arguments, 'fail'))
    with pytest.raises(ValueError, match='stage make-it ended with status 1, see above'):
        run_stage(failing, tmp_path / 'stages')
    assert 'error: num_cities must be >= 1, got 0' in capfd.readouterr().err
    assert not read_record(tmp_path / 'stages' / 'make-it.json').finished
    run_stage(stage, tmp_path / 'stages')
    assert read_record(tmp_path / 'stages' / 'make-it.json').finished


def test_a_stage_that_leaves_nothing_is_named(stage, tmp_path):
    idle = replace(stage, arguments=(*stage.arguments, 'idle'))
    with pytest.raises(ValueError, match='make-it came to its end but left no .*product'):
        run_stage(idle, tmp_path / 'stages')
    assert not read_record(tmp_path / 'stages' / 'make-it.json').finished


def test_what_is_not_finished_may_be_given_another_config(stage, tmp_path):
    failing = replace(stage, arguments=(*stage.arguments, 'fail'), config={'max_steps': -1})
    with pytest.raises(ValueError, match='ended with status 1'):
        run_stage(failing, tmp_path / 'stages')
    run_stage(stage, tmp_path / 'stages')
    assert read_record(tmp_path / 'stages' / 'make-it.json').config == stage.config


def test_what_is_not_finished_goes_on_with_its_own_inputs(stage, tmp_path):
    failing = replace(stage, arguments=(*stage.arguments, 'fail'))
    with pytest.raises(ValueError, match='ended with status 1'):
        run_stage(failing, tmp_path / 'stages')
    other, left = replace(stage, inputs={'seed': 1}), stage.product.parent
    message = f'was begun with other inputs: seed 0 there, 1 here; .* delete {left} to do it anew'
    with pytest.raises(ValueError, match=message):
        run_stage(other, tmp_path / 'stages')
    assert calls(stage) == 1
    shutil.rmtree(left)
    run_stage(other, tmp_path / 'stages')
    assert read_record(tmp_path / 'stages' / 'make-it.json').inputs == {'seed': 1}


def test_a_damaged_record_is_named(stage, tmp_path):
    (tmp_path / 'stages').mkdir()
    (tmp_path / 'stages' / 'make-it.json').write_text('{')
    with pytest.raises(ValueError, match='make-it.json is no JSON .*; delete it'):
        run_stage(stage, tmp_path / 'stages')


def test_a_stage_ends_with_a_command_that_is_killed(stage, tmp_path):
    code = (
        'from pathlib import Path\n'
        'from training._stages import Stage, run_stage\n'
        'if __name__ == "__main__":\n'
        f'    out = Path({str(tmp_path)!r}) / "out"\n'
        '    stage = Stage(name="a", module="made_up_stage", config={}, inputs={},\n'
        '                  arguments=("--out", str(out), "sleep"), product=out)\n'
        '    run_stage(stage, out.parent / "stages")\n'
    )
    script = tmp_path / 'command.py'
    script.write_text(f'import sys\nsys.path.insert(0, {str(ROOT)!r})\n{code}')
    command = subprocess.Popen([sys.executable, str(script)])
    pid = tmp_path / 'out' / 'pid'
    deadline = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    worker = psutil.Process(int(pid.read_text()))
    command.kill()
    command.wait()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def run(monkeypatch):
    """Run jobs whose only stage is a function."""
    monkeypatch.setattr(_stages, 'run_stages', lambda stages, records: stages[0]())
    return lambda jobs, num_parallel: run_jobs(jobs, Path('unused'), num_parallel)


def job(name, does, *needs):
    return Job(name=name, stages=[does], needs=frozenset(needs))


def test_one_at_a_time_jobs_keep_their_order_but_for_what_they_need(run):
    done = []
    needs = {'student': ['teacher', 'pictures'], 'pictures': [], 'teacher': [], 'other': []}
    run([job(name, partial(done.append, name), *of) for name, of in needs.items()], 1)
    assert done == ['pictures', 'teacher', 'student', 'other']


def test_a_job_that_waits_keeps_no_other_from_running(run):
    beside, done = threading.Barrier(2, timeout=30), []

    def meet(name):
        beside.wait()
        done.append(name)

    run(
        [
            job('teacher', partial(meet, 'teacher')),
            job('student', partial(done.append, 'student'), 'teacher'),
            job('other', partial(meet, 'other')),
        ],
        2,
    )
    assert sorted(done) == ['other', 'student', 'teacher']
    assert done.index('teacher') < done.index('student')


def test_no_more_run_at_once_than_may(run):
    lock, running, most = threading.Lock(), set(), []

    def work(name):
        with lock:
            running.add(name)
            most.append(len(running))
        time.sleep(0.02)
        with lock:
            running.remove(name)

    run([job(str(number), partial(work, number)) for number in range(6)], 2)
    assert (len(most), max(most)) == (6, 2)


def test_after_a_failure_what_runs_comes_to_its_end_and_nothing_is_begun(run):
    failed, done = threading.Event(), []

    def fail():
        failed.set()
        raise ValueError('stage a ended with status 1')

    def outlast():
        failed.wait(30)
        time.sleep(0.1)
        done.append('b')

    with pytest.raises(ValueError, match='stage a ended with status 1'):
        run([job('a', fail), job('b', outlast), job('c', partial(done.append, 'c'))], 2)
    assert done == ['b']


def test_needs_that_nobody_meets_are_named(run):
    with pytest.raises(ValueError, match='needs of b, c must be other jobs, got what none of'):
        run([job('a', int), job('b', int, 'c'), job('c', int, 'd')], 2)
