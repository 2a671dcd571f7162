from dataclasses import dataclass, field
from pathlib import Path
import subprocess
import sys
from typing import Any, Literal

import pytest
from ssd_depth_core.config import flattened, from_dict, load_yaml, merged, read_yaml, to_dict


@dataclass(frozen=True, kw_only=True)
class Optim:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self):
        if self.lr <= 0:
            raise ValueError(f'lr must be > 0, got {self.lr}')


@dataclass(frozen=True, kw_only=True)
class Config:
    steps: int
    data: Path
    size: Literal['small', 'large'] = 'small'
    optim: Optim = field(default_factory=Optim)
    conditions: tuple[str, ...] = ()
    streets: tuple[Optim, ...] = ()
    seed: int | None = None
    amp: bool = False
    weights: dict[str, float] = field(default_factory=dict)
    options: dict[str, int | float] = field(default_factory=dict)
    extra: Any = None


FULL = Config(
    steps=3,
    data=Path('runs/set'),
    size='large',
    optim=Optim(lr=0.5, betas=(0.1, 0.2)),
    conditions=('night', 'day-rain'),
    streets=(Optim(lr=2.0), Optim()),
    seed=7,
    amp=True,
    weights={'night': 2.0},
    options={'depth': 4, 'ratio': 0.5},
    extra=[1, {'a': None}],
)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / 'config.yaml'
        path.write_text(text)
        return path

    return write


def test_of_several_scalars_each_keeps_its_type():
    options = from_dict(Config, to_dict(FULL), 'here').options
    assert [type(value) for value in options.values()] == [int, float]


def test_config_survives_the_round_trip_through_plain_values():
    assert from_dict(Config, to_dict(FULL), 'here') == FULL


def test_config_survives_the_round_trip_through_yaml(write):
    import yaml

    assert load_yaml(Config, write(yaml.safe_dump(to_dict(FULL)))) == FULL


def test_defaults_fill_what_is_left_out():
    assert from_dict(Config, {'steps': 1, 'data': 'd'}, 'here') == Config(steps=1, data=Path('d'))


def test_whole_numbers_pass_as_floats_of_type_float():
    config = from_dict(Optim, {'lr': 2}, 'here')
    assert isinstance(config.lr, float)
    assert config.lr == 2.0


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'stepz': 1}, r'here: unknown field\(s\) stepz for Config; known are amp, conditions'),
        ({'steps': 1.5}, 'here: steps must be int, got 1.5'),
        ({'steps': True}, 'here: steps must be int, got True'),
        ({'steps': '3'}, "here: steps must be int, got '3'"),
        ({'steps': None}, 'here: steps must be int, got None'),
        ({'data': 3}, 'here: data must be Path, got 3'),
        ({'size': 'huge'}, "here: size must be one of small, large, got 'huge'"),
        ({'optim': 3}, 'here: optim: expected fields of Optim, got 3'),
        ({'optim': {'lr': 'fast'}}, "here: optim: lr must be float, got 'fast'"),
        ({'optim': {'lr': True}}, 'here: optim: lr must be float, got True'),
        ({'optim': {'lr': -1}}, r'here: optim: lr must be > 0, got -1\.0'),
        ({'optim': {'betas': [0.5]}}, 'here: optim: betas must have 2 items, got 1'),
        ({'optim': {'betas': 0.5}}, 'here: optim: betas must be a list, got 0.5'),
        ({'conditions': 'night'}, "here: conditions must be a list, got 'night'"),
        ({'conditions': ['night', 3]}, 'here: conditions must be str, got 3'),
        ({'streets': [{'lr': 'x'}]}, "here: streets: lr must be float, got 'x'"),
        ({'seed': 'x'}, "here: seed must be int, got 'x'"),
        ({'amp': 1}, 'here: amp must be bool, got 1'),
        ({'weights': [1]}, r'here: weights must be a mapping, got \[1\]'),
        ({'weights': {'night': 'x'}}, r"here: weights\.night must be float, got 'x'"),
        ({'options': {'depth': True}}, r'here: options\.depth must be int or float, got True'),
        ({'weights': {3: 1.0}}, 'here: weights: key must be str, got 3'),
    ],
)
def test_every_fault_names_place_rule_and_value(change, message):
    with pytest.raises(ValueError, match=message):
        from_dict(Config, {'steps': 1, 'data': 'd'} | change, 'here')


def test_missing_fields_are_all_named():
    with pytest.raises(ValueError, match=r'here: missing field\(s\) data, steps of Config'):
        from_dict(Config, {'amp': True}, 'here')


def test_from_dict_refuses_what_is_no_mapping():
    with pytest.raises(ValueError, match=r'here: expected fields of Config, got \[1\]'):
        from_dict(Config, [1], 'here')


def test_overrides_replace_single_fields(write):
    path = write('steps: 1\ndata: d\noptim:\n  lr: 0.1\n')
    config = load_yaml(Config, path, ('optim.lr=1e-4', 'steps=9', 'conditions=[night]'))
    assert config == Config(steps=9, data=Path('d'), optim=Optim(lr=1e-4), conditions=('night',))


def test_an_override_may_open_a_group_that_the_file_leaves_out(write):
    config = load_yaml(Config, write('steps: 1\ndata: d\n'), ('optim.lr=0.25',))
    assert config.optim == Optim(lr=0.25)


@pytest.mark.parametrize(('text', 'value'), [('1e-4', 1e-4), ('-2E3', -2e3), ('1.5e+2', 150.0)])
def test_exponents_without_a_dot_are_numbers(write, text, value):
    config = load_yaml(Config, write(f'steps: 1\ndata: d\nextra: {text}\n'))
    assert config.extra == value


@pytest.mark.parametrize('text', ['e4', '1e', "'1e-4'", '12e3a'])
def test_text_that_only_looks_like_an_exponent_stays_text(write, text):
    config = load_yaml(Config, write(f'steps: 1\ndata: d\nextra: {text}\n'))
    assert isinstance(config.extra, str)


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (('steps',), "--set takes field=value, got 'steps'"),
        (('steps.deep=1',), '--set steps.deep=1: steps holds 1 and has no fields'),
        (('extra=[1',), r'--set extra=\[1 is no YAML'),
        (('optim.rate=1',), r'optim: unknown field\(s\) rate for Optim'),
    ],
)
def test_a_faulty_override_is_named(write, overrides, message):
    with pytest.raises(ValueError, match=message):
        load_yaml(Config, write('steps: 1\ndata: d\n'), overrides)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('- 1\n', r'config.yaml: expected a mapping of fields, got list'),
        ('false\n', r'config.yaml: expected a mapping of fields, got bool'),
        ('a: [1\n', r'config.yaml is no YAML'),
        ('', r'config.yaml: missing field\(s\) data, steps'),
        ('!!python/object/apply:os.getcwd []\n', r'config.yaml is no YAML'),
    ],
)
def test_a_faulty_file_is_named(write, text, message):
    with pytest.raises(ValueError, match=message):
        load_yaml(Config, write(text))


def test_an_absent_file_points_to_the_shipped_ones(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'config not found at .*x.yaml; see config/'):
        load_yaml(Config, tmp_path / 'x.yaml')


def test_an_empty_file_means_every_default(write):
    assert load_yaml(Optim, write('# nothing set\n')) == Optim()


def test_a_files_fields_are_read_as_they_stand(write):
    path = write('a: 1e-4\nb: {c: [1, null]}\n')
    assert read_yaml(path) == {'a': 1e-4, 'b': {'c': [1, None]}}
    with pytest.raises(ValueError, match='expected a mapping of fields, got list'):
        read_yaml(write('[1]'))


def test_what_an_alias_repeats_is_changed_alone(write):
    values = read_yaml(write('a: &a {b: {c: 1}}\nd: *a\n'))
    values['a']['b']['c'] = 2
    assert values['d'] == {'b': {'c': 1}}


def test_a_file_changes_the_one_that_it_extends(tmp_path):
    (tmp_path / 'base.yaml').write_text('steps: 3\noptim: {lr: 0.5, betas: [0.1, 0.2]}\n')
    path = tmp_path / 'other' / 'config.yaml'
    path.parent.mkdir()
    path.write_text('extends: ../base.yaml\ndata: d\noptim: {lr: 2.0}\n')
    assert load_yaml(Config, path, ('steps=4',)) == Config(
        steps=4, data=Path('d'), optim=Optim(lr=2.0, betas=(0.1, 0.2))
    )
    path.write_text('extends: missing.yaml\n')
    with pytest.raises(FileNotFoundError, match='config not found at .*other/missing.yaml'):
        read_yaml(path)


def test_changes_replace_single_fields_at_any_depth():
    values = {'a': 1, 'b': {'c': 2, 'd': {'e': 3}}, 'f': {'g': 4}}
    changes = {'b': {'d': {'e': None, 'h': 5}}, 'f': 6, 'i': {'j': 7}}
    assert merged(values, changes) == {
        'a': 1,
        'b': {'c': 2, 'd': {'e': None, 'h': 5}},
        'f': 6,
        'i': {'j': 7},
    }
    assert values == {'a': 1, 'b': {'c': 2, 'd': {'e': 3}}, 'f': {'g': 4}}


def test_layer_0_imports_without_yaml():
    code = (
        "import sys; sys.modules['yaml'] = None\n"
        'from ssd_depth_core import checks, config, metrics, model_spec, preprocess, records'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_values_are_named_by_their_path():
    values = {'seed': 0, 'loop': {'max_steps': None, 'factors': {'a.b': 0.1}}, 'none': {}}
    assert flattened(values) == {'seed': 0, 'loop.max_steps': None, 'loop.factors.a.b': 0.1}
