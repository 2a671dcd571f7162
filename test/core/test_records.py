from dataclasses import replace
import re

import pytest
from ssd_depth_core.records import provenance, read_result, Result, write_result

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


def test_a_result_without_rows_is_refused():
    with pytest.raises(ValueError, match="result 'Depth at night' has no rows"):
        replace(RESULT, rows=())


@pytest.mark.parametrize(
    'row', [{'method': 'x', 'abs_rel': 1.0}, {'abs_rel': 1, 'method': 'x', 'n': 1}]
)
def test_rows_must_share_their_columns_in_order(row):
    with pytest.raises(ValueError, match='rows must share their keys'):
        replace(RESULT, rows=(RESULT.rows[0], row))


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
