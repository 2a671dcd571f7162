from dataclasses import dataclass
from pathlib import Path
import re

import pytest

from training._cli import config_of, device_of, parse_training, run, stage_parser


@dataclass(frozen=True, kw_only=True)
class _Config:
    seed: int = 1
    rate_hz: float = 12.0


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / 'stage.yaml'
    path.write_text('seed: 5\nrate_hz: 2\n')
    return path


def _parse(*argv):
    return stage_parser('Do something.', 'python -m training.x').parse_args(list(map(str, argv)))


def test_config_comes_from_the_file(config_path, tmp_path):
    args = _parse('--config', config_path, '--out', tmp_path)
    assert config_of(_Config, args) == _Config(seed=5, rate_hz=2.0)


def test_set_and_seed_replace_fields(config_path, tmp_path):
    args = _parse('--config', config_path, '--out', tmp_path, '--set', 'rate_hz=3', '--seed', 7)
    assert config_of(_Config, args) == _Config(seed=7, rate_hz=3.0)


def test_unknown_field_is_named(config_path, tmp_path):
    args = _parse('--config', config_path, '--out', tmp_path, '--set', 'speed=3')
    with pytest.raises(ValueError, match='speed'):
        config_of(_Config, args)


def test_device_is_the_one_asked_for(config_path, tmp_path):
    args = _parse('--config', config_path, '--out', tmp_path, '--device', 'cpu')
    assert device_of(args) == 'cpu'


@pytest.mark.parametrize(
    ('name', 'gpus', 'device'),
    [(None, 0, 'cpu'), (None, 2, 'cuda'), ('cuda', 1, 'cuda'), ('cuda:1', 2, 'cuda:1')],
)
def test_a_gpu_is_taken_where_there_is_one(config_path, tmp_path, monkeypatch, name, gpus, device):
    torch = pytest.importorskip('torch')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    options = () if name is None else ('--device', name)
    args = _parse('--config', config_path, '--out', tmp_path, *options)
    assert device_of(args) == device


@pytest.mark.parametrize(
    ('name', 'gpus', 'message'),
    [
        ('gpu', 1, "--device must be cpu, cuda or cuda:<number>, got 'gpu'"),
        ('cuda:', 1, "got 'cuda:'"),
        ('', 1, "got ''"),
        ('cuda', 0, '--device cuda is not there: torch .* sees 0 GPUs; take another'),
        ('cuda:2', 2, '--device cuda:2 is not there: torch .* sees 2 GPUs'),
    ],
)
def test_a_device_that_is_not_there_is_refused(
    config_path, tmp_path, monkeypatch, name, gpus, message
):
    torch = pytest.importorskip('torch')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
    args = _parse('--config', config_path, '--out', tmp_path, '--device', name)
    with pytest.raises(ValueError, match=message):
        device_of(args)


def test_shared_options_stay_at_five():
    options = {action.dest for action in stage_parser('x', 'y')._actions} - {'help'}
    assert options == {'config', 'set', 'out', 'seed', 'device'}
    without = {action.dest for action in stage_parser('x', 'y', with_device=False)._actions}
    assert options - without == {'device'}


def test_the_example_of_set_is_a_field_of_the_training():
    yaml = pytest.importorskip('yaml')
    help_text = stage_parser('x', 'y').format_help()
    example = re.search(r'e\.g\.\s+([\w.]+)=', help_text)[1]
    path = Path(__file__).parents[2] / 'config' / 'train' / 'student_supervised.yaml'
    node = yaml.safe_load(path.read_text())
    for name in example.split('.'):
        node = node[name]
    assert isinstance(node, float)


@pytest.mark.parametrize('kind', [ValueError, FileNotFoundError, FloatingPointError, MemoryError])
def test_a_users_mistake_ends_a_stage_in_one_line(kind):
    def stage() -> int:
        raise kind('num_cities must be >= 1, got 0')

    with pytest.raises(SystemExit) as ended:
        run(stage)
    assert ended.value.code == 'error: num_cities must be >= 1, got 0'
    with pytest.raises(SystemExit) as ended:
        run(lambda: 0)
    assert ended.value.code == 0


def test_preset_is_a_config_of_its_folder(config_path, tmp_path, capsys):
    parser = stage_parser('Do something.', 'python -m training.x', presets=config_path.parent)
    args = parser.parse_args(['--preset', 'stage', '--out', str(tmp_path)])
    assert config_of(_Config, args) == _Config(seed=5, rate_hz=2.0)
    for words, message in (
        (('--preset', 'other'), 'must be one of stage, got other'),
        (('--preset', 'stage', '--config', 'x.yaml'), 'not allowed with'),
        ((), 'one of the arguments --config --preset is required'),
    ):
        with pytest.raises(SystemExit):
            parser.parse_args([*words, '--out', str(tmp_path)])
        assert message in capsys.readouterr().err


def test_an_interrupt_ends_in_one_line():
    def stage():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit, match='interrupted; stages that can resume go on'):
        run(stage)


def test_a_training_is_told_its_command_and_where_to_compute(config_path, tmp_path, monkeypatch):
    words = ['--config', str(config_path), '--out', str(tmp_path / 'a run'), '--device', 'cpu']
    args, options = parse_training(stage_parser('x', 'y'), words, 'training.x')
    command = f"python -m training.x --config {config_path} --out '{tmp_path}/a run' --device cpu"
    assert options == {'command': command, 'resume': False, 'cpu': True}
    assert args.out == tmp_path / 'a run'
    monkeypatch.setattr('sys.argv', ['x.py', *words, '--resume'])
    _, options = parse_training(stage_parser('x', 'y'), None, 'training.x')
    assert options == {'command': f'{command} --resume', 'resume': True, 'cpu': True}


def test_a_training_takes_no_numbered_gpu(config_path, tmp_path, monkeypatch):
    torch = pytest.importorskip('torch')
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    words = ['--config', str(config_path), '--out', str(tmp_path), '--device', 'cuda:1']
    with pytest.raises(ValueError, match='put CUDA_VISIBLE_DEVICES=1 before the command'):
        parse_training(stage_parser('x', 'y'), words, 'training.x')
