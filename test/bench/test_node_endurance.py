import json
import os
from pathlib import Path
import subprocess
import sys

import pytest

for name in ('rclpy', 'psutil'):
    pytest.importorskip(name)

from node_endurance import memory_mb, slope_per_1000  # noqa: E402


def test_slope_is_growth_a_thousand_pictures() -> None:
    frames = [0, 500, 1000, 4000]
    assert slope_per_1000(frames, [100.0, 101.0, 102.0, 108.0]) == pytest.approx(2.0)
    assert slope_per_1000(frames, [300.0] * 4) == pytest.approx(0.0, abs=1e-9)


def test_memory_is_told_over_what_came_not_over_what_was_sent() -> None:
    class Listener:
        arrived_ns = ({1: 2, 3: 4}, {5: 6})

    class Cameras:
        rounds = iter([False, False, True])

        def poll(self, seconds):
            return next(self.rounds)

    (before, rss_mb), (after, _) = memory_mb(os.getpid(), Cameras(), Listener())
    assert (before, after) == (3, 3)
    assert 10 < rss_mb < 10_000


@pytest.mark.slow
@pytest.mark.ros
def test_start_and_memory_of_a_real_node(tmp_path: Path) -> None:
    root, file = Path(__file__).parents[2], tmp_path / 'endurance.json'
    subprocess.run(
        [sys.executable, root / 'bench' / 'node_endurance.py', '--frames', '500', '--json', file],
        env=os.environ | {'PYTHONPATH': str(root)},
        check=True,
        timeout=300,
    )
    listens, depth, memory = json.loads(file.read_text())['rows']
    for row in (listens, depth):
        assert 0.5 < row['least'] <= row['value'] <= row['most'] < 20
    assert listens['value'] < depth['value']
    assert 50 < memory['least'] <= memory['most'] < 600
    assert 0 < memory['n'] <= 504
