import hashlib
import json
import logging

import pytest

pytest.importorskip('yaml')

from ssd_depth_core.learning.run_inputs import (
    check_same_inputs,
    record_inputs,
    rendered_inputs,
)


@pytest.fixture
def inputs(tmp_path):
    """A teacher, and a rendered set whose third frame is being written."""
    teacher, frames = tmp_path / 'teacher.safetensors', tmp_path / 'frames.jsonl'
    teacher.write_bytes(b'one\ntwo\nthree')
    frames.write_bytes(b'one\ntwo\nthr')
    return {'teacher': teacher, 'data 1': frames}


@pytest.fixture
def record(inputs, tmp_path):
    path = tmp_path / 'inputs.json'
    path.write_text(record_inputs(inputs))
    return path


def test_a_file_is_known_by_all_of_it_and_a_growing_list_by_its_whole_lines(inputs, record):
    whole, lines = b'one\ntwo\nthree', b'one\ntwo\n'
    assert json.loads(record.read_text()) == {
        name: {
            'path': str(inputs[name]),
            'num_bytes': len(seen),
            'sha256': hashlib.sha256(seen).hexdigest(),
        }
        for name, seen in (('teacher', whole), ('data 1', lines))
    }


def test_inputs_may_move_and_lists_may_grow(inputs, record, tmp_path):
    check_same_inputs(record, inputs)
    (tmp_path / 'elsewhere').mkdir()
    moved = {
        name: path.rename(tmp_path / 'elsewhere' / path.name) for name, path in inputs.items()
    }
    moved['data 1'].write_bytes(b'one\ntwo\nthree\nfour\n')
    check_same_inputs(record, moved)


@pytest.mark.parametrize(
    ('name', 'contents'),
    [
        ('teacher', b'one\ntwo\nthrew'),
        ('teacher', b'one\ntwo\nthree\nfour\n'),  # no list that grows
        ('data 1', b'one\ntwp\nthree\n'),
        ('data 1', b'one\n'),
    ],
)
def test_what_differs_is_named_with_a_remedy(inputs, record, name, contents):
    path = inputs[name]
    path.write_bytes(contents)
    message = (
        f'input {name} must be {path} as it was when the run began .see {record}., got {path}, '
        'which holds something else; give the former, or start without --resume in another folder'
    )
    with pytest.raises(ValueError, match=message):
        check_same_inputs(record, inputs)


def test_what_comes_or_goes_is_named(inputs, record):
    with pytest.raises(ValueError, match=r'input teacher must be .*safetensors .* got nothing'):
        check_same_inputs(record, {'data 1': inputs['data 1']})
    with pytest.raises(ValueError, match='input index must be left out, .* got .*safetensors'):
        check_same_inputs(record, {**inputs, 'index': inputs['teacher']})


def test_a_run_of_older_code_goes_on_uncompared(inputs, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        check_same_inputs(tmp_path / 'none.json', inputs)
    assert 'none.json is not there, as in runs of older code' in caplog.text


def test_rendered_sets_are_numbered_in_their_order(tmp_path):
    assert rendered_inputs([tmp_path / 'b', tmp_path / 'a']) == {
        'data 1': tmp_path / 'b' / 'frames.jsonl',
        'data 2': tmp_path / 'a' / 'frames.jsonl',
    }


@pytest.mark.parametrize('text', ['{"teacher"', '[1]', '3'])
def test_a_damaged_record_is_named(inputs, record, text):
    record.write_text(text)
    with pytest.raises(ValueError, match=r'inputs\.json is no JSON object .*; delete it'):
        check_same_inputs(record, inputs)
