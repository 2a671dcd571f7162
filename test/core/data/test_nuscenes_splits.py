import json

import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.data.nuscenes_splits import official_scenes, split_scenes, street_of

SHARE = 0.05


def split(root, version, scenes, **options):
    return split_scenes(root, version, scenes, **{'validation_share': SHARE, **options})


def write_splits(root, splits, **fields):
    text = json.dumps({'schema_version': 1, 'splits': splits, **fields})
    (root / 'splits.json').write_text(text)


def test_official_lists_have_the_published_counts():
    lists = {name: official_scenes(name) for name in ('train', 'val', 'mini_train', 'mini_val')}
    assert {name: len(set(scenes)) for name, scenes in lists.items()} == {
        'train': 700,
        'val': 150,
        'mini_train': 8,
        'mini_val': 2,
    }
    assert not set(lists['train']) & set(lists['val'])
    assert lists['mini_val'] == ('scene-0103', 'scene-0916')


def test_official_lists_are_the_devkits():
    splits = pytest.importorskip('nuscenes.utils.splits').create_splits_scenes()
    for name in ('train', 'val', 'mini_train', 'mini_val'):
        assert official_scenes(name) == tuple(sorted(splits[name]))


def test_official_validation_scenes_test(tmp_path):
    train, val = official_scenes('train'), official_scenes('val')
    result = split(tmp_path, 'v1.0-trainval', (*val, *train))
    assert list(result) == [*val, *train]
    assert {result[scene] for scene in val} == {'test'}
    validation = [scene for scene in train if result[scene] == 'validation']
    assert {result[scene] for scene in train} == {'train', 'validation'}
    # By the names' hash: these scenes must never change.
    assert len(validation) == 35
    assert validation[:4] == ['scene-0001', 'scene-0059', 'scene-0158', 'scene-0183']


def test_a_scene_keeps_its_split_whatever_lies_beside_it(tmp_path):
    whole = split(tmp_path, 'v1.0-trainval', official_scenes('train'))
    for scene in official_scenes('train')[:60]:
        assert split(tmp_path, 'v1.0-trainval', [scene]) == {scene: whole[scene]}


@pytest.mark.parametrize(('share', 'count'), [(0.0, 0), (1.0, 700)])
def test_validation_share_reaches_both_ends(tmp_path, share, count):
    result = split(tmp_path, 'v1.0-trainval', official_scenes('train'), validation_share=share)
    assert list(result.values()).count('validation') == count


def test_mini_goes_by_its_own_lists(tmp_path):
    # scene-0553 is one of trainval's validation scenes.
    result = split(tmp_path, 'v1.0-mini', ['scene-0553', 'scene-0103', 'scene-0916'])
    assert result == {'scene-0553': 'train', 'scene-0103': 'test', 'scene-0916': 'test'}
    assert split(tmp_path, 'v1.0-trainval', ['scene-0553']) == {'scene-0553': 'test'}


@pytest.mark.parametrize('version', ['v1.0-test', 'v1.0-synth'])
def test_a_set_without_lists_needs_a_word(tmp_path, version):
    with pytest.raises(ValueError, match=r"'scene-0061' .* is in no list .*default_split=test"):
        split(tmp_path, version, ['scene-0061'])
    assert split(tmp_path, version, ['scene-0061'], default_split='test') == {'scene-0061': 'test'}


def test_rendered_set_says_its_splits(tmp_path):
    streets = {'street-0001': 'train', 'street-0002': 'validation', 'street-0003': 'test'}
    splits = {f'{street}-{c}': name for street, name in streets.items() for c in CONDITIONS}
    write_splits(tmp_path, splits)
    assert split(tmp_path, 'v1.0-synth', [*splits]) == splits
    with pytest.raises(ValueError, match=r"'street-0004-night' .* there is one .*splits\.json"):
        split(tmp_path, 'v1.0-synth', ['street-0004-night'])


def test_twins_in_different_splits_are_refused(tmp_path):
    write_splits(tmp_path, {'street-0001-day-clear': 'train', 'street-0001-night-rain': 'test'})
    with pytest.raises(ValueError, match='street-0001-day-clear is for train and its twin .*test'):
        split(tmp_path, 'v1.0-synth', ['street-0001-night-rain'])


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{"schema_version": 1, "spl', r'splits\.json is not JSON .*render the set again'),
        ('{"schema_version": 2, "splits": {}}', 'schema_version must be one of 1, got 2'),
        ('{"schema_version": 1, "splits": {"a": "dev"}}', 'must be one of train, validation'),
        ('{"schema_version": 1}', 'missing field.* splits'),
        ('[]', 'expected fields of RenderedSplits'),
    ],
)
def test_broken_splits_are_named(tmp_path, text, message):
    (tmp_path / 'splits.json').write_text(text)
    with pytest.raises(ValueError, match=message):
        split(tmp_path, 'v1.0-synth', ['a'])


@pytest.mark.parametrize('condition', CONDITIONS)
def test_street_of_leaves_the_condition_out(condition):
    assert street_of(f'street-0003-{condition}') == 'street-0003'
    assert street_of('scene-0061') == 'scene-0061'
