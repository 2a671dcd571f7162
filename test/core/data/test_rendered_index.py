from dataclasses import replace
import json
import shutil

import numpy as np
import pytest

pytest.importorskip('torch')
pytest.importorskip('cv2')

from ssd_depth_core.data.frame_reader import read_exact_depth
from ssd_depth_core.data.index import IndexHeader, read_lines, write_index
from ssd_depth_core.data.rendered_index import (
    index_rendered,
    RenderedIndexConfig,
    RenderedSource,
)


def test_a_line_leads_to_picture_camera_and_depth(rendered_set):
    lines, _ = index_rendered(rendered_set, RenderedIndexConfig())
    line = lines['train'][2]  # frame 3: grey 25 * 3 + 10 by day, 4 + 3 * 3 metres away
    assert (line.id, line.condition, line.size) == ('000003-day-clear', 'day-clear', (64, 64))
    assert (line.previous, line.next, line.speed_mps, line.lidar) == (None, None, None, None)
    assert line.K == ((50.0, 0.0, 31.5), (0.0, 50.0, 31.5), (0.0, 0.0, 1.0))
    picture = RenderedSource(rendered_set).read_image(line)
    assert picture.shape == (64, 64, 3)
    assert np.abs(picture.astype(int) - 85).max() <= 1
    depth = read_exact_depth(rendered_set / line.exact_depth, line.size)
    assert np.isinf(depth[0]).all()
    assert np.isnan(depth[1]).all()
    assert (depth[2:] == 13).all()


def test_all_conditions_are_for_validation_and_those_asked_for_to_train_on(rendered_set):
    lines, dropped = index_rendered(rendered_set, RenderedIndexConfig())
    assert {line.condition for line in lines['train']} == {'day-clear'}
    assert [line.id for line in lines['validation']] == [
        f'{view}-{condition}'
        for view in ('000002', '000005')
        for condition in ('day-clear', 'night')
    ]
    assert dropped == {'train: other conditions than train_conditions': 6}
    lines, dropped = index_rendered(rendered_set, RenderedIndexConfig(train_conditions=None))
    assert len(lines['train']) == 12
    assert dropped == {}


def test_views_of_one_city_are_one_scene(rendered_set, tmp_path):
    root = shutil.copytree(rendered_set, tmp_path / 'set')
    path = root / 'frames.jsonl'
    names = ['000007_0', '000007_1', '000008_0', '000025_0']
    frames = [json.loads(line) for line in path.read_text().splitlines()][:4]
    for frame, name in zip(frames, names, strict=True):
        (root / 'day-clear' / f'{frame["id"]}.jpg').rename(root / 'day-clear' / f'{name}.jpg')
        frame.update(id=name, conditions=['day-clear'], split='train')
    frames[3]['split'] = 'validation'
    path.write_text(''.join(json.dumps(frame) + '\n' for frame in frames))
    lines, _ = index_rendered(root, RenderedIndexConfig())
    assert [line.scene for line in lines['train']] == [
        '000007-day-clear',
        '000007-day-clear',
        '000008-day-clear',
    ]
    stamps = sorted(line.timestamp_us for line in lines['train'])
    assert min(np.diff(stamps)) > 1_000_000  # no two of a city pass for frames of a video


def test_the_index_is_read_as_it_was_written(rendered_set, tmp_path):
    lines, dropped = index_rendered(rendered_set, RenderedIndexConfig())
    header = IndexHeader(
        format='rendered', root=str(rendered_set), options={}, kept={}, dropped=dropped
    )
    write_index(tmp_path / 'index', header, lines)
    assert read_lines(tmp_path / 'index', 'train') == lines['train']


def test_what_cannot_be_indexed_or_read_is_named(rendered_set, tmp_path):
    root = shutil.copytree(rendered_set, tmp_path / 'set')
    lines, _ = index_rendered(root, RenderedIndexConfig())
    line = lines['train'][0]
    source = RenderedSource(root)
    with pytest.raises(ValueError, match='frame 000000-day-clear has no LiDAR'):
        source.read_depth(line)
    with pytest.raises(FileNotFoundError, match='gone.jpg'):
        source.read_image(replace(line, image='gone.jpg'))
    with pytest.raises(FileNotFoundError, match='rendered set not found at .*nowhere'):
        RenderedSource(tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='train_conditions must be one or more'):
        RenderedIndexConfig(train_conditions=())
    text = (root / 'frames.jsonl').read_text()
    (root / 'frames.jsonl').write_text(text.replace('"night"', '"dusk"'))
    with pytest.raises(ValueError, match='conditions must be of day-clear.*, got dusk for 000000'):
        index_rendered(root, RenderedIndexConfig())
