from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig  # noqa: E402
from ssd_depth_core.geometry.rigid import transform_from_axis_angle  # noqa: E402
from ssd_depth_core.geometry.warp import warp  # noqa: E402
from ssd_depth_core.learning.checkpoint import load_checkpoint, load_pose_net  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.self_supervised import (  # noqa: E402
    SelfSupervisedConfig,
    SelfSupervisedLossConfig,
    SelfSupervisedTask,
    train_self_supervised,
)
from ssd_depth_core.models.depth_net import DepthNetConfig, DepthOutput  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNetConfig  # noqa: E402
import torch.nn.functional as F  # noqa: E402

SIZE = (64, 128)
FOCAL_PX = 80.0
DEPTH_M = 10.0
STEP_M = 0.8
MODEL = DepthNetConfig(
    encoder='resnet18',
    decoder='monodepth2',
    output='sigmoid',
    confidence=False,
    input_height=64,
    input_width=128,
    canonical_focal_px=FOCAL_PX,
)
PHOTOMETRIC = SelfSupervisedLossConfig(smoothness_weight=0.0, velocity_weight=0.0)


class SaidDepth(torch.nn.Module):
    """Says one canonical depth, or a map of it."""

    def __init__(self, depth, config=MODEL):
        super().__init__()
        self.config = config
        self.depth = depth

    def forward(self, image):
        return DepthOutput(torch.ones_like(image[:, :1]) / self.depth, None)


class SaidMotion(torch.nn.Module):
    """Says sideways motion."""

    def __init__(self, step_m):
        super().__init__()
        self.step_m = step_m

    def forward(self, pose_images, R_source_target=None, distance_m=None):
        T = torch.eye(4).repeat(len(pose_images), 2, 1, 1)
        if R_source_target is not None:
            T[..., :3, :3] = R_source_target
        T[:, 0, 0, 3], T[:, 1, 0, 3] = self.step_m, -self.step_m
        if distance_m is not None:
            T[..., :3, 3] *= (distance_m / self.step_m)[..., None]
        return T


def wall(focal_px=FOCAL_PX, image_size=SIZE, flip=False):
    """A textured wall 10 m ahead, passed sideways by 0.8 m a frame."""
    generator = torch.Generator().manual_seed(3)
    texture = torch.rand(1, 3, 8, 16, generator=generator)
    target = F.interpolate(texture, SIZE, mode='bicubic').clamp(0, 1)
    K = torch.tensor([[[focal_px, 0, 63.5], [0, focal_px, 31.5], [0, 0, 1]]])
    depth = torch.full((1, 1, *SIZE), DEPTH_M)
    # A source shows at u what the target shows at u - f * t / Z: the warp back finds it there.
    there_and_back = SaidMotion(-STEP_M)(target)[0]
    sources = [warp(target, depth, K, T[None], padding='border') for T in there_and_back]
    return {
        'image': torch.zeros(1, 3, *image_size),
        'flip': torch.tensor([flip]),
        'target': target,
        'sources': torch.stack(sources, 1),
        'pose_images': torch.zeros(1, 3, 3, *SIZE),
        'K': K,
        'distance_m': torch.full((1, 2), STEP_M),
    }


def parts(depth, step_m=STEP_M, loss=PHOTOMETRIC, batch=None, model=MODEL):
    task = SelfSupervisedTask(SaidDepth(depth, model), SaidMotion(step_m), loss)
    return task(wall() if batch is None else batch)


def test_the_true_depth_has_the_least_loss():
    losses = [parts(DEPTH_M * factor)['loss'] for factor in (0.7, 1.0, 1.4)]
    assert losses[1] < 0.02
    assert losses[1] < 0.3 * min(losses[0], losses[2])


def test_pictures_alone_do_not_tell_the_metre_and_the_speed_does():
    apart = SelfSupervisedLossConfig(smoothness_weight=0.0, velocity_weight=0.02)
    true, doubled = (parts(DEPTH_M * s, STEP_M * s, apart) for s in (1, 2))
    assert doubled['photometric'] == pytest.approx(true['photometric'].item(), abs=1e-4)
    assert true['velocity'] == pytest.approx(0.0, abs=1e-6)
    assert doubled['velocity'] == pytest.approx(STEP_M)
    gain = (doubled['loss'] - true['loss']).item()
    assert gain == pytest.approx(0.02 * STEP_M, abs=2e-4)
    assert doubled['motion_m'] == pytest.approx(2 * STEP_M)
    assert 'velocity' not in parts(DEPTH_M)


def test_known_rotations_replace_the_predicted_ones():
    # The car turns as it passes; the pose network alone says that it does not.
    turn = transform_from_axis_angle(torch.tensor([[0.0, 0.02, 0.0]]), torch.zeros(1, 3))
    batch = wall()
    depth = torch.full((1, 1, *SIZE), DEPTH_M)
    known = SaidMotion(STEP_M)(batch['pose_images'])[0]
    known[:, :3, :3] = turn[0, :3, :3]
    sources = [
        warp(batch['target'], depth, batch['K'], torch.linalg.inv(T)[None], padding='border')
        for T in known
    ]
    batch |= {'sources': torch.stack(sources, 1), 'T_source_target': known[None]}
    predicted, told = (
        parts(DEPTH_M, loss=replace(PHOTOMETRIC, rotation=rotation), batch=batch)['loss']
        for rotation in ('predicted', 'poses')
    )
    assert told < 0.3 * predicted


def test_a_known_distance_replaces_the_predicted_one():
    loss = replace(PHOTOMETRIC, velocity_weight=0.02, distance='odometer')
    told = parts(DEPTH_M, 2 * STEP_M, loss)  # the network says twice the way
    assert told['motion_m'] == pytest.approx(STEP_M, rel=1e-5)
    assert told['velocity'] == pytest.approx(0.0, abs=1e-6)
    assert told['loss'] == pytest.approx(parts(DEPTH_M, STEP_M)['loss'].item(), abs=1e-6)


def test_a_longer_lens_makes_the_same_canonical_depth_farther():
    batch = wall(focal_px=2 * FOCAL_PX)
    halved, equal = (parts(depth, batch=batch)['loss'] for depth in (DEPTH_M / 2, DEPTH_M))
    assert halved < 0.02
    assert halved < 0.3 * equal


def test_the_network_may_see_larger_pictures_than_the_losses():
    # The focal length grows with the picture, so the same canonical depth says twice as far.
    model = replace(MODEL, input_height=128, input_width=256)
    batch = wall(image_size=(128, 256))
    halved = parts(DEPTH_M / 2, batch=batch, model=model)['loss']
    assert halved < 0.02
    larger = parts(DEPTH_M, batch=batch, model=replace(model, canonical_focal_px=2 * FOCAL_PX))
    assert larger['loss'] == pytest.approx(halved.item(), abs=1e-6)


def test_what_was_predicted_for_a_mirrored_input_is_mirrored_back():
    slope = torch.linspace(4, 12, SIZE[1]).expand(1, 1, *SIZE)
    unmasked = replace(PHOTOMETRIC, automask=False)
    straight, back, wrong = (
        parts(depth, loss=unmasked, batch=wall(flip=mirrored))['loss'].item()
        for depth, mirrored in ((slope, False), (slope.flip(-1), True), (slope, True))
    )
    assert back == pytest.approx(straight, abs=1e-6)
    assert abs(wrong - straight) > 0.01


def test_smoothness_counts_half_at_each_coarser_scale():
    fine = torch.ones(1, 1, *SIZE) / 10
    coarse = fine[..., ::2, ::2].clone()
    coarse[..., ::2] = 1 / 5  # stripes at half the size; the full size is flat

    class Stripes(SaidDepth):
        def forward(self, image):
            return DepthOutput(fine, None, (coarse,))

    task = SelfSupervisedTask(Stripes(1.0), SaidMotion(STEP_M), PHOTOMETRIC)
    batch = wall()
    batch['target'] = torch.full_like(batch['target'], 0.5)  # no edge excuses a step in depth
    # Stripes of 0.2 and 0.1 over their mean: steps of 0.1 / 0.15 everywhere along x.
    expected = (0.1 / 0.15) / 2 / 2  # half as much at the second scale, mean of two scales
    assert task(batch)['smoothness'] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'model': replace(MODEL, confidence=True)}, 'model.confidence must be false'),
        ({'data': TripletConfig(neighbours=False)}, 'data.neighbours must be true'),
        (
            {'data': TripletConfig(input_size=SIZE)},
            'data.input_size must be left .*; set model.input',
        ),
        ({'data': TripletConfig(mean=(0.45, 0.45, 0.45))}, 'data.mean must be left at'),
    ],
)
def test_a_config_that_contradicts_itself_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        SelfSupervisedConfig(**{'model': MODEL, 'loop': LoopConfig(max_steps=1), **changes})


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'ssim_weight': 1.1}, r'ssim_weight must be in \[0, 1\], got 1.1'),
        ({'smoothness_weight': -1.0}, 'smoothness_weight must be >= 0, got -1.0'),
        ({'velocity_weight': -0.1}, 'velocity_weight must be >= 0, got -0.1'),
    ],
)
def test_weights_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        SelfSupervisedLossConfig(**fields)


def config(**changes):
    values = {
        'model': MODEL,
        'pose': PoseNetConfig(),
        'data': TripletConfig(size=SIZE),
        'loop': LoopConfig(max_steps=2, batch_size=2, num_workers=0),
    }
    return SelfSupervisedConfig(**{**values, **changes})


def test_training_leaves_a_network_that_says_what_it_saw(make_index, tmp_path):
    index = make_index()
    run = train_self_supervised(config(), index, tmp_path / 'run', command='x', cpu=True)
    network, info = load_checkpoint(run.checkpoint)
    assert info.step == 2
    assert info.model == MODEL
    assert 'synthetic: rendered' in info.training_data
    assert 'no depth labels' in info.training_data
    assert set(info.metrics) == {'day-clear'}
    picture = cv2.imread(str(run.path / 'pictures' / 'day-clear-0000002.png'))
    assert picture.shape == (3 * SIZE[0], SIZE[1], 3)  # input, prediction, truth
    np.testing.assert_allclose(
        picture[10, 10], (160, 90, 40), atol=4
    )  # BGR of the set's left half
    assert network(torch.zeros(1, 3, *SIZE)).inverse_depth.shape == (1, 1, *SIZE)
    assert load_pose_net(run.pose_net).config == PoseNetConfig()


def test_a_training_goes_on_with_its_own_index_only(make_index, tmp_path):
    def train(index, **options):
        return train_self_supervised(
            config(), index, tmp_path / 'run', command='x', cpu=True, **options
        )

    train(make_index())
    index = make_index(lambda line: replace(line, condition='night'))  # in the same folder
    with pytest.raises(ValueError, match='input index must be .*train.jsonl as it was'):
        train(index, resume=True)


def test_without_neighbours_there_is_nothing_to_learn_from(make_index, tmp_path):
    index = make_index(lambda line: replace(line, previous=None))
    with pytest.raises(ValueError, match='none of .* frames has one before and one after'):
        train_self_supervised(config(), index, tmp_path / 'run', command='x', cpu=True)
    assert not (tmp_path / 'run').exists()


def test_speed_cannot_be_learnt_from_frames_without_poses(make_index, tmp_path):
    def unposed(line):
        frame = line.next and replace(line.next, T_source_target=None)
        return replace(line, next=frame)

    index = make_index(unposed)
    with pytest.raises(ValueError, match='have no poses .* set loss.velocity_weight to 0'):
        train_self_supervised(config(), index, tmp_path / 'run', command='x', cpu=True)
    assert not (tmp_path / 'run').exists()
    told = SelfSupervisedLossConfig(velocity_weight=0.0, rotation='poses')
    with pytest.raises(ValueError, match='rotation is poses, but .* set loss.rotation to pred'):
        train_self_supervised(config(loss=told), index, tmp_path / 'run', command='x', cpu=True)
    told = SelfSupervisedLossConfig(velocity_weight=0.0, distance='odometer')
    with pytest.raises(ValueError, match='distance is odometer, .* set loss.distance to pred'):
        train_self_supervised(config(loss=told), index, tmp_path / 'run', command='x', cpu=True)
    blind = config(loss=SelfSupervisedLossConfig(velocity_weight=0.0))
    train_self_supervised(blind, index, tmp_path / 'run', command='x', cpu=True)


def test_an_index_without_validation_frames_is_refused(make_index, tmp_path):
    index = make_index(validation=[])
    with pytest.raises(ValueError, match='no validation frames'):
        train_self_supervised(config(), index, tmp_path / 'run', command='x', cpu=True)


def test_another_architectures_weights_are_refused(make_index, tmp_path):
    index = make_index()
    run = train_self_supervised(config(), index, tmp_path / 'run', command='x', cpu=True)
    other = config(model=replace(MODEL, encoder='resnet34'), initial_checkpoint=run.checkpoint)
    with pytest.raises(
        ValueError, match="initial_checkpoint .* has encoder 'resnet18', not 'resnet34'"
    ):
        train_self_supervised(other, index, tmp_path / 'other', command='x', cpu=True)


@pytest.mark.parametrize('name', ['monodepth2', 'md4all_baseline', 'ssd_teacher'])
def test_the_three_baselines_are_configs_of_one_task(name, pytestconfig):
    path = pytestconfig.rootpath / f'config/train/{name}.yaml'
    loaded = load_yaml(SelfSupervisedConfig, path)
    assert loaded.data.size == (320, 576)
    assert bool(loaded.loss.velocity_weight) == (name != 'monodepth2')
    if name == 'ssd_teacher':
        assert (loaded.model.input_height, loaded.model.input_width) == (518, 784)
        assert (loaded.loop.batch_size, loaded.loop.max_epochs) == (4, 20)
