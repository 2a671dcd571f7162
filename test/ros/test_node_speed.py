import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]


def test_late_depth_of_the_warm_up_is_not_counted(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'bench'))
    import node_speed

    arrived = {1_000_000: 31_000_000, 5_000_000: 9_000_000, 7_000_000: 8_500_000}
    assert node_speed.ages([5_000_000, 6_000_000, 7_000_000], arrived) == [4.0, 1.5]


def test_bench_writes_a_row_about_one_camera_and_one_about_several(model, tmp_path):
    file = tmp_path / 'node.json'
    options = ['--model', model, '--seconds', '1', '--rate', '6', '--threads', '1']
    subprocess.run(
        [
            *(sys.executable, ROOT / 'bench' / 'node_speed.py', *options),
            *('--cameras', '1', '3', '--json', file),
        ],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        check=True,
        timeout=150,
    )
    result = json.loads(file.read_text())
    for row, num_cameras in zip(result['rows'], (1, 3), strict=True):
        assert row['method'].startswith(
            ('depth_node, openvino on ', 'depth_node, onnxruntime on ')
        )
        assert row['n'] == 6 * num_cameras
        assert row['n'] >= row['in'] >= row['out'] >= row['n'] - row['dropped'] > 0
        assert 0 < row['age_ms_p50'] <= row['age_ms_p99'] <= row['age_ms_max']
        assert 50 < row['peak_rss_mb'] < 600
    for stages, num_cameras in zip(result['further']['stages'], (1, 3), strict=True):
        assert stages.pop('cameras') == num_cameras
        assert all(0 <= value < 10_000 for value in stages.values()), stages
        assert stages['latency_ms'] >= stages['decode_ms'] + stages['predict_ms']


def test_number_of_cameras_is_bounded(monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / 'bench'))
    import node_speed

    with pytest.raises(SystemExit):
        node_speed.main(['--cameras', '7'])
    assert '--cameras must be from 1 to 6' in capsys.readouterr().err
