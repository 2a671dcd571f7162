import numpy as np
import pytest
from ssd_depth_core.synthdrive.following import follow, STEP_S, Temper
from ssd_depth_core.synthdrive.junctions import CYCLE_S, Gate, GREEN_S, Light, Track
from ssd_depth_core.synthdrive.trajectory import Path, STEP_M

TEMPER = Temper(cruise=(8.0, 8.0), acceleration=1.5, gap_m=2.0, headway_s=1.2)


def straight(*gates, length_m=400.0):
    count = int(length_m / STEP_M)
    xy = np.stack([np.arange(count) * STEP_M, np.zeros(count)], -1)
    path = Path(xy, np.zeros(count), np.full(count, np.inf), np.zeros(count, bool))
    return Track(path, gates)


def run(track, start, cruise, duration_s=40.0, leader=None, length=4.0):
    start, cruise = np.array(start, float), np.array(cruise, float)
    lengths = np.full(len(start), length)
    return follow(track, TEMPER, lengths, start, cruise, (0.0, duration_s), leader)


def test_alone_on_a_free_road_keeps_its_speed():
    stream = run(straight(), [10.0], [8.0], 20.0)
    np.testing.assert_allclose(stream.distance[:, 0], 10.0 + 0.8 * np.arange(202), atol=0.5)
    xy, yaw, there = stream.at(1.05)
    np.testing.assert_allclose(xy, [[10.0 + 8.0 * 1.05, 0.0]], atol=0.05)
    assert yaw == pytest.approx(0.0)
    assert there.all()


def test_faster_one_stays_behind_a_slower_one():
    stream = run(straight(), [40.0, 10.0], [4.0, 10.0])
    gap = stream.distance[:, 0] - stream.distance[:, 1] - 4.0
    assert gap.min() > 2.0
    assert gap[-1] == pytest.approx(2.0 + 1.2 * 4.0, abs=1.5)


def test_follower_stops_behind_what_stops_before_it():
    leader = np.minimum(30.0 + 8.0 * STEP_S * np.arange(402), 100.0)
    stream = run(straight(), [20.0], [8.0], leader=leader)
    assert stream.distance[-1, 0] + 2.0 == pytest.approx(98.0, abs=0.5)
    assert (leader - stream.distance[:, 0] - 2.0).min() > 1.0


def test_all_wait_at_a_red_light_and_go_at_green():
    light = Light(30.0)  # red for the way from 8 s to 30 s
    gate = Gate(100.0, 130.0, light, crossing=False)
    stream = run(straight(gate), [20.0, 8.0], [8.0, 8.0], 45.0)
    at = {t: stream.distance[round(t / STEP_S)] for t in (28.0, 40.0)}
    np.testing.assert_allclose(at[28.0] + 2.0, [99.5, 93.5], atol=0.6)
    assert at[40.0].min() > 100.0
    assert light.green_from_s + GREEN_S - CYCLE_S == 8.0


def test_nobody_enters_who_could_not_leave_in_time():
    for start in np.arange(0.0, 90.0, 3.0):
        light = Light(-14.0)  # red for the way from 6 s on
        gate = Gate(100.0, 130.0, light, crossing=False)
        s = run(straight(gate), [start], [8.0], 12.0).distance[:, 0]
        red = s[round(6.0 / STEP_S) : round(12.0 / STEP_S)]
        assert not ((red + 2.0 > 100.0) & (red - 2.0 < 130.0)).any()


def test_nobody_stands_in_a_junction_behind_a_queue():
    # Green all the time, but a standing queue ends right behind the junction.
    gate = Gate(100.0, 120.0, Light(-1.0), crossing=False)
    s = run(straight(gate), [60.0], [8.0], 15.0, leader=np.full(152, 123.0)).distance[-1, 0]
    assert s + 2.0 == pytest.approx(99.5, abs=0.6)


def test_things_leave_at_the_ends_of_track_and_time():
    stream = run(straight(length_m=60.0), [50.0], [8.0], 5.0)
    assert stream.at(0.5)[2].all()
    assert not stream.at(3.0)[2].any()
    assert not stream.at(-1.0)[2].any()
    assert not stream.at(9.0)[2].any()
