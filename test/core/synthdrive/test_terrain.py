import math

import numpy as np
import pytest
from ssd_depth_core.synthdrive.primitives import Builder, Shape
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT, STEEPEST
import torch

SEEDS = range(6)
GREY = (0.5, 0.5, 0.5)
STEP = 1e-4


@pytest.fixture(scope='module')
def places():
    return np.random.default_rng(0).uniform(-2000.0, 2000.0, (2, 4000))


def road(terrain, axis, offset=1.5):
    """A lane of one family of roads in the world, a point every 25 cm of the sheet, (N, 2)."""
    along = np.arange(0.0, 2000.0, 0.25)
    across = np.full_like(along, offset)
    return np.stack(terrain.to_world(*((along, across), (across, along))[axis]), -1)


def radius_of(xy):
    step = np.diff(xy, axis=0)
    turn = np.diff(np.unwrap(np.arctan2(step[:, 1], step[:, 0])))
    return np.hypot(*step.T)[1:] / np.maximum(np.abs(turn), 1e-12)


@pytest.mark.parametrize('seed', SEEDS)
def test_to_the_world_and_back(seed, places):
    terrain = draw_terrain(seed)
    x, y = terrain.to_world(*places)
    np.testing.assert_allclose(terrain.to_street(x, y), places, atol=1e-6)
    assert np.hypot(*(np.stack([x, y]) * terrain.scale - places)).max() > 3.0


@pytest.mark.parametrize('seed', SEEDS)
def test_slopes_are_those_of_finite_differences(seed, places):
    terrain, (x, y) = draw_terrain(seed), places
    for function, (by_x, by_y) in (
        (terrain.height, terrain.gradient(x, y)),
        (lambda x, y: terrain.to_street(x, y)[0], terrain.jacobian(x, y)[:2]),
        (lambda x, y: terrain.to_street(x, y)[1], terrain.jacobian(x, y)[2:]),
    ):
        rise_x = (function(x + STEP, y) - function(x - STEP, y)) / (2 * STEP)
        rise_y = (function(x, y + STEP) - function(x, y - STEP)) / (2 * STEP)
        np.testing.assert_allclose(by_x, rise_x, atol=1e-6)
        np.testing.assert_allclose(by_y, rise_y, atol=1e-6)


@pytest.mark.parametrize('seed', SEEDS)
def test_tangent_is_that_of_the_road(seed, places):
    terrain, (u, v) = draw_terrain(seed), places
    yaw = np.linspace(-3.0, 3.0, u.size)
    before, after = (
        np.stack(terrain.to_world(u + sign * np.cos(yaw), v + sign * np.sin(yaw)), -1)
        for sign in (-STEP, STEP)
    )
    tangent = terrain.tangent(*terrain.to_world(u, v), yaw)
    np.testing.assert_allclose(tangent, (after - before) / (2 * STEP), atol=1e-6)


@pytest.mark.parametrize('seed', SEEDS)
def test_roads_bend_and_climb_as_a_car_can_drive(seed, places):
    terrain = draw_terrain(seed)
    radii = [radius_of(road(terrain, axis)) for axis in (0, 1)]
    assert min(radius.min() for radius in radii) > 55.0
    assert min(np.median(radius) for radius in radii) < 300.0
    slope = np.hypot(*terrain.gradient(*places))
    assert 0.6 * STEEPEST < slope.max() <= STEEPEST
    # Lanes keep their width, crossings are never sharp.
    u_x, u_y, v_x, v_y = terrain.jacobian(*places)
    for width in (1 / np.hypot(u_x, u_y), 1 / np.hypot(v_x, v_y)):
        assert 0.99 < width.min() <= width.max() < 1.1
    cosine = (u_x * v_x + u_y * v_y) / (np.hypot(u_x, u_y) * np.hypot(v_x, v_y))
    assert np.abs(cosine).max() < math.cos(math.radians(67.0))


def test_numpy_and_torch_agree(places):
    terrain = draw_terrain(1)
    x, y = (torch.as_tensor(values, dtype=torch.float32) for values in places)
    for mine, theirs in (
        (terrain.to_street(x, y), terrain.to_street(*places)),
        (terrain.gradient(x, y), terrain.gradient(*places)),
        ((terrain.height(x, y),), (terrain.height(*places),)),
    ):
        for a, b in zip(mine, theirs, strict=True):
            assert a.dtype == torch.float32
            np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.mark.parametrize('seed', SEEDS)
def test_frames_stand_on_the_ground(seed, places):
    terrain, uv = draw_terrain(seed), places.T
    yaw = np.linspace(-3.0, 3.0, len(uv))
    tilted = np.arange(len(uv)) % 2 == 0
    origin, rotation = terrain.frames(uv, yaw, 0.3, tilted)
    x, y = terrain.to_world(*places)
    np.testing.assert_allclose(origin, np.stack([x, y, terrain.height(x, y) + 0.3], -1))
    np.testing.assert_allclose(
        rotation @ rotation.swapaxes(1, 2), np.tile(np.eye(3), (len(uv), 1, 1)), atol=1e-12
    )
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)
    forward, up = rotation[:, :, 0], rotation[:, :, 2]
    along = terrain.tangent(x, y, yaw)
    cross = forward[:, 0] * along[:, 1] - forward[:, 1] * along[:, 0]
    np.testing.assert_allclose(cross, 0.0, atol=1e-12)
    assert ((forward[:, :2] * along).sum(1) > 0).all()
    np.testing.assert_array_equal(up[~tilted], np.tile([0.0, 0, 1], ((~tilted).sum(), 1)))
    slope = np.stack(terrain.gradient(x, y), -1)
    np.testing.assert_allclose(-up[tilted, :2] / up[tilted, 2:], slope[tilted], atol=1e-12)


def test_flat_ground_changes_nothing(places):
    assert FLAT.flat
    assert not draw_terrain(0).flat
    np.testing.assert_array_equal(FLAT.to_world(*places), places)
    np.testing.assert_array_equal(FLAT.to_street(*places), places)
    c, s = np.cos(0.3), np.sin(0.3)
    expected = np.array([[c, -s, 0, 4.0], [s, c, 0, -5.0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert FLAT.pose(np.array([4.0, -5.0]), 0.3).tobytes() == expected.tobytes()


def test_things_move_rigidly_and_neighbours_stretch():
    terrain, builder = draw_terrain(1), Builder(np.random.default_rng(0))
    for name in ('plain', 'tilted', 'stretched'):
        flags = {} if name == 'plain' else {name: True}
        builder.place(300.0, 200.0, 0.7, z=0.1, **flags)
        builder.add(Shape.BOX, (0.0, 0.0, 1.0), (2.0, 1.0, 1.0), GREY)
        builder.add(Shape.BOX, (3.0, 0.5, 1.0), (2.0, 1.0, 1.0), GREY, yaw=math.pi / 2)
        builder.mark((300.0, 200.0, 5.0))
    builder.place(0.0, 0.0, 0.0, actor=0)
    builder.add(Shape.BOX, (0.0, 0.0, 1.0), (2.0, 1.0, 1.0), GREY)
    solids, marks = builder.build(terrain), builder.marks(terrain)
    uv, yaw = np.tile([[300.0, 200.0]], (3, 1)), np.full(3, 0.7)
    origin, rotation = terrain.frames(uv, yaw, 0.1, np.array([False, True, False]))
    stretch = np.linalg.norm(terrain.tangent(*origin[:1, :2].T, yaw[:1]))
    assert stretch > 1.02
    for frame in range(3):
        long = stretch if frame == 2 else 1.0
        for solid, place in ((0, (0.0, 0.0, 1.0)), (1, (3.0 * long, 0.5, 1.0))):
            expected = origin[frame] + rotation[frame] @ place
            np.testing.assert_allclose(solids.center[2 * frame + solid], expected, atol=1e-4)
        np.testing.assert_allclose(solids.rotation[2 * frame], rotation[frame], atol=1e-6)
        np.testing.assert_allclose(solids.half_size[2 * frame], [2 * long, 1, 1], rtol=1e-6)
        np.testing.assert_allclose(solids.half_size[2 * frame + 1], [2, long, 1], rtol=1e-6)
        np.testing.assert_allclose(marks[frame], origin[frame] + rotation[frame, :, 2] * 4.9)
    # What moves is put in its place later.
    np.testing.assert_array_equal(solids.center[6], [0.0, 0.0, 1.0])
