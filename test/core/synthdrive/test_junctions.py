from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ssd_depth_core.synthdrive.junctions import (
    CYCLE_S,
    EXTENSION_M,
    GREEN_S,
    junctions_along,
    Light,
    LINE_M,
    track_across,
    track_along,
    with_lights,
)
from ssd_depth_core.synthdrive.terrain import FLAT
from ssd_depth_core.synthdrive.trajectory import draw_path, drive_along
from ssd_depth_core.synthdrive.world import city_style

STYLE = replace(city_style(0), pitch=(80.0, 90.0), half_road=(5.0, 6.5), drive_side=-1)


@pytest.fixture(scope='module')
def way():
    path = draw_path(STYLE, 1, 600.0)
    motion = drive_along(path, 1)
    return path, motion, with_lights(junctions_along(path, STYLE), path, motion, STYLE, 1)


def test_light_is_green_for_one_road_at_a_time():
    light = Light(5.0)
    assert light.remaining(5.0, crossing=False) == GREEN_S
    assert light.remaining(5.0 + CYCLE_S - 1.0, crossing=True) == pytest.approx(1.0)
    assert light.remaining(4.0, crossing=True) == pytest.approx(1.0)
    for t in np.arange(-50.0, 100.0, 0.7):
        along, across = (light.remaining(float(t), crossing) for crossing in (False, True))
        assert min(along, across) == 0.0
        assert max(along, across) > 0.0


def test_junctions_follow_the_way(way):
    path, _, junctions = way
    assert len(junctions) >= 6
    for junction in junctions:
        near, _ = path.at(junction.s)
        assert np.hypot(*(near - junction.place)) < 5.0
        np.testing.assert_allclose(junction.place, np.array(junction.node) * STYLE.pitch)
        _, before = path.at(junction.s - 12.0)
        _, after = path.at(junction.s + 12.0)
        if 12.0 < junction.s < path.length - 12.0:
            assert junction.turn == round(float(after - before) / (np.pi / 2))
    for a, b in pairwise(junctions):
        assert abs(a.node[0] - b.node[0]) + abs(a.node[1] - b.node[1]) == 1
        np.testing.assert_array_equal(a.onward, b.heading)


def test_lights_are_green_when_the_car_comes_and_red_where_it_stands():
    lit = stood = 0
    for seed in range(8):
        path = draw_path(STYLE, seed, 600.0)
        motion = drive_along(path, seed)
        for junction in with_lights(junctions_along(path, STYLE), path, motion, STYLE, seed):
            if junction.light is None:
                continue
            lit += 1
            assert junction.turn == 0
            half = STYLE.half_road[1 - junction.axis]
            for s in np.arange(junction.s - half, junction.s + half):
                t = float(np.interp(s, motion.distance, motion.time))
                assert junction.light.remaining(t, crossing=False) > 0.0
            stop = junction.s - half - 9.5
            standing = np.flatnonzero(np.diff(motion.distance) == 0)
            for i in standing[np.abs(motion.distance[standing] - stop) < 1.0]:
                stood += 1
                assert junction.light.remaining(motion.time[i] + 0.01, crossing=True) >= 0.0
                assert junction.light.remaining(motion.time[i + 1] - 1.2, crossing=True) > 0.0
    assert lit > 8
    assert stood > 1


def test_lane_beside_the_way_stays_beside_it(way):
    path, _, junctions = way
    offsets = (3.0, 3.0)
    track = track_along(junctions, path, STYLE, offsets, (4.0, 4.0), FLAT)
    away = np.hypot(*(track.path.xy[::8, None] - path.xy[None, ::4]).transpose(2, 0, 1)).min(1)
    beside = slice(int(EXTENSION_M / 2) + 5, -5)
    assert away[beside].max() < 8.0
    assert away[beside].min() > 3.0
    back = track_along(junctions, path, STYLE, offsets, (4.0, 4.0), FLAT, against=True)
    np.testing.assert_allclose(back.path.xy[0], track.path.xy[-1], atol=0.5)
    assert len(back.gates) == len(track.gates) > 0
    for gate in (*track.gates, *back.gates):
        assert gate.exit - gate.line > 2 * min(STYLE.half_road) + LINE_M


def test_crossing_track_runs_square_to_the_way(way):
    _, _, junctions = way
    junction = next(j for j in junctions if j.light is not None)
    track = track_across(junction, junctions, STYLE, -1.5, 1, 100.0, FLAT)
    xy, yaw = track.path.at(100.0)
    along = np.array([np.cos(yaw), np.sin(yaw)])
    assert along @ junction.heading == pytest.approx(0.0, abs=1e-6)
    # Half a lane right of the middle of its road.
    right = np.array([along[1], -along[0]])
    assert (xy - junction.place) @ right == pytest.approx(1.5, abs=1e-6)
    gate = min(track.gates, key=lambda gate: abs(gate.line - 100.0))
    assert gate.crossing
    assert gate.line == pytest.approx(100.0 - STYLE.half_road[junction.axis] - LINE_M, abs=0.3)
