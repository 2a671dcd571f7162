import loader_speed
import numpy as np
import pytest
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset
from ssd_depth_core.records import read_result


@pytest.fixture
def small(monkeypatch):
    """A bench of small pictures and few triplets."""
    cases = (
        loader_speed.Case(pictures=(48, 80), size=(16, 24)),
        loader_speed.Case(pictures=(48, 80), size=(16, 24), wrap=loader_speed.WholePictures),
    )
    monkeypatch.setattr(loader_speed, 'CASES', cases)
    monkeypatch.setattr(loader_speed, 'NUSCENES', (48, 80))
    monkeypatch.setattr(loader_speed, 'NUM_VIEWS', 1)
    monkeypatch.setattr(loader_speed, 'NUM_FILES', 8)


def test_a_drive_is_an_index_of_files(small, tmp_path):
    view = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
    lines = loader_speed.write_drive(tmp_path / 'drive', [view], (24, 40))
    source = NuScenesSource(tmp_path / 'drive')
    assert [line.previous is None for line in lines] == [True] + [False] * 7
    assert [line.next is None for line in lines] == [False] * 7 + [True]
    dataset = TripletDataset(lines, source, TripletConfig(size=(12, 20)))
    assert len(dataset) == 6
    assert dataset[5, 0]['sources'].shape == (2, 3, 12, 20)


def test_a_source_can_be_kept_from_reducing(small, tmp_path):
    view = np.zeros((48, 80, 3), np.uint8)
    lines = loader_speed.write_drive(tmp_path / 'drive', [view], (48, 80))
    source = NuScenesSource(tmp_path / 'drive')
    reads = []
    source.read_reduced = lambda frame, factor: reads.append(factor) or view[::factor, ::factor]
    config = TripletConfig(size=(12, 20))
    TripletDataset(lines, source, config)[0, 0]
    assert reads == [4, 4, 4]
    TripletDataset(lines, loader_speed.WholePictures(source), config)[0, 0]
    assert len(reads) == 3


def test_every_case_is_timed_and_written(small, tmp_path, capsys):
    path = tmp_path / 'loader.json'
    arguments = ['--triplets', '8', '--seed', '9', '--workers', '1', '--json', str(path)]
    assert loader_speed.main(arguments) == 0
    assert '80x48' in capsys.readouterr().out
    result = read_result(path)
    assert [row['decode'] for row in result.rows] == ['no more than needed', 'whole']
    assert all(row['triplets_per_s'] > 0 for row in result.rows)
    assert all(row['core_ms_a_triplet'] > 0 for row in result.rows)
    assert result.command.startswith('python bench/loader_speed.py --triplets 8')
    assert result.seed == 9
    assert 'synthetic' in result.data


def test_cases_are_the_ones_that_are_promised():
    asked = {(case.pictures, case.size) for case in loader_speed.CASES}
    assert {((192, 320), (160, 288)), ((900, 1600), (160, 288))} <= asked
