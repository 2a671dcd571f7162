import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]


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
    assert row['n'] == 6
    assert 0 <= row['dropped'] < 6
    assert 0 < row['age_ms_p50'] <= row['age_ms_p99'] <= row['age_ms_max']
    assert 50 < row['peak_rss_mb'] < 600
