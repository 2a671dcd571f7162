import json

import numpy as np
import pytest
from ssd_depth_core.synthdrive.can_bus import write_can_bus
from ssd_depth_core.synthdrive.sensors import EgoPose

START_US = 1_600_000_000_000_000
RADIUS_M, SPEED_MPS = 20.0, 8.0


def on_a_circle(seconds, hz=50):
    """Drive to the left around the world's origin, at constant speed."""
    poses = []
    for i in range(round(seconds * hz) + 1):
        angle = SPEED_MPS / RADIUS_M * i / hz
        c, s = np.cos(angle), np.sin(angle)
        T = np.array(
            [[-s, -c, 0, RADIUS_M * c], [c, -s, 0, RADIUS_M * s], [0, 0, 1, 0], [0, 0, 0, 1]]
        )
        poses.append(
            EgoPose(
                timestamp_us=START_US + round(i * 1e6 / hz), T_world_ego=T, speed_mps=SPEED_MPS
            )
        )
    return poses


@pytest.fixture
def messages(tmp_path):
    write_can_bus(tmp_path / 'can_bus', 'scene-0007', on_a_circle(2.0))
    return {
        name: json.loads((tmp_path / 'can_bus' / f'scene-0007_{name}.json').read_text())
        for name in ('pose', 'vehicle_monitor')
    }


def test_circle_has_its_closed_form(messages):
    assert len(messages['pose']) == 101
    for message in messages['pose'][2:-2]:  # one-sided differences at the ends
        np.testing.assert_allclose(message['vel'], (SPEED_MPS, 0, 0), atol=2e-3)
        centripetal = (0, SPEED_MPS**2 / RADIUS_M, 0)
        np.testing.assert_allclose(message['accel'], centripetal, atol=2e-3)
        np.testing.assert_allclose(
            message['rotation_rate'], (0, 0, SPEED_MPS / RADIUS_M), atol=1e-4
        )
    first = messages['pose'][0]
    assert first['utime'] == START_US
    np.testing.assert_allclose(first['pos'], (RADIUS_M, 0, 0), atol=1e-12)
    np.testing.assert_allclose(first['orientation'], (np.sqrt(0.5), 0, 0, np.sqrt(0.5)))


def test_monitor_speaks_twice_a_second_in_kilometres_an_hour(messages):
    monitor = messages['vehicle_monitor']
    assert [m['utime'] - START_US for m in monitor] == [
        0,
        500_000,
        1_000_000,
        1_500_000,
        2_000_000,
    ]
    assert all(m['vehicle_speed'] == pytest.approx(28.8) for m in monitor)
    yaw_rates = [m['yaw_rate'] for m in monitor[1:-1]]
    assert yaw_rates == pytest.approx([np.rad2deg(0.4)] * 3, abs=0.01)


def test_too_few_or_unordered_poses_are_refused(tmp_path):
    poses = on_a_circle(1.0)
    for motion in (poses[:1], poses[::-1], [poses[0], poses[0]]):
        with pytest.raises(ValueError, match='two poses or more in time order'):
            write_can_bus(tmp_path, 'a', motion)
