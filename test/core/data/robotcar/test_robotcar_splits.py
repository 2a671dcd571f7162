from collections import Counter
import itertools
import json

import numpy as np
import pytest
from ssd_depth_core.data.nuscenes_splits import rendered_splits
from ssd_depth_core.data.robotcar_splits import (
    assign_blocks,
    assign_listed,
    assign_whole,
    read_lists,
    rendered_conditions,
)

SECOND = 1_000_000
PATTERN = ('train', 'train', 'validation', 'test')


@pytest.fixture
def blocks():
    """A picture a second for 100 s from second 1000, in blocks of 10 s with guards of 2 s."""
    stamps = (1000 + np.arange(100)) * SECOND
    return list(assign_blocks(stamps, 'drive', PATTERN, 10 * SECOND, 2 * SECOND))


def test_blocks_are_dealt_out_over_and_over(blocks):
    found = {b.scene: b.split for b in blocks if b.split}
    assert found['drive-block-000'] == 'train'
    assert found['drive-block-002'] == found['drive-block-006'] == 'validation'
    assert found['drive-block-003'] == found['drive-block-007'] == 'test'
    assert found['drive-block-009'] == 'train'


def test_guards_lie_on_both_sides_of_borders_between_splits_only(blocks):
    left_out = [b.stamp_us // SECOND - 1000 for b in blocks if b.split is None]
    # Borders between splits at 20, 30, 40, 60, 70, 80 and, after the last block, none at 100.
    expected = [t for border in (20, 30, 40, 60, 70, 80) for t in range(border - 2, border + 2)]
    assert left_out == expected
    assert {b.reason for b in blocks if b.split is None} == {'guard between splits'}


def test_pictures_of_two_splits_are_two_guards_apart(blocks):
    kept = [b for b in blocks if b.split]
    for one, other in itertools.pairwise(kept):
        if one.split != other.split:
            assert other.stamp_us - one.stamp_us > 4 * SECOND


def test_a_whole_drive_is_of_one_split_and_one_scene():
    found = list(assign_whole(np.array((1, 2)), 'street-0001-night', 'test'))
    assert [(a.stamp_us, a.split, a.scene) for a in found] == [
        (1, 'test', 'street-0001-night'),
        (2, 'test', 'street-0001-night'),
    ]


def test_lists_decide_and_may_name_neighbours(tmp_path):
    (tmp_path / 'train.txt').write_text('10 20 30\n20 30 40\n')
    (tmp_path / 'test.txt').write_text('70\n')
    listed = read_lists({'train': (tmp_path / 'train.txt',), 'test': (tmp_path / 'test.txt',)})
    found = list(assign_listed(np.arange(10, 80, 10), 'drive', listed, 50))
    assert [(a.split, a.neighbours) for a in found] == [
        (None, None),
        ('train', (10, 30)),
        ('train', (20, 40)),
        (None, None),
        (None, None),
        (None, None),
        ('test', None),
    ]
    assert Counter(a.reason for a in found)['in no list'] == 4
    assert (found[1].scene, found[-1].scene) == ('drive-block-000', 'drive-block-001')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('10 20\n', r'list.txt:1 must hold one timestamp or three'),
        ('10\n20.5\n', r'list.txt:2 must hold one timestamp or three'),
        ('10\n\n', r'list.txt:2 must hold one'),
        ('10\n10\n', r'list.txt:2: picture 10 is for train already'),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text, message):
    (tmp_path / 'list.txt').write_text(text)
    with pytest.raises(ValueError, match=message):
        read_lists({'train': (tmp_path / 'list.txt',)})


def test_a_picture_in_two_splits_is_refused(tmp_path):
    (tmp_path / 'a.txt').write_text('10\n')
    (tmp_path / 'b.txt').write_text('5 10 15\n')
    with pytest.raises(ValueError, match='picture 10 is for train already'):
        read_lists({'train': (tmp_path / 'a.txt',), 'test': (tmp_path / 'b.txt',)})


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='list of pictures not found'):
        read_lists({'train': (tmp_path / 'none.txt',)})


def test_a_recording_says_nothing_of_itself(tmp_path):
    assert rendered_splits(tmp_path) == {}
    assert rendered_conditions(tmp_path) == {}


def test_a_rendered_set_says_its_splits_and_conditions(tmp_path):
    (tmp_path / 'splits.json').write_text(
        json.dumps({'schema_version': 1, 'splits': {'street-0001-fog': 'test'}})
    )
    (tmp_path / 'conditions.json').write_text(
        json.dumps({'schema_version': 1, 'conditions': {'street-0001-fog': 'fog'}})
    )
    assert rendered_splits(tmp_path) == {'street-0001-fog': 'test'}
    assert rendered_conditions(tmp_path) == {'street-0001-fog': 'fog'}


@pytest.mark.parametrize(
    'text', ['{', '{"schema_version": 1}', '{"schema_version": 1, "conditions": {"a": "dusk"}}']
)
def test_an_ill_formed_file_is_refused(tmp_path, text):
    (tmp_path / 'conditions.json').write_text(text)
    with pytest.raises(ValueError, match='conditions.json'):
        rendered_conditions(tmp_path)
