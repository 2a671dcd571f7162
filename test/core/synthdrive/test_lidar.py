from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.synthdrive.lidar import (
    _bundles,
    Air,
    air_of,
    FALSE_ECHOES,
    keep_probability,
    sweep,
)
from ssd_depth_core.synthdrive.lighting import Scene
from ssd_depth_core.synthdrive.primitives import Shape
from ssd_depth_core.synthdrive.rig import load_rig
from ssd_depth_core.synthdrive.sky import draw_sky
from ssd_depth_core.synthdrive.world import City

(LIDAR,) = load_rig('nuscenes').lidars
(LMS,) = load_rig('robotcar').lidars
EXACT = replace(LIDAR, noise_m=0.0)
CLEAR = Air()
SEED = (3, 1_600_000_000_000_000)


def scene_of(builder) -> Scene:
    """Solids on the bare ground of a city that is not there."""
    city = City(0)
    _, lamps = city.near(0.0, 0.0)
    return Scene(builder.build(), lamps, city.style)


@pytest.fixture
def wall(builder):
    """A wall that reflects a half, 20 m ahead, and the ground."""
    builder.add(Shape.BOX, (20.5, 0.0, 5.0), (0.5, 60.0, 5.0), (0.5, 0.5, 0.5))
    return scene_of(builder)


def ranges(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, :3].astype(float), axis=1)


def rays_hit(points):
    """Name each point by its ray: ring and azimuth step."""
    azimuth = np.arctan2(points[:, 1], points[:, 0]) % (2 * np.pi)
    step = np.rint(azimuth / (2 * np.pi) * LIDAR.num_azimuths).astype(int) % LIDAR.num_azimuths
    return points[:, 4].astype(int) * LIDAR.num_azimuths + step


def test_wall_and_ground_are_met_where_they_are(wall):
    points = sweep(wall, np.eye(4), EXACT, CLEAR, SEED)
    assert points.dtype == np.float32
    x, z = points[:, 0] + 0.94, points[:, 2] + 1.84
    on_wall = np.abs(x - 20.0) < 1e-3
    on_ground = np.abs(z) < 1e-3
    assert on_wall.sum() > 2000
    assert on_ground.sum() > 5000
    assert (on_wall | on_ground).all()
    np.testing.assert_allclose(points[on_wall & ~on_ground, 3], 127.5)
    elevation = np.rad2deg(np.arcsin(points[:, 2] / ranges(points)))
    expected = np.linspace(-30.0, 10.0, 32)[points[:, 4].astype(int)]
    np.testing.assert_allclose(elevation, expected, atol=1e-3)


def test_points_turn_with_the_car(wall):
    T = np.eye(4)
    T[:2, :2] = [[0, 1], [-1, 0]]  # heading right: the wall is on the left
    T[0, 3] = 5.0
    points = sweep(wall, T, EXACT, CLEAR, SEED)
    left = points[np.abs(points[:, 1] - 15.0) < 1e-3]
    assert len(left) > 2000


def test_nothing_nearer_than_the_minimum_range(builder):
    builder.add(Shape.BOX, (2.4, 0.0, 1.84), (0.1, 0.5, 0.5), (0.5, 0.5, 0.5))  # 1.36 m ahead
    points = sweep(scene_of(builder), np.eye(4), EXACT, CLEAR, SEED)
    assert ranges(points).min() > 2.0
    open_mount = replace(EXACT, min_range_m=0.1)
    assert ranges(sweep(scene_of(builder), np.eye(4), open_mount, CLEAR, SEED)).min() < 1.4


def test_range_noise_is_as_the_mount_says(wall):
    exact, noisy = (sweep(wall, np.eye(4), mount, CLEAR, SEED) for mount in (EXACT, LIDAR))
    assert len(exact) == len(noisy)
    error = ranges(noisy) - ranges(exact)
    assert np.std(error) == pytest.approx(0.02, rel=0.05)
    assert abs(np.mean(error)) < 1e-3
    np.testing.assert_array_equal(noisy[:, 3:], exact[:, 3:])


def test_noise_follows_the_seed(wall):
    a, b, c = (sweep(wall, np.eye(4), LIDAR, CLEAR, seed) for seed in (SEED, SEED, (3, 4)))
    assert a.tobytes() == b.tobytes()
    assert a.tobytes() != c.tobytes()


def test_rain_takes_points_and_moves_none(wall):
    clear = sweep(wall, np.eye(4), LIDAR, CLEAR, SEED)
    rain = sweep(wall, np.eye(4), LIDAR, Air(extinction=0.02, wetness=1.0), SEED)
    assert 0.3 * len(clear) < len(rain) < 0.95 * len(clear)
    rows = {row.tobytes() for row in clear}
    assert all(row.tobytes() in rows for row in rain)
    # The wet road is lost first.
    on_ground = [(np.abs(p[:, 2] + 1.84) < 0.2).sum() for p in (clear, rain)]
    on_wall = [len(p) - n for p, n in zip((clear, rain), on_ground, strict=True)]
    assert on_ground[1] / on_ground[0] < on_wall[1] / on_wall[0]


def test_fog_takes_what_is_far(wall):
    clear = sweep(wall, np.eye(4), EXACT, CLEAR, SEED)
    fog = sweep(wall, np.eye(4), EXACT, Air(extinction=0.08), SEED)
    for low, high, least, most in ((2, 10, 1.0, 1.0), (30, 40, 0.0, 0.5), (60, 100, 0.0, 0.01)):
        kept, all_ = (((ranges(p) > low) & (ranges(p) < high)).sum() for p in (fog, clear))
        assert least <= kept / all_ <= most


def test_flakes_send_false_echoes_from_nearby(wall):
    clear = sweep(wall, np.eye(4), EXACT, CLEAR, SEED)
    snow = sweep(wall, np.eye(4), EXACT, Air(false_echoes=0.05), SEED)
    rows = {row.tobytes() for row in clear}
    false = np.array([row for row in snow if row.tobytes() not in rows])
    # Every twentieth ray, but where the ground ends it before its flake.
    assert 0.03 * 32 * 1088 < len(false) < 0.05 * 32 * 1088
    assert ranges(false).min() > 2.0
    assert np.median(ranges(false)) < 6.0
    assert (false[:, 3] == 1.0).all()
    # Some replace an echo from behind; none stands behind a solid.
    true_range = dict(zip(rays_hit(clear), ranges(clear), strict=True))
    replaced = [(ray, r) for ray, r in zip(rays_hit(false), ranges(false), strict=True)
                if ray in true_range]  # fmt: skip
    assert len(replaced) > 500
    assert all(r < true_range[ray] for ray, r in replaced)


def test_keep_probability_by_hand():
    near, ground = np.array([40.0, 80.0, 160.0, np.inf]), np.zeros(4, bool)
    dark = np.full(4, 0.1)
    # At the dark range a tenth is just seen; twice as far a quarter of the light comes back.
    np.testing.assert_allclose(
        keep_probability(near, dark, ground, 80.0, CLEAR), (1.0, 1.0, 0.25, 0.0), atol=1e-12
    )
    fog = Air(extinction=0.01)
    np.testing.assert_allclose(
        keep_probability(near, dark, ground, 80.0, fog),
        (1.0, np.exp(-1.6), 0.25 * np.exp(-3.2), 0.0),
        atol=1e-12,
    )
    wet = Air(wetness=1.0)
    np.testing.assert_allclose(
        keep_probability(near, dark, ~ground, 80.0, wet), (1.0, 0.25, 0.0625, 0.0), atol=1e-12
    )


def test_planar_scanner_gives_one_ring_in_its_plane(wall):
    mount = replace(LMS, noise_m=0.0)
    points = sweep(wall, np.eye(4), mount, CLEAR, SEED)
    np.testing.assert_allclose(points[:, 2], 0.0, atol=1e-6)
    assert (points[:, 4] == 0).all()
    assert 150 < len(points) <= 541
    in_ego = points[:, :3] @ mount.T_ego_lidar[:3, :3].T + mount.T_ego_lidar[:3, 3]
    np.testing.assert_allclose(in_ego[:, 2], 0.0, atol=1e-3)  # all of them on the road
    assert np.abs(in_ego[:, 1]).max() > 5.0


@pytest.mark.parametrize('shape', [(32, 1088), (1, 541), (10, 13)])
def test_bundles_hold_every_ray_once_and_neighbours(shape):
    order, back = _bundles(*shape)
    assert order.shape[1] == 64
    np.testing.assert_array_equal(order.ravel()[back], np.arange(shape[0] * shape[1]))
    rings, steps = order // shape[1], order % shape[1]
    assert (np.ptp(rings, axis=1) < 8).all()
    assert (np.ptp(steps, axis=1) < 64).all()
    assert len(order) == -(-shape[0] // (8 if shape[0] >= 8 else 1)) * -(
        -shape[1] // (8 if shape[0] >= 8 else 64)
    )


def test_weather_reaches_the_lidar():
    for condition in ('day-clear', 'day-rain', 'fog', 'snow'):
        sky = draw_sky(condition, 4)
        air = air_of(condition, sky)
        assert (air.extinction, air.wetness) == (sky.extinction, sky.wetness)
        assert air.false_echoes == FALSE_ECHOES.get(condition, 0.0)
    assert air.false_echoes > 0
