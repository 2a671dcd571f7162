from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.records import read_result
import synthdrive_speed


def test_every_view_is_counted():
    assert synthdrive_speed.render_city((9, ('night',), 2, (16, 24))) == 2


def test_figures_are_written_only_when_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(synthdrive_speed, 'SIZE', (16, 24))
    monkeypatch.setattr(synthdrive_speed, 'VIEWS_PER_CITY', 1)
    path = tmp_path / 'speed.json'
    arguments = ['--cities', '1', '--seed', '9', '--processes', '1', '--json', str(path)]
    assert synthdrive_speed.main(arguments) == 0
    assert 'pictures/s' in capsys.readouterr().out
    result = read_result(path)
    names = [*CONDITIONS, 'all of one view']
    assert [row['condition'] for row in result.rows] == names
    assert all(row['pictures_per_s'] > 0 and row['views'] == 1 for row in result.rows)
    assert result.command.startswith('python bench/synthdrive_speed.py --cities 1')
    assert result.seed == 9
    assert 'synthetic' in result.data
