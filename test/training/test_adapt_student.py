from pathlib import Path

import pytest

for name in ('torch', 'timm', 'accelerate'):
    pytest.importorskip(name)

from ssd_depth_core.learning import adaptation  # noqa: E402
from ssd_depth_core.learning.run_folder import RunFolder  # noqa: E402
from ssd_depth_core.models.adapters import AdapterConfig  # noqa: E402

from training import adapt_student  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'config' / 'train' / 'adapt_student.yaml'


def test_the_stage_hands_on_what_it_was_given(tmp_path, monkeypatch, capsys):
    calls = []

    def train(config, index, out, **options):
        calls.append((config, index, out, options))
        return RunFolder(out)

    monkeypatch.setattr(adaptation, 'train_adaptation', train)
    paths = {name: tmp_path / name for name in ('index', 'student', 'teacher', 'out')}
    words = [word for name, path in paths.items() for word in (f'--{name}', str(path))]
    words += ['--device', 'cpu', '--seed', '5', '--set', 'adapters={rank: 4}', '--resume']
    assert adapt_student.main(['--config', str(CONFIG), *words]) == 0
    ((config, index, out, options),) = calls
    assert (config.seed, config.adapters) == (5, AdapterConfig(rank=4))
    assert (index, out) == (paths['index'], paths['out'])
    assert (options['student'], options['teacher']) == (paths['student'], paths['teacher'])
    assert (options['resume'], options['cpu']) == (True, True)
    assert options['command'].startswith('python -m training.adapt_student --config ')
    assert capsys.readouterr().out == f'weights: {paths["out"] / "checkpoint.safetensors"}\n'


def test_a_missing_index_is_named(tmp_path):
    words = [f'--{name}' for name in ('index', 'student', 'teacher', 'out')]
    words = [part for word in words for part in (word, str(tmp_path / word[2:]))]
    with pytest.raises(FileNotFoundError, match=str(tmp_path / 'index')):
        adapt_student.main(['--config', str(CONFIG), '--device', 'cpu', *words])
    assert not (tmp_path / 'out').exists()
