from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.synthdrive.trajectory import (
    ACCELERATION_MPS2,
    BRAKING_MPS2,
    draw_path,
    drive_ahead,
    drive_along,
    lane_offset,
    Motion,
    STEP_M,
    STOP_M,
    TIGHTEST_TURN_M,
    TURN_MPS2,
    TURN_RADIUS_M,
)
from ssd_depth_core.synthdrive.world import city_style, LANE_WIDTH_M

SEEDS = range(12)
STYLE = replace(city_style(0), pitch=(70.0, 60.0), half_road=(5.0, 6.5), drive_side=-1)


def to_road_middles(path, style):
    """Left of the middle of the road along the heading [m], (N,); only where it is straight."""
    x, y = path.xy.T
    from_y = y - np.round(y / style.pitch[1]) * style.pitch[1]
    from_x = x - np.round(x / style.pitch[0]) * style.pitch[0]
    c, s = np.cos(path.yaw), np.sin(path.yaw)
    return np.where(np.abs(c) > 0.5, from_y * np.sign(c), -from_x * np.sign(s))


@pytest.mark.parametrize('seed', SEEDS)
def test_path_is_continuous_and_evenly_sampled(seed):
    path = draw_path(city_style(seed), seed, 400.0)
    assert path.length >= 400.0
    steps = np.hypot(*np.diff(path.xy, axis=0).T)
    np.testing.assert_allclose(steps, STEP_M, rtol=1e-2)
    turn = np.abs(np.diff(path.yaw))
    assert turn.max() < 1.1 * STEP_M / TIGHTEST_TURN_M
    assert turn[np.isinf(path.radius[1:]) & np.isinf(path.radius[:-1])].max() < 0.03
    curved = np.isfinite(path.radius)
    assert curved.any()
    assert path.radius[curved].min() >= TIGHTEST_TURN_M
    assert path.radius[curved].max() <= TURN_RADIUS_M


@pytest.mark.parametrize('side', [-1, 1])
def test_path_keeps_to_its_side_and_the_opposite_lane_to_the_other(side):
    style = replace(STYLE, drive_side=side)
    for seed in SEEDS:
        for lane_sign in (1, -1):
            path = draw_path(style, seed, 400.0, lane_sign)
            straight = np.isinf(path.radius) & (np.abs(np.sin(2 * path.yaw)) < 1e-6)
            left = to_road_middles(path, style)[straight]
            assert straight.mean() > 0.7
            offsets = [side * lane_sign * lane_offset(style, axis) for axis in (0, 1)]
            assert np.abs(left[:, None] - offsets).min(1).max() < 1e-6


def test_lane_gives_way_to_parked_vehicles_in_narrow_streets():
    wide, narrow, half_full = (
        lane_offset(replace(STYLE, half_road=(half, 9.0)), 0) for half in (8.0, 3.3, 4.71)
    )
    assert wide == LANE_WIDTH_M / 2
    assert narrow == pytest.approx(3.3 + 0.2 - 1.55 - 0.95)
    assert half_full == pytest.approx(4.71 - 1.05 - 1.55 - 0.95)


def test_opposite_lane_runs_beside_the_whole_way():
    for seed in SEEDS:
        own, opposite = (draw_path(STYLE, seed, 400.0, sign) for sign in (1, -1))
        away = np.hypot(*(own.xy[:1400:4, None] - opposite.xy[None]).transpose(2, 0, 1))
        assert away.min() > 2 * lane_offset(STYLE, 0) - 0.01
        assert away.min(1).max() < 6.0


@pytest.mark.parametrize('half_road', [(3.3, 3.3), (3.3, 9.0), (5.0, 4.2)])
def test_corners_clear_the_kerb(half_road):
    style = replace(STYLE, half_road=half_road)
    for seed in SEEDS:
        path = draw_path(style, seed, 400.0)
        pitch, half = np.array(style.pitch), np.array(half_road)[::-1]
        # The block around each sample's nearest block middle, without its roads.
        middle = (np.floor(path.xy / pitch) + 0.5) * pitch
        beyond = np.abs(path.xy - middle) - (pitch / 2 - half)
        to_kerb = np.hypot(*np.maximum(beyond, 0.0).T) + np.minimum(beyond.max(1), 0.0)
        assert to_kerb.min() > 1.15


def test_way_never_meets_itself():
    for seed in SEEDS:
        path = draw_path(STYLE, seed, 800.0)
        assert np.cos(path.yaw).min() > -1e-6
        sparse = path.xy[::8]  # every 2 m
        away = np.hypot(*(sparse[:, None] - sparse[None]).transpose(2, 0, 1))
        i, j = np.indices(away.shape)
        assert away[np.abs(i - j) * 2 > 25].min() > 10.0


def test_path_follows_its_seed():
    a, b, c = (draw_path(STYLE, seed, 300.0) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.xy, b.xy)
    assert a.xy.shape != c.xy.shape or not np.array_equal(a.xy, c.xy)


def test_places_are_interpolated_and_clamped():
    path = draw_path(STYLE, 1, 300.0)
    xy, yaw = path.at(1.5 * STEP_M)
    np.testing.assert_allclose(xy, (path.xy[1] + path.xy[2]) / 2)
    assert yaw == pytest.approx(0.0)
    ends, _ = path.at(np.array([-5.0, 1e6]))
    np.testing.assert_array_equal(ends, path.xy[[0, -1]])


@pytest.mark.parametrize('seed', SEEDS)
def test_motion_obeys_engine_brakes_and_corners(seed):
    path = draw_path(city_style(seed), seed, 400.0)
    motion = drive_along(path, seed)
    assert (np.diff(motion.time) > 0).all()
    t = np.arange(0.0, motion.time[-1], 0.05)
    s, v = np.array([motion.at(float(x)) for x in t]).T
    np.testing.assert_allclose(np.diff(s) / 0.05, (v[1:] + v[:-1]) / 2, atol=0.05)
    gain = np.diff(v) / 0.05
    assert gain.max() < ACCELERATION_MPS2 + 1e-6
    assert gain.min() > -BRAKING_MPS2 - 1e-6
    assert 7.0 <= v.max() <= 12.0
    radius = path.radius[np.ceil(s / STEP_M).astype(int)]
    assert (v**2 / radius).max() < TURN_MPS2 * 1.1  # a bend ends between two samples
    assert s[-1] == pytest.approx(path.length, abs=0.6)  # 12 m/s * 0.05 s


def test_car_stands_at_its_stops_before_the_line():
    waits = []
    for seed in SEEDS:
        path = draw_path(STYLE, seed, 400.0)
        motion = drive_along(path, seed)
        stands = np.diff(motion.time)[np.diff(motion.distance) == 0]
        assert len(stands) == path.stop.sum()
        waits += stands.tolist()
        for s in np.flatnonzero(path.stop) * STEP_M:
            assert path.at(s)[1] == pytest.approx(path.at(s + 3.0)[1], abs=1e-6)
            x, y = path.at(s)[0]
            along_x = abs(np.cos(path.at(s)[1])) > 0.5
            place, pitch, half = (x, 70.0, 6.5) if along_x else (y, 60.0, 5.0)
            to_junction = abs(place - round(place / pitch) * pitch) - half
            assert to_junction == pytest.approx(STOP_M, abs=0.2)
    assert len(waits) > 12
    assert 1.0 <= min(waits) < 3.0 < 8.0 < max(waits) <= 15.0


def test_car_ahead_stands_before_its_line_and_leaves_first():
    for seed in SEEDS:
        path = draw_path(STYLE, seed, 400.0)
        behind = drive_along(replace(path, stop=np.roll(path.stop, -28)), seed)  # 7 m
        ahead = drive_ahead(path, behind, headway_s=1.0, lead_s=3.0)
        assert ahead.time[0] == -3.0
        assert (np.diff(ahead.time) > 0).all()
        gone, stood = (m.time[1:][np.diff(m.distance) == 0] for m in (behind, ahead))
        np.testing.assert_allclose(gone - stood, 1.0, atol=0.5)
        t = np.arange(0.0, 40.0, 0.1)
        gap = [ahead.at(float(x))[0] - behind.at(float(x))[0] for x in t]
        assert 6.9 < min(gap) < max(gap) < 60.0


def test_motion_between_knots_is_evenly_accelerated():
    motion = Motion(np.array([0.0, 2.0, 3.0, 4.0]), np.array([0.0, 4.0, 4.0, 5.0]),
                    np.array([4.0, 0.0, 0.0, 2.0]))  # fmt: skip
    assert motion.at(1.0) == (3.0, 2.0)
    assert motion.at(2.5) == (4.0, 0.0)
    assert motion.at(3.5) == (4.25, 1.0)
    assert motion.at(-1.0) == (0.0, 4.0)
    assert motion.at(9.0) == (5.0, 2.0)
