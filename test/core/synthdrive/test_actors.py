from itertools import combinations

import numpy as np
import pytest
from ssd_depth_core.synthdrive.actors import Actors
from ssd_depth_core.synthdrive.casting import NOSE_M, TAIL_M
from ssd_depth_core.synthdrive.terrain import draw_terrain, FLAT
from ssd_depth_core.synthdrive.trajectory import draw_path
from ssd_depth_core.synthdrive.world import city_style, PAVEMENT_HEIGHT_M
import torch

END_S = 30.0
TIMES = np.arange(0.0, END_S, 0.5)
SEEDS = (0, 3, 7, 54)
"""Wide roads, a narrow one across a wide one, and the narrowest; those of odd number are hilly."""


@pytest.fixture(scope='module', params=SEEDS)
def drive(request):
    """The way and the actors of one drive."""
    seed = request.param
    style = city_style(seed)
    terrain = draw_terrain(seed) if seed % 2 else FLAT
    path = draw_path(style, seed, 12.0 * END_S + 200.0, terrain=terrain)
    return path, Actors(style, path, seed, END_S, terrain), terrain


def rectangle(xy, yaw, low, high):
    """Corners of a box seen from above, (4, 2)."""
    c, s = np.cos(yaw), np.sin(yaw)
    x, y = [low[0], high[0], high[0], low[0]], [low[1], low[1], high[1], high[1]]
    return np.stack([x, y], -1) @ np.array([[c, s], [-s, c]]) + xy


def overlap(a, b):
    """Whether two rectangles share a point: no edge of either parts them."""
    for corners in (a, b):
        for edge in (corners[1] - corners[0], corners[2] - corners[1]):
            normal = np.array([-edge[1], edge[0]])
            if (a @ normal).max() < (b @ normal).min() or (b @ normal).max() < (a @ normal).min():
                return False
    return True


def own_place(path, actors, t):
    return path.at(actors.motion.at(float(t))[0])


def test_motions_take_everyone_from_one_instant_to_another(drive):
    _, actors, _ = drive
    before, after = actors.at(4.0), actors.at(4.03)
    motions = actors.motions(4.0, 0.03)
    both = np.intersect1d(before.actor.numpy(), after.actor.numpy())
    before, after = (s.select(torch.as_tensor(np.isin(s.actor, both))) for s in (before, after))
    T = torch.as_tensor(motions, dtype=torch.float32)[before.actor]
    moved = (T[:, :3, :3] @ before.center[..., None])[..., 0] + T[:, :3, 3]
    np.testing.assert_allclose(moved, after.center, atol=1e-3)
    np.testing.assert_allclose(T[:, :3, :3] @ before.rotation, after.rotation, atol=1e-4)
    assert (after.center - before.center).norm(dim=1).max() > 0.1


def test_overlap_of_rectangles():
    square = rectangle(np.zeros(2), 0.0, (-1, -1), (1, 1))
    assert overlap(square, rectangle(np.array([1.9, 0.0]), 0.0, (-1, -1), (1, 1)))
    assert not overlap(square, rectangle(np.array([2.1, 0.0]), 0.0, (-1, -1), (1, 1)))
    assert overlap(square, rectangle(np.array([2.1, 0.0]), np.pi / 4, (-1.2, -1.2), (1.2, 1.2)))
    assert not overlap(square, rectangle(np.array([2.3, 2.3]), np.pi / 4, (-1, -1), (1, 1)))


def test_nothing_on_the_road_runs_into_anything(drive):
    path, actors, _ = drive
    compared = 0
    for t in TIMES:
        xy, yaw, seen = actors.on_sheet(t)
        place, heading = own_place(path, actors, t)
        shapes = [('own', place, rectangle(place, heading, (-TAIL_M, -0.95), (NOSE_M, 0.95)))]
        for i in np.flatnonzero(seen):
            body = actors.bodies[i]
            shapes.append((body.kind, xy[i], rectangle(xy[i], yaw[i], body.low, body.high)))
        for (kind, at, a), (other, there, b) in combinations(shapes, 2):
            # Two people may brush past one another at a corner.
            if np.abs(at - there).max() > 14.0 or {kind, other} == {'pedestrian'}:
                continue
            compared += 1
            assert not overlap(a, b), f'{kind} and {other} at {t} s near {at}'
    assert compared > 200


def test_everything_moves_steadily_and_plausibly_fast(drive):
    path, actors, _ = drive
    fastest = {'pedestrian': 1.7, 'cyclist': 6.1}
    before, was_seen = None, None
    for t in TIMES:
        xy, _, seen = actors.on_sheet(t)
        if before is not None:
            speed = np.hypot(*(xy - before).T) / (TIMES[1] - TIMES[0])
            for i in np.flatnonzero(seen & was_seen):
                assert speed[i] < fastest.get(actors.bodies[i].kind, 12.1)
            # Whoever comes into view or leaves it does so far away.
            away = np.hypot(*(xy - own_place(path, actors, t)[0]).T)
            assert away[seen != was_seen].min(initial=np.inf) > 120.0
        before, was_seen = xy, seen


def test_walkers_stand_on_the_pavement_and_vehicles_on_the_road(drive):
    _, actors, terrain = drive
    for box in actors.boxes(5.0):
        x, y, z = box.T_world_box[:3, 3]
        foot = z - box.size[2] / 2 - terrain.height(x, y)
        kerb = PAVEMENT_HEIGHT_M if box.category == 'human.pedestrian.adult' else 0.0
        assert foot == pytest.approx(kerb, abs=0.25)


def test_boxes_hold_their_solids(drive):
    _, actors, _ = drive
    solids, boxes = actors.at(8.0), actors.boxes(8.0)
    assert {box.instance for box in boxes} == set(solids.actor.tolist())
    for box in boxes[::5]:
        center = solids.center[solids.actor == box.instance].double().numpy()
        T = np.linalg.inv(box.T_world_box)
        local = center @ T[:3, :3].T + T[:3, 3]
        width, length, height = box.size
        assert (np.abs(local) < np.array([length, width, height]) / 2 + 1e-4).all()


def test_words_are_those_of_nuscenes():
    style = city_style(0)
    actors = Actors(style, draw_path(style, 0, 500.0), 0, END_S)
    found = {(b.category, b.attribute) for t in range(0, 30, 3) for b in actors.boxes(float(t))}
    assert {category for category, _ in found} >= {
        'vehicle.car', 'vehicle.truck', 'vehicle.bus.rigid', 'vehicle.bicycle',
        'human.pedestrian.adult',
    }  # fmt: skip
    assert ('vehicle.car', 'vehicle.stopped') in found
    assert ('vehicle.car', 'vehicle.moving') in found
    assert ('human.pedestrian.adult', 'pedestrian.moving') in found
    assert {a for c, a in found if c == 'vehicle.bicycle'} == {'cycle.with_rider'}


def test_same_seed_same_traffic_other_seed_other():
    style = city_style(6)
    path = draw_path(style, 6, 400.0)
    a, b, c = (Actors(style, path, seed, 5.0).at(3.0) for seed in (6, 6, 7))
    assert a.center.numpy().tobytes() == b.center.numpy().tobytes()
    assert a.center.shape != c.center.shape or not (a.center == c.center).all()


def test_lead_keeps_its_distance_and_waits_before_the_car():
    style = city_style(9)
    path = draw_path(style, 9, 12.0 * END_S + 200.0)
    actors = Actors(style, path, 9, END_S)
    gaps = []
    for t in TIMES:
        place, _ = own_place(path, actors, t)
        gaps.append(np.hypot(*(actors.on_sheet(t)[0][0] - place)) - actors.bodies[0].length / 2)
    stands = np.array([actors.motion.at(float(t))[1] for t in TIMES]) < 1e-6
    assert stands.sum() * 0.5 > 8.0
    assert np.median(np.array(gaps)[stands]) == pytest.approx(NOSE_M + 2.2, abs=0.2)
    assert NOSE_M + 1.5 < min(gaps) < max(gaps) < 40.0
