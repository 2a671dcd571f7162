import json
import os
from pathlib import Path
import subprocess
import sys
import threading
import time

import pytest

for name in ('rclpy', 'psutil'):
    pytest.importorskip(name)

import node_cost  # noqa: E402


def burn(seconds):
    while time.thread_time() < seconds:
        pass


def test_what_an_engine_does_after_its_answer_is_the_networks_cost(monkeypatch):
    class Engine:
        def run(self, image):
            threading.Thread(target=burn, args=(0.02,)).start()

    monkeypatch.setattr(node_cost, 'load_backend', lambda *_: Engine())
    assert 15 < node_cost.network_ms(rate_hz=4, frames=3) < 60


@pytest.mark.slow
@pytest.mark.ros
def test_each_node_is_weighed_beside_the_network(tmp_path):
    root, file = Path(__file__).parents[2], tmp_path / 'cost.json'
    subprocess.run(
        [sys.executable, root / 'bench' / 'node_cost.py', '--frames', '24', '--json', file],
        env=os.environ | {'PYTHONPATH': str(root)},
        check=True,
        timeout=200,
    )
    rows = json.loads(file.read_text())['rows']
    assert [row['method'] for row in rows] == list(node_cost.NODES)
    for row in rows:
        assert 0 < row['n'] <= row['sent'] == 24
        assert row['picture_ms'] > row['network_ms'] > 0
        assert row['all_else_ms'] == pytest.approx(row['picture_ms'] - row['network_ms'], abs=0.02)
    ours, by_bytes, by_list = (row['all_else_over_ours'] for row in rows)
    assert ours == 1.0 < by_bytes < by_list
