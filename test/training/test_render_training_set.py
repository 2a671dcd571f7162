import json
from pathlib import Path
import shutil

import numpy as np
import pytest
from ssd_depth_core.config import load_yaml
from ssd_depth_core.data.rendered import read_classes, read_depth, read_frames, read_image
from ssd_depth_core.surface_classes import SURFACE_CLASSES
import yaml

from training import render_training_set
from training.render_training_set import main, TrainingSetConfig, VIEWS_PER_CITY

DEFAULT = ('day-clear', 'night', 'day-rain')
"""What the shipped student saw, in the order in which they take turns."""


def render(out, *overrides):
    config = out.with_suffix('.yaml')
    config.write_text('{seed: 24, num_cities: 2, height: 64, width: 96, num_workers: 1}')
    options = [option for item in overrides for option in ('--set', item)]
    return main(['--config', str(config), '--out', str(out), '--device', 'cpu', *options])


def content(folder):
    files = (p for p in folder.rglob('*') if p.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


@pytest.fixture(scope='module')
def rendered(tmp_path_factory):
    """Cities 24 (to train on) and 25 (for validation), rendered by one worker."""
    out = tmp_path_factory.mktemp('sets') / 'one'
    assert render(out) == 0
    return out


def test_reader_takes_the_set(rendered):
    train, validation = (read_frames([rendered], split) for split in ('train', 'validation'))
    assert [f.line.id for f in train] == [f'000024_{view}' for view in range(6)]
    assert [f.line.id for f in validation] == [f'000025_{view}' for view in range(6)]
    assert {f.line.conditions for f in validation} == {DEFAULT}
    assert sorted(f.line.conditions[0] for f in train) == sorted(2 * DEFAULT)
    for frame in (*train, *validation):
        depth = read_depth(frame)
        assert depth.shape == (64, 96)
        assert not np.isnan(depth).any()
        assert np.median(depth) > 2.0
        for condition in frame.line.conditions:
            assert read_image(frame, condition).shape == (64, 96, 3)
    shown = sum(len(f.line.conditions) for f in (*train, *validation))
    # Nothing but config, index, depth and pictures.
    assert len(content(rendered)) == 2 + 12 + shown


@pytest.fixture(scope='module')
def named(rendered, tmp_path_factory):
    """The same set, for which classes were asked after it had been rendered without."""
    out = shutil.copytree(rendered, tmp_path_factory.mktemp('named') / 'one')
    assert render(out, 'classes=true') == 0
    return out


def test_classes_are_added_and_change_no_other_byte(rendered, named):
    names = [f'{city:06d}_{view}' for city in (24, 25) for view in range(6)]
    files = content(named)
    added = sorted(files.keys() - content(rendered).keys())
    assert added == [f'classes/{name}.png' for name in names]
    others = {name: files[name] for name in files.keys() - set(added)}
    apart = {'config.yaml': b''}  # which says whether there are classes
    assert others | apart == content(rendered) | apart


def test_sky_is_where_depth_has_no_end(named):
    sky = SURFACE_CLASSES.index('sky')
    for split in ('train', 'validation'):
        for frame in read_frames([named], split):
            classes, depth = read_classes(frame), read_depth(frame)
            assert classes.shape == (64, 96)
            assert (classes < len(SURFACE_CLASSES)).all()
            assert np.isinf(depth[classes == sky]).all()
            assert np.isfinite(depth[classes != sky]).mean() > 0.9  # the rest is beyond 255 m


def test_a_set_may_be_all_for_validation(tmp_path):
    assert render(tmp_path / 'set', 'num_cities=1', 'validation_every=1') == 0
    frames = read_frames([tmp_path / 'set'], 'validation')
    assert [f.line.id for f in frames] == [f'000024_{view}' for view in range(6)]
    with pytest.raises(ValueError, match='no train frame in'):
        read_frames([tmp_path / 'set'], 'train')


def test_second_run_renders_nothing_new(named):
    pictures = (p for p in named.rglob('*.*') if p.suffix in ('.jpg', '.png'))
    before = {p: p.stat().st_mtime_ns for p in pictures}
    index = (named / 'frames.jsonl').read_bytes()
    assert render(named, 'classes=true') == 0
    assert (named / 'frames.jsonl').read_bytes() == index
    assert {p: p.stat().st_mtime_ns for p in before} == before


# 10: the last line is cut short. 1000: lines of the same city are missing before it, too.
@pytest.mark.parametrize('cut', [10, 1000])
def test_a_run_that_was_killed_while_writing_goes_on(rendered, tmp_path, monkeypatch, cut):
    out = tmp_path / 'killed'
    shutil.copytree(rendered, out)
    index = out / 'frames.jsonl'
    index.write_bytes(index.read_bytes()[:-cut])
    with pytest.raises(json.JSONDecodeError):
        json.loads(index.read_text().splitlines()[-1])

    class Pool:
        """This process in place of a worker's: what is tested here is the index."""

        def __init__(self, method):
            assert method == 'spawn'

        def Pool(self, num_workers):
            return self

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def imap(self, function, jobs):
            cities.extend(job[0] for job in jobs)
            return map(function, jobs)

    cities = []
    monkeypatch.setattr(render_training_set, 'get_context', Pool)
    monkeypatch.setattr(render_training_set.torch, 'set_num_threads', lambda number: None)
    assert render(out) == 0
    assert cities == [25]
    assert content(out) == content(rendered)


def test_number_of_workers_changes_no_byte(named, tmp_path):
    out = tmp_path / 'two'
    assert render(out, 'num_workers=2', 'classes=true') == 0
    apart = {'config.yaml': b''}  # which names the number
    assert content(out) | apart == content(named) | apart


def test_views_of_another_kind_do_not_join_a_set(named):
    before = content(named)
    with pytest.raises(ValueError, match="height 64 there, 32 here; terrain 'flat' there, 'hilly"):
        render(named, 'classes=true', 'height=32', 'terrain=hilly')
    assert content(named) == before


def test_picture_that_cannot_be_written_stops_the_run(tmp_path):
    with pytest.raises(OSError, match='nowhere.png could not be written'):
        render_training_set._write(tmp_path / 'no' / 'nowhere.png', np.zeros((2, 2), np.uint8), [])


@pytest.mark.parametrize('field', ['num_cities', 'height', 'width', 'num_workers', 'seed'])
def test_config_out_of_range_is_refused(field):
    values = {'num_cities': 1, field: -1}
    with pytest.raises(ValueError, match='numbers must be >= 1 and the seed >= 0'):
        TrainingSetConfig(**values)


@pytest.mark.parametrize('conditions', [(), ('fog', 'fog')])
def test_conditions_come_once_each(conditions):
    with pytest.raises(ValueError, match='conditions must be one or more, each once'):
        TrainingSetConfig(num_cities=1, conditions=conditions)


def test_configs_render_the_sets_that_the_shipped_student_saw():
    """docs/student.md: 10,110 and 2,844 views of cities that do not meet."""
    folder = Path(__file__).parents[2] / 'config/data'
    names = ('random_views.yaml', 'random_views_queue.yaml')
    assert TrainingSetConfig(num_cities=1).conditions == DEFAULT
    first, queue = (load_yaml(TrainingSetConfig, folder / name) for name in names)
    assert first.num_cities * VIEWS_PER_CITY == 10_110
    assert queue.num_cities * VIEWS_PER_CITY == 2_844
    assert first.seed + first.num_cities <= queue.seed


def test_pretraining_sees_clear_days_in_cities_of_its_own():
    folder = Path(__file__).parents[2] / 'config/data'
    config = load_yaml(TrainingSetConfig, folder / 'pretraining_views.yaml')
    assert config.classes
    assert config.conditions == ('day-clear',)
    cities = range(config.seed, config.seed + config.num_cities)
    others = [p for p in folder.rglob('*.yaml') if p.stem != 'pretraining_views']
    taken = [yaml.safe_load(p.read_text()) for p in others]
    taken = [c for c in taken if 'seed' in c]
    assert len(taken) >= 8
    for other in taken:
        count = other.get('num_cities', other.get('num_streets'))
        assert other['seed'] + count <= cities.start or other['seed'] >= cities.stop
