import pytest
from ssd_depth_core.records import read_result
from ssd_depth_core.synthdrive.materials import NoiseBank
import synthdrive_speed
import torch


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(synthdrive_speed, 'SIZE', (16, 24))
    monkeypatch.setattr(synthdrive_speed, 'VIEWS_PER_CITY', 1)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_time_is_of_one_view(monkeypatch):
    clock = iter((100.0, 106.0))
    monkeypatch.setattr(synthdrive_speed.time, 'perf_counter', lambda: next(clock))
    seconds = synthdrive_speed.seconds_a_view(('night',), range(9, 12), (16, 24), NoiseBank())
    assert seconds == 2.0


def test_figures_are_written_only_when_asked_for(tmp_path, capsys):
    arguments = ['--cities', '1', '--seed', '9', '--threads', '1']
    assert synthdrive_speed.main(arguments) == 0
    assert 'pictures/s' in capsys.readouterr().out
    path = tmp_path / 'speed.json'
    assert synthdrive_speed.main([*arguments, '--json', str(path)]) == 0
    result = read_result(path)
    names = ['day-clear', 'night', 'day-rain', 'all three of one view']
    assert [row['condition'] for row in result.rows] == names
    assert all(row['pictures_per_s'] > 0 and row['views'] == 1 for row in result.rows)
    assert result.command.startswith('python bench/synthdrive_speed.py --cities 1')
    assert result.seed == 9
    assert 'synthetic' in result.data
