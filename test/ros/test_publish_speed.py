import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / 'bench'))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    import publish_speed

    return publish_speed


def test_bench_writes_a_row_a_message(bench, tmp_path):
    file = tmp_path / 'publish.json'
    bench.main(['--rounds', '3', '--json', str(file)])
    rows = json.loads(file.read_text())['rows']
    assert len(rows) == 7
    assert [row['mb'] for row in rows[:4]] == [5.76, 1.08, 1.44, 1.44]
    for row in rows:
        floor = row['copy_ms'] + row['publish_ms']
        assert row['node_over_floor'] == pytest.approx(row['node_ms'] / floor, rel=0.1)
        assert row['tutorial_ms'] > 0


def test_the_tutorial_says_the_same_as_the_node(bench):
    from ssd_depth_ros.parameters import PointsParameters
    from ssd_depth_ros.point_cloud import PointCloudWriter
    from std_msgs.msg import Header

    depth = np.random.default_rng(0).uniform(1, 50, (12, 16)).astype(np.float32)
    fourth = depth[::4, ::4] / 50
    theirs = bench.tutorial_cloud(depth, 'xyzi', fourth)
    ours = PointCloudWriter().write(
        Header(),
        depth,
        bench._K,
        PointsParameters(fields='xyzi', stride=4),
        confidence=depth / 50,
    )
    assert (theirs.height, theirs.width, theirs.row_step) == (ours.height, ours.width, 64)
    read = (np.frombuffer(m.data, np.float32) for m in (theirs, ours))
    np.testing.assert_allclose(*read, rtol=1e-5)
    assert bytes(bench.tutorial_image(depth).data) == depth.tobytes()
