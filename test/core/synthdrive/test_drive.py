from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from ssd_depth_core.conditions import RENDERED_CONDITIONS
from ssd_depth_core.synthdrive import drive as drive_module
from ssd_depth_core.synthdrive.drive import (
    count_records,
    DriveConfig,
    EPOCH_US,
    render_drive,
    Stage,
)
from ssd_depth_core.synthdrive.primitives import Shape
from ssd_depth_core.synthdrive.rig import load_rig
from ssd_depth_core.synthdrive.sensors import CameraFrame, LidarSweep
from ssd_depth_core.synthdrive.terrain import draw_terrain
import torch

CPU = torch.device('cpu')
RIG = load_rig('nuscenes')
CONFIG = DriveConfig(
    seed=9, duration_s=0.5, channels=('CAM_FRONT',), image_height=64, image_width=96
)
EXACT = replace(RIG.lidars[0], noise_m=0.0)


def record(condition='day-clear', **changes):
    return list(render_drive(replace(CONFIG, **changes), condition, CPU))


def pictures(records):
    return [r for r in records if isinstance(r, CameraFrame)]


def sweeps(records):
    return [r for r in records if isinstance(r, LidarSweep)]


def inside_of(solids, points):
    """Which solids hold any of the points, (N,) bool."""
    local = (points[None] - solids.center[:, None]) @ solids.rotation
    x, y, z = (local / solids.half_size[:, None]).unbind(-1)  # (N, P)
    slope = x.abs() + solids.taper[:, None] * (z + 1) / 2
    box = torch.maximum(torch.maximum(slope, y.abs()), z.abs())
    cylinder = torch.maximum((x * x + y * y).sqrt(), z.abs())
    ellipsoid = (x * x + y * y + z * z).sqrt()
    shape = solids.shape[:, None]
    level = torch.where(
        shape == Shape.BOX, box, torch.where(shape == Shape.CYLINDER, cylinder, ellipsoid)
    )
    return level.amin(1) < 1


def car_volume(half_width=0.95):
    """Points of the own car in its frame, from the rear bumper to the bonnet, (P, 3)."""
    axes = (
        torch.linspace(-1.0, 3.8, 9),
        torch.linspace(-half_width, half_width, 5),
        torch.tensor([0.2, 0.8, 1.5]),
    )
    return torch.stack(torch.meshgrid(*axes, indexing='ij'), -1).reshape(-1, 3)


@pytest.fixture(scope='module')
def drive():
    return record(channels=('CAM_FRONT', 'CAM_BACK'), duration_s=0.2)


def test_records_come_in_the_order_of_their_stamps_at_their_rates(drive):
    stamps = [record.ego_pose.timestamp_us for record in drive]
    assert stamps == sorted(stamps)
    for channel in ('CAM_FRONT', 'CAM_BACK'):
        own = [r.ego_pose.timestamp_us - EPOCH_US for r in pictures(drive) if r.channel == channel]
        assert own == [0, 83333]
    assert [r.ego_pose.timestamp_us - EPOCH_US for r in sweeps(drive)] == [
        0,
        50_000,
        100_000,
        150_000,
    ]


def test_same_stamp_same_pose(drive):
    poses = {}
    for record in drive:
        pose = record.ego_pose
        known = poses.setdefault(pose.timestamp_us, pose)
        np.testing.assert_array_equal(known.T_world_ego, pose.T_world_ego)
        assert known.speed_mps == pose.speed_mps
    assert len(poses) < len(drive)


def test_poses_follow_speed_and_heading(drive):
    poses = [record.ego_pose for record in sweeps(drive)]
    for a, b in pairwise(poses):
        step = b.T_world_ego[:3, 3] - a.T_world_ego[:3, 3]
        seconds = (b.timestamp_us - a.timestamp_us) / 1e6
        mean = (a.speed_mps + b.speed_mps) / 2
        assert np.linalg.norm(step) == pytest.approx(mean * seconds, rel=0.01)
        np.testing.assert_allclose(step / np.linalg.norm(step), a.T_world_ego[:3, 0], atol=0.05)
        R = a.T_world_ego[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)


def test_recording_may_begin_later_on_the_same_drive():
    early = Stage(replace(CONFIG, duration_s=4.0), 'night', CPU)
    late = Stage(replace(CONFIG, start_s=2.0, duration_s=2.0), 'night', CPU)
    np.testing.assert_array_equal(early.ego(3.0).T_world_ego, late.ego(1.0).T_world_ego)
    assert torch.equal(early.scene(3.0).solids.center, late.scene(1.0).solids.center)
    assert late.ego(0.0).timestamp_us == EPOCH_US


def test_conditions_share_depth_sweeps_and_poses():
    day, night, rain = (
        record(condition, duration_s=0.1, lidar_hz=10.0)
        for condition in ('day-clear', 'night', 'day-rain')
    )
    for other in (night, rain):
        for a, b in zip(day, other, strict=True):
            np.testing.assert_array_equal(a.ego_pose.T_world_ego, b.ego_pose.T_world_ego)
            if isinstance(a, LidarSweep):
                # Bad air loses points and adds a few; what remains did not move.
                shared = {row.tobytes() for row in a.points} & {r.tobytes() for r in b.points}
                assert len(shared) > 0.6 * len(a.points)
                assert len(b.points) - len(shared) < 0.01 * len(a.points)
            else:
                assert a.depth.tobytes() == b.depth.tobytes()
                assert a.image.tobytes() != b.image.tobytes()
    assert pictures(night)[0].image.mean() < 0.7 * pictures(day)[0].image.mean()


def test_depth_is_the_same_in_all_conditions():
    first, *others = (
        pictures(record(condition, duration_s=0.1, lidar_hz=0.0))[0]
        for condition in RENDERED_CONDITIONS
    )
    for other in others:
        assert other.depth.tobytes() == first.depth.tobytes()
        assert other.image.tobytes() != first.image.tobytes()


def test_every_camera_keeps_its_drops_and_its_exposure_control(monkeypatch):
    seen, meters = [], []

    class Meter(drive_module.AutoExposure):
        def step(self, t, radiance):
            meters.append((self, t))
            return super().step(t, radiance)

    def falling(radiance, depth, K, time_s, weather, generator):
        seen.append((weather, int(generator.initial_seed())))
        return radiance

    monkeypatch.setattr(drive_module, 'AutoExposure', Meter)
    monkeypatch.setattr(drive_module, 'fall', falling)
    channels = ('CAM_FRONT', 'CAM_BACK')
    record('day-rain', channels=channels, duration_s=0.2, lidar_hz=0.0)
    assert [t for _, t in meters] == [0.0, 0.0, 1 / 12, 1 / 12]
    assert meters[0][0] is meters[2][0]
    assert meters[1][0] is meters[3][0]
    assert meters[0][0] is not meters[1][0]
    assert seen[0][0] == seen[2][0]
    assert seen[1][0] == seen[3][0]
    assert seen[0][0] != seen[1][0]
    assert len({fresh for _, fresh in seen}) == 4


def test_driving_blurs_what_is_near_and_standing_does_not(monkeypatch):
    stage = Stage(CONFIG, 'night', CPU)
    ways = []

    def watch(radiance, motion):
        ways.append(motion.norm(dim=-1))
        return radiance

    monkeypatch.setattr(drive_module, 'blur', watch)
    camera = RIG.cameras[0]
    frame = stage.picture(0.2, camera)
    assert frame.ego_pose.speed_mps > 3.0
    road = ways[0][50:]
    assert road.mean() > 3 * ways[0][:20].mean()
    pose = stage.ego(0.2)
    monkeypatch.setattr(stage, 'ego', lambda t: pose)
    stage.picture(0.2, camera)
    assert ways[1].median() < 1e-2 < 0.2 < ways[0].median()


def test_same_seed_same_bytes_other_seed_other():
    a, b, c = (pictures(record(seed=s, duration_s=0.1, lidar_hz=0.0))[0] for s in (9, 9, 3))
    assert a.image.tobytes() == b.image.tobytes()
    assert a.depth.tobytes() == b.depth.tobytes()
    assert a.depth.tobytes() != c.depth.tobytes()


def test_noise_is_fresh_in_every_picture():
    # A crowd of standing pixels: the same scene at two stamps differs by the sensor's noise.
    stage = Stage(CONFIG, 'night', CPU)
    a, b = (stage.picture(t, RIG.camera('CAM_FRONT')).image for t in (0.0, 1e-6))
    assert (a != b).mean() > 0.3


def test_actors_move_and_the_city_stands():
    stage = Stage(CONFIG, 'day-clear', CPU)
    first, second = (stage.scene(t).solids for t in (0.0, 0.4))
    near = [s.center[(s.actor < 0) & (s.center.norm(dim=1) < 100.0)] for s in (first, second)]
    assert len(near[0]) > 1000
    assert torch.equal(*near)
    first, second = (s.select(s.actor >= 0) for s in (first, second))
    stay, come = torch.isin(first.actor, second.actor), torch.isin(second.actor, first.actor)
    step = (second.center[come] - first.center[stay]).norm(dim=1)
    assert ((step > 0.2) & (step < 6.0)).sum() > 100


def test_sweeps_carry_the_boxes_of_the_instant():
    stage = Stage(CONFIG, 'day-clear', CPU)
    sweep = stage.sweep(0.2, load_rig('nuscenes').lidars[0])
    assert len(sweep.boxes) > 5
    assert [box.instance for box in sweep.boxes] == [box.instance for box in stage.boxes(0.2)]
    now = next(box for box in sweep.boxes if np.linalg.norm(box.velocity) > 3.0)
    later = next(box for box in stage.boxes(0.3) if box.instance == now.instance)
    step = later.T_world_box[:3, 3] - now.T_world_box[:3, 3]
    np.testing.assert_allclose(step, 0.1 * np.array(now.velocity), atol=0.05)


def in_the_way(seed, half_width, times):
    """Centres of what a car of some width would touch on its drive [m]."""
    stage = Stage(replace(CONFIG, seed=seed, duration_s=30.0), 'day-clear', CPU)
    found = []
    for t in times:
        T = torch.as_tensor(stage.ego(t).T_world_ego, dtype=torch.float32)
        points = car_volume(half_width) @ T[:3, :3].T + T[:3, 3]
        solids = stage.scene(t).solids
        reach = (solids.center[:, :2] - T[:2, 3]).norm(dim=1) - solids.half_size.norm(dim=1)
        solids = solids.select((reach < 6.0) & (solids.shape != Shape.DRAPED))
        found += solids.center[inside_of(solids, points)].tolist()
    return found


@pytest.mark.parametrize('seed', [2, 54, 120])
def test_nothing_stands_or_drives_in_the_way_of_the_car(seed):
    # 54 has the narrowest streets, 120 buses parked along narrow ones.
    assert in_the_way(seed, 0.95, np.arange(0.0, 30.0, 0.6)) == []


def test_a_wider_car_would_touch_what_is_parked():
    assert len(in_the_way(120, 2.0, np.arange(10.0, 20.0, 1.0))) > 0


def test_lidar_points_lie_on_the_cameras_exact_depth():
    stage = Stage(CONFIG, 'day-clear', CPU)
    camera = RIG.camera('CAM_FRONT')
    sweep, picture = stage.sweep(0.0, EXACT), stage.picture(0.0, camera)
    points = np.column_stack([sweep.points[:, :3], np.ones(len(sweep.points))])
    in_camera = (np.linalg.inv(camera.T_ego_camera) @ EXACT.T_ego_lidar @ points.T)[:3]
    u, v, z = picture.K @ in_camera
    keep = z > 1.0
    u, v, z = u[keep] / z[keep], v[keep] / z[keep], z[keep]
    column, row = np.rint(u).astype(int), np.rint(v).astype(int)
    keep = (row > 0) & (row < 63) & (column > 0) & (column < 95)
    u, v, z, row, column = (a[keep] for a in (u, v, z, row, column))
    patch = np.stack([
        picture.depth[row + i, column + j] for i in (-1, 0, 1) for j in (-1, 0, 1)
    ])  # fmt: skip
    # A point lies between pixels: its depth is among those around it, except where the LiDAR,
    # 33 cm above the camera, sees past an edge.
    among = (z > patch.min(0) * 0.999 - 1e-3) & (z < patch.max(0) * 1.001 + 1e-3)
    assert len(z) > 1000
    assert among.mean() > 0.95
    # On the bare road the hill is known: exact, wherever the point falls.
    above = heights_above_the_road(sweep)
    assert above.min() > -1e-3
    assert (np.abs(above) < 1e-3).sum() > 3000


def heights_above_the_road(sweep):
    """Of all points [m], (N,)."""
    T = sweep.ego_pose.T_world_ego @ sweep.T_ego_lidar
    x, y, z = T[:3, :3] @ sweep.points[:, :3].T.astype(np.float64) + T[:3, 3:]
    return z - draw_terrain(CONFIG.seed).height(x, y)


@pytest.mark.parametrize('seed', [1, 9, 27])
def test_car_stands_on_the_hills_and_looks_along_its_lane(seed):
    stage = Stage(replace(CONFIG, seed=seed, duration_s=20.0), 'night', CPU)
    terrain = draw_terrain(seed)
    poses = [stage.ego(t) for t in np.arange(0.0, 20.0, 0.02)]
    T = np.stack([pose.T_world_ego for pose in poses])
    x, y, z = T[:, :3, 3].T
    np.testing.assert_allclose(z, terrain.height(x, y), atol=1e-9)
    slope = np.stack(terrain.gradient(x, y), -1)
    np.testing.assert_allclose(T[:, 2, 0], (T[:, :2, 0] * slope).sum(1), atol=1e-9)
    assert np.ptp(z) > 0.3
    assert np.abs(T[:, 2, 1]).max() > 0.005  # it rolls, too
    # Heading and pitch are those of the way it goes; the way is as long as its speed says.
    step = np.diff(T[:, :3, 3], axis=0)
    moved = np.linalg.norm(step, axis=1)
    goes = moved > 0.02
    along = (step * T[:-1, :3, 0]).sum(1)[goes] / moved[goes]
    assert along.min() > 0.995
    speed = np.array([pose.speed_mps for pose in poses])
    np.testing.assert_allclose(moved, 0.02 * (speed[1:] + speed[:-1]) / 2, rtol=0.02, atol=1e-3)
    # Nothing jerks: pitch and roll change by less than 4 degrees a second.
    assert np.abs(np.diff(T[:, 2, :2], axis=0)).max() < 0.02 * np.deg2rad(4.0) + 0.02 * 0.07 * 1.5


def test_flat_drives_are_level_and_straight():
    stage = Stage(replace(CONFIG, terrain='flat', duration_s=5.0), 'night', CPU)
    for t in (0.0, 2.0, 4.9):
        T = stage.ego(t).T_world_ego
        assert T[2].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert not (stage.scene(0.0).solids.shape == Shape.DRAPED).any()


def test_noise_is_fresh_in_every_sweep(drive):
    # Some rays meet the bare road ahead, at ranges that differ by nothing but noise.
    a, b = (sweep.points[sweep.points[:, 4] == 0] for sweep in sweeps(drive)[:2])
    assert a.shape == b.shape
    assert not np.array_equal(a, b)


def test_picture_matches_its_mount(drive):
    frame = pictures(drive)[0]
    assert frame.image.shape == (64, 96, 3)
    assert frame.image.dtype == np.uint8
    assert frame.depth.shape == (64, 96)
    assert frame.depth.dtype == np.float32
    np.testing.assert_array_equal(frame.K, RIG.camera(frame.channel).intrinsics(64, 96))
    np.testing.assert_array_equal(frame.T_ego_camera, RIG.camera(frame.channel).T_ego_camera)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'duration_s': 0.0}, 'times must be positive'),
        ({'start_s': -1.0}, 'times must be positive'),
        ({'camera_hz': 0.0}, 'camera_hz > 0'),
        ({'lidar_hz': -1.0}, 'hz and dark_range_m must be > 0'),
        ({'lidar_noise_m': -1.0}, 'noise_m >= 0'),
        ({'channels': ()}, 'channels must name one camera'),
        ({'channels': ('CAM_TOP',)}, 'CAM_TOP'),
        ({'image_height': 0}, 'pixels'),
        ({'image_width': -8}, 'pixels'),
    ],
)
def test_config_out_of_range_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


def test_rig_says_what_the_config_leaves_open():
    rig = DriveConfig(seed=0, duration_s=1.0).mounts()
    assert rig == RIG
    robotcar = DriveConfig(seed=0, duration_s=1.0, rig='robotcar').mounts()
    assert [mount.channel for mount in robotcar.cameras] == ['stereo/left']
    assert (robotcar.camera_hz, robotcar.lidars[0].hz) == (16.0, 50.0)
    own = replace(CONFIG, camera_hz=4.0, lidar_hz=5.0, lidar_noise_m=0.0).mounts()
    assert (own.camera_hz, own.lidars[0].hz, own.lidars[0].noise_m) == (4.0, 5.0, 0.0)
    assert replace(CONFIG, lidar_hz=0.0).mounts().lidars == ()


def test_records_are_counted_before_they_are_rendered(drive):
    config = replace(CONFIG, channels=('CAM_FRONT', 'CAM_BACK'), duration_s=0.2)
    assert count_records(config) == len(drive) == 2 * 2 + 4


def test_robotcar_records_scans_and_pictures():
    config = DriveConfig(seed=9, duration_s=0.1, rig='robotcar', image_height=48, image_width=64)
    records = list(render_drive(config, 'day-clear', CPU))
    kinds = [(r.channel, r.ego_pose.timestamp_us - EPOCH_US) for r in records]
    assert kinds == [
        *(('lms_front', 0), ('stereo/left', 0), ('lms_front', 20_000), ('lms_front', 40_000)),
        *(('lms_front', 60_000), ('stereo/left', 62_500), ('lms_front', 80_000)),
    ]
