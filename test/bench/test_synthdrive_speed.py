from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.records import read_result
import synthdrive_speed


def test_every_picture_is_counted():
    views, seconds = synthdrive_speed.render_city((9, 'night', 2, (16, 24)))
    assert views == 2
    assert seconds > 0
    pictures, seconds = synthdrive_speed.render_street((9, 'night', 2, (16, 24)))
    assert pictures == 2
    assert seconds > 0


class Serial:
    """A pool of this process: what the bench measures with takes seconds to start."""

    def map(self, function, jobs, chunksize):
        return [function(job) for job in jobs]


def test_rate_is_of_all_processes_together():
    def render(job):
        return job

    assert synthdrive_speed.measure(Serial(), 2, render, [(6, 1.0), (4, 1.5)]) == 8.0


def test_figures_are_written_only_when_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(synthdrive_speed, 'SIZE', (16, 24))
    monkeypatch.setattr(synthdrive_speed, 'VIEWS_PER_CITY', 1)
    path = tmp_path / 'speed.json'
    arguments = [
        *('--cities', '1', '--pictures', '1', '--seed', '9', '--processes', '1'),
        *('--json', str(path)),
    ]
    assert synthdrive_speed.main(arguments) == 0
    result = read_result(path)
    assert [row['condition'] for row in result.rows] == list(RENDERED_CONDITIONS)
    assert all(row['drive_pictures_per_s'] > 0 for row in result.rows)
    assert all(row['random_pictures_per_s'] > 0 for row in result.rows)
    assert len(capsys.readouterr().out.splitlines()) == 6
    assert result.command.startswith('python bench/synthdrive_speed.py --cities 1')
    assert result.seed == 9
    assert 'synthetic' in result.data
