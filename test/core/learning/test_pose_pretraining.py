from dataclasses import replace
import math

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from ssd_depth_core.data.triplets import TripletConfig  # noqa: E402
from ssd_depth_core.geometry.rigid import invert, transform_from_axis_angle  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.pose_pretraining import (  # noqa: E402
    DrawnMotionConfig,
    ERROR_UNIT_RAD,
    load_pose_net,
    PosePretrainingConfig,
    PosePretrainingTask,
    pretrain_pose,
    rotation_between,
)
from ssd_depth_core.learning.self_supervised import (  # noqa: E402
    SelfSupervisedConfig,
    train_self_supervised,
)
from ssd_depth_core.learning.tensor_file import write_tensors  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig  # noqa: E402

SIZE = (64, 128)
FOCAL_PX = 80.0
K = torch.tensor([[[FOCAL_PX, 0, 63.5], [0, FOCAL_PX, 31.5], [0, 0, 1]]])
POSE = PoseNetConfig()
CONFIG = PosePretrainingConfig(
    pose=POSE,
    data=TripletConfig(size=SIZE),
    loop=LoopConfig(max_steps=2, batch_size=2, num_workers=0),
)


def turned(yaw_deg):
    """Points of the earlier camera in the later one, which has turned left for a positive yaw."""
    angle = torch.tensor([[0.0, math.radians(yaw_deg), 0.0]])
    return transform_from_axis_angle(angle, torch.zeros(1, 3))


class Said(torch.nn.Module):
    """Says one yaw for both pairs, in the order of time."""

    def __init__(self, yaw_deg):
        super().__init__()
        self.T = turned(yaw_deg)

    def forward(self, pose_images):
        self.seen = pose_images
        return torch.stack((invert(self.T), self.T), 1).expand(len(pose_images), 2, 4, 4)


def parts(said_deg, drawn_deg, monkeypatch, image=None):
    task = PosePretrainingTask(Said(said_deg), DrawnMotionConfig(max_step_m=0.0))
    monkeypatch.setattr(task, '_draw', lambda K: turned(drawn_deg))
    image = torch.zeros(1, 3, *SIZE) if image is None else image
    return task({'image': image, 'K': K}), task.network.seen


def test_rotation_between_is_the_angle_about_its_axis():
    error = rotation_between(turned(1.0), turned(3.5))
    torch.testing.assert_close(error, torch.tensor([[0.0, math.sin(math.radians(2.5)), 0.0]]))


def test_the_drawn_rotation_has_no_loss_and_others_have_theirs(monkeypatch):
    assert parts(0.5, 0.5, monkeypatch)[0]['loss'] == pytest.approx(0.0, abs=1e-10)
    small, _ = parts(0.4, 0.5, monkeypatch)
    units = math.radians(0.1) / ERROR_UNIT_RAD
    assert small['loss'] == pytest.approx(units**2 / 2 / 3, rel=1e-3)  # one axis of three
    assert small['rotation_error_deg'] == pytest.approx(0.1, rel=1e-3)
    large, _ = parts(-2.5, 0.5, monkeypatch)
    assert large['loss'] == pytest.approx((10 - 0.5) / 3, rel=1e-3)


def test_pictures_show_what_the_drawn_motion_would(monkeypatch):
    ramp = torch.linspace(0, 1, SIZE[1]).expand(1, 3, *SIZE)
    _, seen = parts(0.0, 1.0, monkeypatch, image=ramp)
    before, image, after = seen[0]
    torch.testing.assert_close(image, ramp[0])
    # A camera that has turned left sees everything farther right; the ramp falls at each place.
    fall = FOCAL_PX * math.tan(math.radians(1.0)) / (SIZE[1] - 1)
    assert (image - after)[0, 32, 64].item() == pytest.approx(fall, rel=0.02)
    assert (before - image)[0, 32, 64].item() == pytest.approx(fall, rel=0.02)


def test_the_drawn_street_is_a_road_between_walls():
    close = 1e-6
    config = DrawnMotionConfig(
        height_m=(1.5, 1.5 + close), side_m=(4.0, 4.0 + close), end_m=(30.0, 30.0 + close)
    )
    street = PosePretrainingTask(Said(0.0), config)._street(K, *SIZE)[0, 0]
    u, v = torch.arange(SIZE[1]) - 63.5, torch.arange(SIZE[0])[:, None] - 31.5
    road = torch.where(v > 0, 1.5 * FOCAL_PX / v, torch.inf)
    walls = 4.0 * FOCAL_PX / u.abs()
    expected = torch.minimum(torch.minimum(road, walls), torch.tensor(30.0))
    torch.testing.assert_close(street, expected, rtol=1e-4, atol=0)


def test_coming_nearer_makes_the_streets_end_larger(monkeypatch):
    far = 1e6  # neither road nor walls
    config = DrawnMotionConfig(
        max_step_m=2.0, height_m=(far, 2 * far), side_m=(far, 2 * far), end_m=(10.0, 10.001)
    )
    task = PosePretrainingTask(Said(0.0), config)
    T = torch.eye(4)[None].clone()
    T[:, 2, 3] = -2.0
    monkeypatch.setattr(task, '_draw', lambda K: T)
    ramp = torch.linspace(-1, 1, SIZE[1]).expand(1, 3, *SIZE)
    task({'image': ramp, 'K': K})
    after = task.network.seen[0, 2]
    # At 10 m after the step, 12 m before it.
    assert after[0, 32, 96].item() == pytest.approx(ramp[0, 0, 32, 96].item() * 10 / 12, rel=1e-3)


def test_motions_are_drawn_in_their_ranges():
    task = PosePretrainingTask(Said(0.0), DrawnMotionConfig())
    torch.manual_seed(0)
    T = task._draw(K.expand(2000, 3, 3))
    angles = torch.rad2deg(rotation_between(torch.eye(4).expand_as(T), T).norm(dim=-1))
    assert angles.min() + 1e-4 >= 0.05
    assert angles.max() <= 3.0 + 1e-4
    assert (angles < math.sqrt(0.05 * 3)).float().mean() == pytest.approx(0.5, abs=0.05)
    assert ((T[:, 2, 3] <= 0) & (T[:, 2, 3] >= -1)).all()
    assert (T[:, :2, 3] == 0).all()


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'min_angle_deg': 0.0}, 'angles must be 0 < min_angle_deg'),
        ({'min_angle_deg': 4.0}, 'got 4.0 and 3.0'),
        ({'max_step_m': 12.0}, r'max_step_m must be in \[0, end_m\[0\]\), got 12.0 and'),
        ({'side_m': (9.0, 8.0)}, r'side_m must be 0 < side_m\[0\] < side_m\[1\], got 9.0 and 8.0'),
    ],
)
def test_ranges_that_are_none_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        DrawnMotionConfig(**fields)


def test_a_training_starts_from_what_was_pre_trained(make_index, tmp_path):
    index = make_index()
    run = pretrain_pose(CONFIG, index, tmp_path / 'pose', command='x', cpu=True)
    network = load_pose_net(run.checkpoint, POSE)
    torch.manual_seed(CONFIG.seed)
    fresh = PoseNet(POSE).state_dict()
    assert any(not torch.equal(fresh[k], v) for k, v in network.state_dict().items())
    row = run.metrics.read_text().splitlines()[-1]
    assert '"rotation_error_deg"' in row
    assert '"rotation_deg": 0.0' in row  # the drive of the set goes straight on

    config = SelfSupervisedConfig(
        model=DepthNetConfig(
            encoder='resnet18',
            decoder='monodepth2',
            output='sigmoid',
            confidence=False,
            input_height=SIZE[0],
            input_width=SIZE[1],
        ),
        pose=POSE,
        initial_pose=run.checkpoint,
        data=CONFIG.data,
        loop=CONFIG.loop,
    )
    train_self_supervised(config, index, tmp_path / 'teacher', command='x', cpu=True)
    other = replace(config, pose=PoseNetConfig(translation_scale=0.1))
    with pytest.raises(ValueError, match='initial_pose .* but the config asks for'):
        train_self_supervised(other, index, tmp_path / 'other', command='x', cpu=True)
    assert not (tmp_path / 'other').exists()


def test_other_files_are_no_pose_checkpoints(tmp_path):
    with pytest.raises(FileNotFoundError, match='make one with `python -m'):
        load_pose_net(tmp_path / 'none.safetensors', POSE)
    path = tmp_path / 'other.safetensors'
    write_tensors(path, {'x': torch.zeros(1)}, {}, 'file')
    with pytest.raises(ValueError, match='has no ssd_depth_pose header; make one'):
        load_pose_net(path, POSE)
