from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).parents[2] / 'bench'))
import evaluator_speed
from ssd_depth_core.records import read_result


def test_figures_are_those_of_frames_with_lidar_truth(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluator_speed, 'FILES', 3)
    path = tmp_path / 'evaluator.json'
    assert evaluator_speed.main(['--rounds', '1', '--json', str(path)]) == 0
    assert 'frames/s' in capsys.readouterr().out
    result = read_result(path)
    assert [row['prediction'] for row in result.rows] == ['1600x900', '320x192']
    for row in result.rows:
        assert row['frames_per_s'] > 0
        assert row['frames'] == 3
        # A real sweep gives 3,059 to 4,825 pixels a camera.
        pixels = int(row['truth'].split(', ')[1].split()[0])
        assert 3059 <= pixels <= 4825
