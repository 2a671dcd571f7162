import json

import pytest

yaml = pytest.importorskip('yaml')

from ssd_depth_core.learning.run_folder import open_run  # noqa: E402


def test_a_run_holds_its_config_and_grows_its_metrics(tmp_path):
    run = open_run(tmp_path / 'a' / 'b', {'seed': 3, 'loop': {'max_steps': 5}}, resume=False)
    run.append_metrics({'step': 1})
    run.append_metrics({'step': 2})
    assert yaml.safe_load(run.config.read_text()) == {'seed': 3, 'loop': {'max_steps': 5}}
    assert [json.loads(s) for s in run.metrics.read_text().splitlines()] == [
        {'step': 1},
        {'step': 2},
    ]


def test_a_run_is_neither_overwritten_nor_resumed_from_nothing(tmp_path):
    open_run(tmp_path, {}, resume=False)
    with pytest.raises(FileExistsError, match='holds a run already'):
        open_run(tmp_path, {}, resume=False)
    with pytest.raises(FileNotFoundError, match='no state to resume from'):
        open_run(tmp_path, {}, resume=True)
