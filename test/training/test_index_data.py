import json
from pathlib import Path

import pytest
from ssd_depth_core.config import load_yaml
from ssd_depth_core.data.index import read_header, read_lines, SPLITS
from ssd_depth_core.data.nuscenes_index import NuScenesIndexConfig
from ssd_depth_core.data.rendered_index import RenderedIndexConfig
from ssd_depth_core.data.robotcar_index import RobotCarIndexConfig
from ssd_depth_core.data.sources import open_source

from training.index_data import main

CONFIG_FOLDER = Path(__file__).parents[2] / 'config/data'
CONFIG = CONFIG_FOLDER / 'index_nuscenes.yaml'
SCENES = {
    'scene-0061': ('Turn left', 8.0),
    'scene-0103': ('Rain', 8.0),
    'scene-0916': ('Night', 8.0),
}


@pytest.fixture
def root(tmp_path, make_nuscenes):
    return make_nuscenes(tmp_path / 'set', SCENES)


def index(root, out, *options, config=CONFIG):
    return main(['--config', str(config), '--data', str(root), '--out', str(out), *options])


def words(text):
    """Split each line into its columns."""
    return [line.split() for line in text.splitlines()]


def test_index_says_what_it_holds(root, tmp_path, capsys):
    out = tmp_path / 'index'
    assert index(root, out) == 0
    printed = capsys.readouterr().out
    assert words(printed)[:5] == [
        ['frames', 'train', 'validation', 'test'],
        ['day-clear', '2', '0', '0'],
        ['night', '0', '0', '3'],
        ['day-rain', '0', '0', '3'],
        ['all', '2', '0', '6'],
    ]
    assert ['train:', 'without', 'both', 'neighbours', '1'] in words(printed)
    assert f'8 frames -> {out}' in printed
    header = read_header(out)
    assert header.kept == {
        'train': {'day-clear': 2},
        'validation': {},
        'test': {'night': 3, 'day-rain': 3},
    }
    assert header.dropped == {'train: without both neighbours': 1}
    assert header.options['version'] == 'v1.0-mini'
    assert header.root == str(root.resolve())
    source = open_source(header)
    for split in SPLITS:
        lines = read_lines(out, split)
        assert len(lines) == sum(header.kept[split].values())
        for line in lines:
            assert source.read_image(line).shape == (16, 24, 3)
            # Both of a sweep's points are ahead, at 9.36 m and 19.36 m.
            assert (source.read_depth(line) > 9).sum() == 2


def test_the_same_bytes_come_twice(root, tmp_path, capsys):
    out = tmp_path / 'index'
    texts = []
    for _ in range(2):
        assert index(root, out) == 0
        texts.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert texts[0] == texts[1]
    assert set(texts[0]) == {'index.json', *(f'{split}.jsonl' for split in SPLITS)}


def test_counts_other_than_the_published_end_with_1(tmp_path, make_nuscenes, capsys):
    root = make_nuscenes(tmp_path / 'set', SCENES, version='v1.0-trainval')
    assert index(root, tmp_path / 'index', '--check-counts') == 1
    printed = words(capsys.readouterr().out)
    head = ['--check-counts', 'expected', 'got', 'difference']
    rows = printed[printed.index(head) + 1 :]
    assert [row[-3:] for row in rows[:5]] == [
        ['15,129', '2', '-15,127'],
        ['4,449', '0', '-4,449'],
        ['602', '3', '-599'],
        ['968', '3', '-965'],
        ['6,019', '6', '-6,013'],
    ]
    assert read_header(tmp_path / 'index').kept['train'] == {'day-clear': 2}


def test_published_counts_end_with_0(tmp_path, make_nuscenes, monkeypatch, capsys):
    root = make_nuscenes(tmp_path / 'set', SCENES, version='v1.0-trainval')
    monkeypatch.setattr('training.index_data.nuscenes_counts', lambda lines: ())
    assert index(root, tmp_path / 'index', '--check-counts') == 0
    assert 'Not the published' not in capsys.readouterr().out


def test_counts_of_other_frames_are_refused_before_the_work(root, tmp_path):
    with pytest.raises(ValueError, match="version to 'v1.0-trainval' .*min_speed_mps to 0.5"):
        index(root, tmp_path / 'index', '--check-counts', '--set', 'min_speed_mps=1')
    assert not (tmp_path / 'index').exists()


def test_check_files_decodes(root, tmp_path, capsys):
    path = sorted(root.glob('samples/CAM_FRONT/scene-0103*'))[0]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=rf'1 of .*{path.name} is broken; .*on_missing=drop'):
        index(root, tmp_path / 'index', '--check-files')
    assert not (tmp_path / 'index').exists()
    assert index(root, tmp_path / 'index', '--check-files', '--set', 'on_missing=drop') == 0
    assert ['test:', 'picture', 'broken', '1'] in words(capsys.readouterr().out)


def test_a_copy_of_one_sample_needs_a_word(root, tmp_path, capsys):
    (root / 'v1.0-mini').rename(root / 'v1.0-sample')
    with pytest.raises(ValueError, match=r'in no list of scenes: .*--set default_split=test'):
        index(root, tmp_path / 'index')
    assert index(root, tmp_path / 'index', '--set', 'default_split=test') == 0
    assert read_header(tmp_path / 'index').kept['test'] == {
        'day-clear': 3,
        'night': 3,
        'day-rain': 3,
    }


def test_an_index_without_frames_is_refused(tmp_path, make_nuscenes, capsys):
    root = make_nuscenes(tmp_path / 'set', {'scene-0061': ('Night', 8.0)})
    with pytest.raises(ValueError, match='no frame of .* is left; see above'):
        index(root, tmp_path / 'index')
    assert ['train:', 'condition', 'night', '3'] in words(capsys.readouterr().out)


def test_a_rendered_set_is_indexed_by_its_own_splits(tmp_path, make_nuscenes, capsys):
    scenes = {f'street-000{n}-{c}': (c, 8.0) for n in range(2) for c in ('day-clear', 'snow')}
    root = make_nuscenes(tmp_path / 'set', scenes, version='v1.0-synth')
    splits = {name: 'test' if '0001' in name else 'train' for name in scenes}
    (root / 'splits.json').write_text(json.dumps({'schema_version': 1, 'splits': splits}))
    config = CONFIG_FOLDER / 'index_synthdrive.yaml'
    assert index(root, tmp_path / 'index', config=config) == 0
    header = read_header(tmp_path / 'index')
    assert header.kept == {
        'train': {'day-clear': 2},
        'validation': {},
        'test': {'day-clear': 3, 'snow': 3},
    }


def test_rendered_views_are_indexed_by_their_own_splits(rendered_set, tmp_path, capsys):
    config = CONFIG_FOLDER / 'index_rendered.yaml'
    assert index(rendered_set, tmp_path / 'index', config=config) == 0
    header = read_header(tmp_path / 'index')
    assert header.format == 'rendered'
    assert header.kept == {
        'train': {'day-clear': 6},
        'validation': {'day-clear': 2, 'night': 2},
        'test': {},
    }
    assert header.dropped == {'train: other conditions than train_conditions': 6}
    assert ['day-clear', '6', '2', '0'] in words(capsys.readouterr().out)
    with pytest.raises(ValueError, match='no counts of rendered views are published'):
        index(rendered_set, tmp_path / 'index', '--check-counts', config=config)


@pytest.mark.parametrize(
    ('name', 'cls'),
    [
        ('index_nuscenes', NuScenesIndexConfig),
        ('index_synthdrive', NuScenesIndexConfig),
        ('index_robotcar', RobotCarIndexConfig),
        ('index_rendered', RenderedIndexConfig),
    ],
)
def test_shipped_configs_hold_the_papers_options(name, cls):
    # What a YAML repeats of the defaults must not drift from them.
    assert load_yaml(cls, CONFIG_FOLDER / f'{name}.yaml') == cls()
