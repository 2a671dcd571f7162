from dataclasses import replace
import re
import shutil
import subprocess

import pytest
from ssd_depth_core import records
from ssd_depth_core.records import (
    code_commit,
    provenance,
    read_result,
    Result,
    write_result,
)

RESULT = Result(
    title='Depth at night',
    command='python bench/real_frames.py',
    seed=None,
    commit='ea744fd4b1',
    machine='2 CPU cores, no accelerator used',
    date='2026-11-21',
    data='SynthDrive (synthetic)',
    rows=(
        {'method': 'student', 'abs_rel': 0.125, 'n': 3},
        {'method': 'flat', 'abs_rel': 1.0, 'n': 3},
    ),
    notes='Small.',
)


def test_result_survives_the_round_trip(tmp_path):
    path = tmp_path / 'docs' / 'results' / 'night.json'
    write_result(RESULT, path)
    assert read_result(path) == RESULT
    assert path.read_text().endswith('}\n')


def test_further_rows_have_keys_of_their_own(tmp_path):
    path = tmp_path / 'night.json'
    result = replace(RESULT, further={'differences': ({'a': 1.0}, {'a': None})})
    write_result(result, path)
    assert read_result(path) == result


def test_a_result_without_rows_is_refused():
    with pytest.raises(ValueError, match="result 'Depth at night' has no rows"):
        replace(RESULT, rows=())
    with pytest.raises(ValueError, match="result 'Depth at night' has no differences"):
        replace(RESULT, further={'differences': ()})


@pytest.mark.parametrize(
    'row', [{'method': 'x', 'abs_rel': 1.0}, {'abs_rel': 1, 'method': 'x', 'n': 1}]
)
def test_rows_must_share_their_columns_in_order(row):
    with pytest.raises(ValueError, match='rows must share their keys'):
        replace(RESULT, rows=(RESULT.rows[0], row))
    with pytest.raises(ValueError, match='differences must share their keys'):
        replace(RESULT, further={'differences': (RESULT.rows[0], row)})


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"title": ', r'result .*night.json is no JSON .*; measure it again'),
        ('[]', r'night.json: expected fields of Result'),
        ('{"titel": "x"}', r'night.json: unknown field\(s\) titel'),
    ],
)
def test_a_faulty_file_is_named(tmp_path, content, message):
    path = tmp_path / 'night.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_result(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.json'):
        read_result(tmp_path / 'absent.json')


def test_provenance_fills_a_result():
    facts = provenance()
    assert replace(RESULT, **facts).commit == facts['commit']
    assert re.fullmatch(r'unknown|[\w.-]+', facts['commit'])
    assert re.fullmatch(r'\d{4}-\d\d-\d\d', facts['date'])
    assert re.search(r', \d+ CPU cores, no accelerator used$', facts['machine'])


def test_provenance_names_the_accelerator_it_is_told_of():
    assert provenance('NVIDIA L4')['machine'].endswith(' CPU cores, NVIDIA L4')


def test_provenance_works_without_git(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert provenance()['commit'] == 'unknown'


def git(folder, *arguments):
    identity = ('-c', 'user.name=Nobody', '-c', 'user.email=nobody@example.invalid')
    command = ['git', '-C', str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository that holds this package, for as far as `code_commit` looks."""
    if shutil.which('git') is None:
        pytest.skip('there is no git')
    root = tmp_path / 'repository'
    names = ('package.xml', 'setup.py', 'ssd_depth_core/records.py', 'docs/results/a.json')
    for path in (root / name for name in names):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('1\n')
    git(tmp_path, 'init', '--quiet', str(root))
    git(root, 'add', '.')
    git(root, 'commit', '--quiet', '--message', 'Begin')
    monkeypatch.setattr(records, '__file__', str(root / 'ssd_depth_core' / 'records.py'))
    return root


def test_a_result_written_before_makes_the_next_commit_not_dirty(repository):
    commit = git(repository, 'rev-parse', 'HEAD')[:10]
    assert code_commit() == commit
    (repository / 'docs' / 'results' / 'a.json').write_text('2\n')
    assert code_commit() == commit
    (repository / 'ssd_depth_core' / 'records.py').write_text('2\n')
    assert code_commit() == f'{commit}-dirty'


def test_the_commit_of_a_repository_around_an_environment_is_not_ours(repository, monkeypatch):
    installed = repository / 'venv' / 'site-packages' / 'ssd_depth_core' / 'records.py'
    installed.parent.mkdir(parents=True)
    monkeypatch.setattr(records, '__file__', str(installed))
    assert code_commit() == 'unknown'
