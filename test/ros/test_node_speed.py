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


def test_bench_writes_one_row_about_the_real_node(model, tmp_path):
    file = tmp_path / 'node.json'
    options = ['--model', model, '--seconds', '1', '--rate', '6', '--threads', '1']
    subprocess.run(
        [sys.executable, ROOT / 'bench' / 'node_speed.py', *options, '--json', file],
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        check=True,
        timeout=90,
    )
    (row,) = json.loads(file.read_text())['rows']
    assert row['method'].startswith(('depth_node, openvino on ', 'depth_node, onnxruntime on '))
    assert row['n'] == 6
    assert 0 <= row['dropped'] < 6
    assert 0 < row['age_ms_p50'] <= row['age_ms_p99'] <= row['age_ms_max']
    assert 50 < row['peak_rss_mb'] < 600
