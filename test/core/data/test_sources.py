from pathlib import Path

import pytest
from ssd_depth_core.data.index import IndexHeader
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.rendered_index import RenderedSource
from ssd_depth_core.data.robotcar import RobotCarSource
from ssd_depth_core.data.sources import format_of, open_source


def header(source_format, root):
    return IndexHeader(format=source_format, root=str(root), options={}, kept={}, dropped={})


def touch(path: Path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ('name', 'source_format', 'source'),
    [
        ('v1.0-mini/scene.json', 'nuscenes', NuScenesSource),
        ('2014-12-09-13-21-02/stereo.timestamps', 'robotcar', RobotCarSource),
        ('frames.jsonl', 'rendered', RenderedSource),
    ],
)
def test_the_reader_goes_with_the_folder(tmp_path, name, source_format, source):
    touch(tmp_path / name)
    assert format_of(tmp_path) == source_format
    assert isinstance(open_source(header(source_format, tmp_path)), source)


def test_a_folder_that_holds_no_data_set_is_named(tmp_path):
    for root in (tmp_path, tmp_path / 'nowhere'):
        with pytest.raises(FileNotFoundError, match=f'no data set at {root}: neither v1.0'):
            format_of(root)


@pytest.mark.parametrize('source_format', ['nuscenes', 'robotcar', 'rendered'])
def test_a_data_set_that_has_moved_is_named(tmp_path, source_format):
    with pytest.raises(FileNotFoundError, match='gone'):
        open_source(header(source_format, tmp_path / 'gone'))
