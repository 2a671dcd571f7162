from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.synthdrive.annotations import Annotator, inside, visible_share
from ssd_depth_core.synthdrive.sensors import ActorBox, CameraFrame, EgoPose, LidarSweep

OPTICAL = np.array([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
K = np.array([[50.0, 0, 49.5], [0, 50.0, 29.5], [0, 0, 1]])
POSE = EgoPose(timestamp_us=1, T_world_ego=np.eye(4), speed_mps=0.0)


def box_at(x, y, z=1.0, yaw=0.0, **changes):
    c, s = np.cos(yaw), np.sin(yaw)
    T = np.array([[c, -s, 0, x], [s, c, 0, y], [0, 0, 1, z], [0, 0, 0, 1]])
    values = {
        **{'instance': 3, 'category': 'vehicle.car', 'attribute': 'vehicle.moving'},
        **{'T_world_box': T, 'size': (2.0, 4.0, 1.5), 'velocity': (1.0, 0.0, 0.0)},
    }
    return ActorBox(**(values | changes))


def frame(depth):
    return CameraFrame(
        channel='CAM_FRONT', ego_pose=POSE, image=np.zeros((60, 100, 3), np.uint8),
        depth=np.full((60, 100), depth, np.float32), K=K, T_ego_camera=OPTICAL,
    )  # fmt: skip


def sweep(*boxes, points=()):
    table = np.zeros((len(points), 5), np.float32)
    if len(points):
        table[:, :3] = points
    T = np.eye(4)
    T[2, 3] = 1.8
    return LidarSweep(channel='LIDAR_TOP', ego_pose=POSE, points=table, T_ego_lidar=T, boxes=boxes)


def test_points_are_inside_along_the_boxs_own_axes():
    points = np.array([[10, 1.9, 1], [11.9, 0, 1], [10, 0, 1.8], [10, 0, 1.0]])
    assert inside(box_at(10, 0), points).tolist() == [False, True, False, True]
    turned = box_at(10, 0, yaw=np.pi / 2)
    assert inside(turned, points).tolist() == [True, False, False, True]


def test_visibility_ends_where_something_nearer_stands():
    assert visible_share(box_at(20, 0), [frame(np.inf)]) == 1.0
    assert visible_share(box_at(20, 0), [frame(18.4)]) == 1.0  # its own front
    assert visible_share(box_at(20, 0), [frame(15.0)]) == 0.0
    assert visible_share(box_at(-20, 0), [frame(np.inf)]) == 0.0
    assert visible_share(box_at(20, 0), []) == 0.0
    half_hidden = frame(np.inf)
    half_hidden.depth[:, :49] = 5.0
    # Two of the lattice's five columns lie to the left of the middle, four pixels apart.
    wide = box_at(20, 0, size=(8.0, 4.0, 1.5))
    assert visible_share(wide, [half_hidden]) == pytest.approx(0.6)
    assert visible_share(box_at(20, 0), [half_hidden, frame(np.inf)]) == 1.0


def test_box_beyond_the_pictures_edge_is_seen_in_part():
    # At 20 m the picture ends 19.8 m to the left.
    assert 0.3 < visible_share(box_at(20, 19.8), [frame(np.inf)]) < 0.7


def test_rows_join_and_count():
    annotator = Annotator('scene-0001')
    walker = box_at(
        5, 2, instance=7, category='human.pedestrian.adult', attribute='pedestrian.moving'
    )
    points = [(10.0, 0.0, -0.8), (10.0, 0.5, -0.8), (30.0, 0.0, 0.0)]  # in the lidar frame
    annotator.add('s0', sweep(box_at(10, 0), walker, points=points), [frame(np.inf)])
    annotator.add('s1', sweep(box_at(11, 0), points=points[2:]), [frame(5.0)])
    tables = annotator.tables()
    car, car_later, person = tables['sample_annotation']
    assert (car['sample_token'], car_later['sample_token']) == ('s0', 's1')
    assert (car['next'], car_later['prev']) == (car_later['token'], car['token'])
    assert (car['prev'], car_later['next'], person['next']) == ('', '', '')
    assert [row['num_lidar_pts'] for row in (car, car_later, person)] == [2, 0, 0]
    assert (car['visibility_token'], car_later['visibility_token']) == ('4', '1')
    assert (car['translation'], car['size']) == ([10, 0, 1], [2.0, 4.0, 1.5])
    np.testing.assert_allclose(car['rotation'], (1, 0, 0, 0))
    instances = {row['token']: row for row in tables['instance']}
    categories = {row['token']: row['name'] for row in tables['category']}
    attributes = {row['token']: row['name'] for row in tables['attribute']}
    own = instances[car['instance_token']]
    assert own['nbr_annotations'] == 2
    assert (own['first_annotation_token'], own['last_annotation_token']) == (
        car['token'],
        car_later['token'],
    )
    assert categories[own['category_token']] == 'vehicle.car'
    assert categories[instances[person['instance_token']]['category_token']] == walker.category
    assert [attributes[token] for token in person['attribute_tokens']] == ['pedestrian.moving']
    assert [row['level'] for row in tables['visibility']] == [
        *('v0-40', 'v40-60', 'v60-80', 'v80-100')
    ]


def test_instance_keeps_its_category():
    annotator = Annotator('scene-0001')
    annotator.add('s0', sweep(box_at(10, 0)), [])
    truck = replace(box_at(10, 0), category='vehicle.truck')
    with pytest.raises(ValueError, match=r'instance 3 turns from vehicle\.car to vehicle\.truck'):
        annotator.add('s1', sweep(truck), [])
