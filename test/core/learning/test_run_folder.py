import json
from types import MappingProxyType

import pytest

yaml = pytest.importorskip('yaml')

from ssd_depth_core.learning.run_folder import checkpoint_of, open_run, RunFolder  # noqa: E402


def test_a_run_holds_its_config_and_grows_its_metrics(tmp_path):
    run = open_run(tmp_path / 'a' / 'b', {'seed': 3, 'loop': {'max_steps': 5}}, {}, resume=False)
    run.append_metrics({'step': 1})
    run.append_metrics({'step': 2})
    assert yaml.safe_load(run.config.read_text()) == {'seed': 3, 'loop': {'max_steps': 5}}
    assert [json.loads(s) for s in run.metrics.read_text().splitlines()] == [
        {'step': 1},
        {'step': 2},
    ]


def test_a_run_is_neither_overwritten_nor_resumed_from_nothing(tmp_path):
    with pytest.raises(FileNotFoundError, match='no state to resume from'):
        open_run(tmp_path, {}, {}, resume=True)
    begun(tmp_path)
    with pytest.raises(FileExistsError, match='holds a run already'):
        open_run(tmp_path, BEGUN, {}, resume=False)


def test_a_run_that_failed_before_its_first_state_may_begin_again(tmp_path):
    open_run(tmp_path, {'rate': 'wrong'}, {}, resume=False)
    run = open_run(tmp_path, {'rate': 1}, {}, resume=False)
    assert yaml.safe_load(run.config.read_text()) == {'rate': 1}


BEGUN = {
    'seed': 3,
    'model': {'encoder': 'a', 'mean': [0.5, 0.5]},
    'loop': {'max_steps': 5, 'max_minutes': None, 'learning_rate': 2e-3},
}


def begun(tmp_path, inputs=MappingProxyType({})):
    run = open_run(tmp_path, BEGUN, inputs, resume=False)
    run.state.parent.mkdir()
    run.state.write_bytes(b'a state')


def test_a_resumed_run_may_have_another_budget(tmp_path):
    begun(tmp_path)
    longer = {**BEGUN, 'loop': {**BEGUN['loop'], 'max_steps': None, 'max_minutes': 9.0}}
    run = open_run(tmp_path, longer, {}, resume=True)
    assert yaml.safe_load(run.config.read_text()) == longer


def test_lines_of_steps_to_come_again_are_cut_and_so_is_a_torn_one(tmp_path):
    run = open_run(tmp_path, {}, {}, resume=False)
    run.cut_metrics(3)
    assert not run.metrics.exists()
    rows = [{'step': 2, 'loss': 0.5}, {'step': 3, 'validation': {}}, {'step': 4, 'loss': 0.1}]
    for row in rows:
        run.append_metrics(row)
    with run.metrics.open('a') as file:
        file.write('{"step": 3, "lo')
    run.cut_metrics(3)
    assert [json.loads(line) for line in run.metrics.read_text().splitlines()] == rows[:2]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *('config.yaml', 'inputs.json', 'metrics.jsonl'),
    ]


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'seed': 4}, 'seed must stay 3 as in .*config.yaml, got 4; set it back'),
        ({'model': {'encoder': 'b', 'mean': [0.5, 0.5]}}, "model.encoder must stay 'a'"),
        ({'model': {'encoder': 'a', 'mean': [0.5, 0.4]}}, r'model.mean must stay \[0.5, 0.5\]'),
        ({'loss': {'beta': 0.5}}, 'loss.beta must stay None as in .*, got 0.5'),
        ({'loop': {'learning_rate': 1e-3}}, 'loop.learning_rate must stay 0.002'),
    ],
)
def test_a_resumed_run_keeps_its_config(tmp_path, change, message):
    begun(tmp_path)
    with pytest.raises(ValueError, match=message):
        open_run(tmp_path, {**BEGUN, **change}, {}, resume=True)
    assert yaml.safe_load((tmp_path / 'config.yaml').read_text()) == BEGUN


def test_a_resumed_run_keeps_its_inputs(tmp_path):
    teacher, run = tmp_path / 'teacher.safetensors', tmp_path / 'run'
    teacher.write_bytes(b'weights')
    begun(run, {'teacher': teacher})
    before = (run / 'inputs.json').read_bytes()
    open_run(run, BEGUN, {'teacher': teacher}, resume=True)
    teacher.write_bytes(b'others')
    with pytest.raises(ValueError, match='input teacher must be .* as it was when the run began'):
        open_run(run, BEGUN, {'teacher': teacher}, resume=True)
    assert (run / 'inputs.json').read_bytes() == before


def test_a_state_without_its_config_is_not_resumed(tmp_path):
    begun(tmp_path)
    (tmp_path / 'config.yaml').unlink()
    with pytest.raises(FileNotFoundError, match='config of the run not found'):
        open_run(tmp_path, BEGUN, {}, resume=True)


def test_a_checkpoint_is_named_by_its_run_folder_too(tmp_path):
    run = RunFolder(tmp_path)
    assert checkpoint_of(str(tmp_path)) == checkpoint_of(run.checkpoint) == run.checkpoint
