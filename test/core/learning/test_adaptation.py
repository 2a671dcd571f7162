import copy
from dataclasses import replace
import math

import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from ssd_depth_core.conditions import CONDITIONS  # noqa: E402
from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.data.adverse import AdverseConfig  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig  # noqa: E402
from ssd_depth_core.learning.adaptation import (  # noqa: E402
    AdaptationConfig,
    AdaptationLossConfig,
    AdaptationTask,
    daytime_distribution,
    train_adaptation,
)
from ssd_depth_core.learning.checkpoint import (  # noqa: E402
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.models.adapters import AdapterConfig  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig, DepthOutput  # noqa: E402
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

SIZE = (32, 64)
FOCAL_PX = 160.0
K = torch.tensor([[FOCAL_PX, 0, 31.5], [0, FOCAL_PX, 15.5], [0, 0, 1]])
NETWORK = DepthNetConfig(input_height=32, input_width=64, canonical_focal_px=80.0)
TEACHER = replace(NETWORK, canonical_focal_px=FOCAL_PX)
THREE_BINS = {'num_bins': 3, 'min_depth_m': 10.0, 'max_depth_m': 30.0}
EVENLY = torch.full((3,), 1 / 3)

VIT = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(channels=(8, 8, 16, 16), features=16),
    input_height=42,
    input_width=70,
)
CNN = DepthNetConfig(
    input_height=64, input_width=96, decoder_channels=8, fine_channels=8, confidence=False
)


class SaidDepth(torch.nn.Module):
    """Says one canonical depth everywhere and, where told, one log scale."""

    def __init__(self, depth, config=NETWORK, log_scale=None):
        super().__init__()
        self.config = config
        self.decoder = torch.nn.Identity()
        self.depth = torch.nn.Parameter(torch.tensor(depth))
        self.log_scale = log_scale

    def forward(self, image):
        pixels = torch.ones_like(image[:, :1])
        sure = None if self.log_scale is None else self.log_scale * pixels
        return DepthOutput(pixels / self.depth, sure)


def batch(*conditions):
    pictures = torch.zeros(len(conditions), 3, *SIZE)
    return {
        'image': pictures,
        'plain_image': pictures,
        'teacher_image': torch.zeros(len(conditions), 3, 64, 128),  # at another size
        'K': K.expand(len(conditions), 3, 3),
        'condition': torch.tensor([CONDITIONS.index(name) for name in conditions]),
    }


def parts(*conditions, log_scales=(None, None), **loss):
    """The network says 20 m, the student says 16 m, and the teacher says 32 m."""
    # A lens twice as long as the canonical one makes all twice as far. The teacher's canonical
    # lens is the longer one, and its pictures are twice as large: its metre is two.
    task = AdaptationTask(
        SaidDepth(10.0, log_scale=log_scales[0]),
        SaidDepth(8.0, log_scale=log_scales[1]),
        SaidDepth(16.0, replace(TEACHER, input_height=64, input_width=128)),
        EVENLY,
        AdaptationLossConfig(**{**THREE_BINS, **loss}),
    )
    return {name: value.item() for name, value in task(batch(*conditions)).items()}


def test_an_adverse_frame_follows_the_student_as_far_as_the_teacher_agrees():
    said = parts('night', distribution_weight=0.0)
    # Inverse depths 1/20, 1/16 and 1/32: |1/16 - 1/32| / (1/16) = 1/2.
    agreement = math.exp(-0.5)
    assert said['agreement'] == pytest.approx(agreement)
    assert said['loss'] == pytest.approx((agreement + 1) * abs(1 / 20 - 1 / 16) * 20)
    assert set(said) == {'loss', 'label', 'agreement'}


def test_a_clear_frame_follows_the_teacher():
    said = parts('day-clear', distribution_weight=0.0)
    assert said['loss'] == pytest.approx(2 * abs(1 / 20 - 1 / 32) * 20)
    assert said['agreement'] == pytest.approx(1.0)


def test_frames_of_both_kinds_share_a_batch():
    both, night, clear = (
        parts(*names)['label'] for names in (('day-clear', 'night'), ('night',), ('day-clear',))
    )
    assert both == pytest.approx((night + clear) / 2)


def test_beta_and_floor_weigh_the_label():
    said = parts('night', beta=2.0, floor=0.5, distribution_weight=0.0)
    assert said['loss'] == pytest.approx((math.exp(-1) + 0.5) * 0.25)


def test_the_depths_of_adverse_frames_are_distributed_as_by_day():
    said = parts('night', 'day-clear', distribution_weight=0.5)
    pixels = SIZE[0] * SIZE[1]  # of the night; all at 20 m, the second bin
    shares = [1 / (pixels + 3), (pixels + 1) / (pixels + 3), 1 / (pixels + 3)]
    divergence = sum(math.log(1 / 3 / share) / 3 for share in shares)
    assert said['distribution'] == pytest.approx(divergence, rel=1e-4)
    assert said['loss'] == pytest.approx(said['label'] + 0.5 * divergence, rel=1e-4)


def test_a_batch_of_clear_frames_has_no_distribution_to_correct():
    said = parts('day-clear', 'day-clear')
    assert said['distribution'] == 0
    assert said['loss'] == said['label']


def test_a_confidence_stays_what_the_student_knew():
    said = parts('night', log_scales=(-1.0, -3.0), distribution_weight=0.0)
    assert said['confidence'] == pytest.approx(2.0)
    assert said['loss'] == pytest.approx(said['label'] + 0.1 * 2.0)
    free = parts('night', log_scales=(-1.0, -3.0), distribution_weight=0.0, confidence_weight=0.0)
    assert free['loss'] == free['label']


def test_the_networks_that_are_asked_never_change():
    torch.manual_seed(0)
    config = replace(CNN, input_height=32, input_width=64)
    network, student, teacher = (build_depth_net(config) for _ in range(3))
    task = AdaptationTask(network, student, teacher, EVENLY, AdaptationLossConfig(**THREE_BINS))
    before = [copy.deepcopy(x.state_dict()) for x in (network, student, teacher)]
    task.train()
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], 0.1)
    pictures = torch.rand(2, 3, *SIZE)
    seen = dict.fromkeys(('image', 'plain_image', 'teacher_image'), pictures)
    for _ in range(2):
        task({**batch('night', 'day-clear'), **seen})['loss'].backward()
        optimizer.step()
    unchanged = [
        all(torch.equal(value, x.state_dict()[name]) for name, value in state.items())
        for state, x in zip(before, (network, student, teacher), strict=True)
    ]
    assert unchanged == [False, True, True]
    assert {name.split('.')[0] for name in task.state_dict()} == {'network', 'daytime'}


@pytest.fixture
def process_group(tmp_path):
    """A group of this process alone, whose rules are those of many."""
    group = torch.distributed
    group.init_process_group('gloo', f'file://{tmp_path}/group', rank=0, world_size=1)
    yield
    group.destroy_process_group()


@pytest.mark.usefixtures('process_group')
def test_several_processes_find_a_gradient_for_all_that_asks_for_one():
    four_scales = replace(CNN, decoder='monodepth2', input_height=64, input_width=64)
    network, student, teacher = (build_depth_net(four_scales) for _ in range(3))
    task = AdaptationTask(network, student, teacher, EVENLY, AdaptationLossConfig(**THREE_BINS))
    module = torch.nn.parallel.DistributedDataParallel(task.train())
    pictures = torch.rand(2, 3, 64, 64)
    seen = dict.fromkeys(('image', 'plain_image', 'teacher_image'), pictures)
    for _ in range(2):  # the second one finds out what the first one waits for
        module({**batch('night', 'day-clear'), **seen})['loss'].backward()
    missed = [name for name, p in task.named_parameters() if p.requires_grad and p.grad is None]
    assert missed == []


def test_the_distribution_by_day_is_the_mean_of_its_frames():
    frames = [{'image': torch.zeros(3, *SIZE), 'K': K * factor} for factor in (0.625, 1.25)]

    class Frames(list):
        def __getitem__(self, draw):
            return super().__getitem__(draw[0])

    # Canonical 16 m, seen through lenses of 100 and 200 px instead of 160: 10 m and 20 m.
    day = daytime_distribution(
        SaidDepth(16.0, TEACHER), Frames(frames), AdaptationLossConfig(**THREE_BINS), cpu=True
    )
    pixels = SIZE[0] * SIZE[1]
    much, little = (pixels + 1) / (pixels + 3), 1 / (pixels + 3)
    mixed = (much + little) / 2
    assert day.tolist() == pytest.approx([mixed, mixed, little])


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'beta': -1.0}, 'beta must be >= 0, got -1.0'),
        ({'distribution_weight': -0.1}, 'distribution_weight must be >= 0, got -0.1'),
        ({'confidence_weight': -0.1}, 'confidence_weight must be >= 0, got -0.1'),
        ({'num_bins': 1}, 'num_bins must be >= 2, got 1'),
        ({'min_depth_m': 90.0}, 'bins must be 0 < min_depth_m < max_depth_m, got 90.0 and 80.0'),
    ],
)
def test_weights_out_of_range_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        AdaptationLossConfig(**fields)


def config(**changes):
    loop = LoopConfig(max_steps=2, batch_size=2, num_workers=0)
    return AdaptationConfig(**{'num_daytime_frames': 2, 'loop': loop, **changes})


def test_without_a_frame_there_is_no_distribution_by_day():
    with pytest.raises(ValueError, match='num_daytime_frames must be >= 1, got 0'):
        config(num_daytime_frames=0)


def saved(path, config, seed):
    """A network that was never trained, in the run folder of one that was."""
    torch.manual_seed(seed)
    path.mkdir()
    info = CheckpointInfo(
        model=config, step=1, training_command='x', training_data=f'what seed {seed} says'
    )
    save_checkpoint(path / 'checkpoint.safetensors', build_depth_net(config), info)
    return path


@pytest.fixture
def networks(tmp_path):
    """A ViT as student and, of another size, a CNN as teacher."""
    return {
        'student': saved(tmp_path / 'student', VIT, 1),
        'teacher': saved(tmp_path / 'teacher', CNN, 2),
    }


def adapt(config, index, out, networks, **options):
    return train_adaptation(config, index, out, **networks, command='x', cpu=True, **options)


def test_a_student_is_adapted_and_says_to_what(make_index, networks, tmp_path):
    run = adapt(config(), make_index(), tmp_path / 'run', networks)
    network, info = load_checkpoint(run.checkpoint)
    assert (info.step, info.model) == (2, VIT)
    for words in (
        'what seed 1 says; then synthetic: rendered',
        '(day-clear, night)',
        f'no depth labels, teacher {networks["teacher"]}',
    ):
        assert words in info.training_data
    first, _ = load_checkpoint(networks['student'] / 'checkpoint.safetensors')
    kept = [
        torch.equal(a, b) for a, b in zip(network.parameters(), first.parameters(), strict=True)
    ]
    assert sum(kept) < 0.1 * len(kept)


def test_adapters_leave_a_plain_network_and_all_else_as_it_was(make_index, networks, tmp_path):
    pytest.importorskip('peft')
    sparse = config(adapters=AdapterConfig(rank=2))
    run = adapt(sparse, make_index(), tmp_path / 'run', networks)
    network, info = load_checkpoint(run.checkpoint)  # strictly
    assert info.model == VIT
    first, _ = load_checkpoint(networks['student'] / 'checkpoint.safetensors')
    before = dict(first.named_parameters())
    changed = {
        name
        for name, value in network.named_parameters()
        if not torch.allclose(value, before[name], rtol=1e-6, atol=1e-8)
    }
    assert changed == {
        f'encoder.backbone.blocks.{block}.attn.{layer}.weight'
        for block in range(4)
        for layer in ('qkv', 'proj')
    }


def test_an_adaptation_goes_on_where_it_was_stopped(make_index, networks, tmp_path):
    pytest.importorskip('peft')
    steady = LoopConfig(
        max_steps=4,
        batch_size=2,
        num_workers=0,
        schedule='step',  # whose rate does not ask how long the training will be
        decay_fractions=(),
        warmup_fraction=0.0,
    )
    index, small = make_index(), AdapterConfig(rank=2, train_decoder=True)
    made = {
        steps: config(adapters=small, loop=replace(steady, max_steps=steps)) for steps in (2, 4)
    }
    whole = adapt(made[4], index, tmp_path / 'whole', networks)
    half = adapt(made[2], index, tmp_path / 'half', networks)
    resumed = adapt(made[4], index, half.path, networks, resume=True)
    states = [load_checkpoint(run.checkpoint)[0].state_dict() for run in (whole, resumed)]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert load_checkpoint(resumed.checkpoint)[1].step == 4


@pytest.mark.parametrize('name', ['student', 'teacher'])
def test_an_adaptation_goes_on_with_its_networks_only(make_index, networks, tmp_path, name):
    index = make_index()
    run = adapt(config(), index, tmp_path / 'run', networks)
    others = {'student': saved(tmp_path / 's', VIT, 3), 'teacher': saved(tmp_path / 't', CNN, 4)}
    with pytest.raises(ValueError, match=f'input {name} must be .*{name}/checkpoint.* as it was'):
        adapt(config(), index, run.path, {**networks, name: others[name]}, resume=True)


def refused(message, config, index, out, networks, error=ValueError):
    with pytest.raises(error, match=message):
        adapt(config, index, out, networks)
    assert not out.exists()


def test_what_is_not_there_is_refused(make_index, networks, tmp_path):
    out = tmp_path / 'run'
    refused(
        'adapters need a vision transformer',
        config(adapters=AdapterConfig()),
        make_index(),
        out,
        {'student': networks['teacher'], 'teacher': networks['teacher']},
    )
    relative = saved(tmp_path / 'relative', replace(CNN, output='relu'), 3)
    refused(
        'teacher .*relative.* has output relu',
        config(),
        make_index(),
        out,
        {**networks, 'teacher': relative},
    )
    missing = {**networks, 'student': tmp_path / 'nothing'}
    refused('nothing', config(), make_index(), out, missing, FileNotFoundError)
    clear = make_index(lambda line: replace(line, condition='day-clear'))
    refused('training frames is under night', config(), clear, out, networks)
    night = make_index(lambda line: replace(line, condition='night'))
    refused('training frames is clear, but p_clear', config(), night, out, networks)
    never = config(data=AdverseConfig(p_clear=0.0))
    refused('is clear, and loss.distribution_weight is 0.01', never, night, out, networks)


def shipped(pytestconfig, name):
    return load_yaml(AdaptationConfig, pytestconfig.rootpath / f'config/train/{name}.yaml')


def test_the_shipped_config_is_the_papers(pytestconfig):
    loaded = shipped(pytestconfig, 'adapt_student')
    assert loaded.loss == AdaptationLossConfig()
    assert (loaded.loop.max_epochs, loaded.loop.decay_fractions) == (10, (0.5,))
    assert loaded.data == AdverseConfig(triplets=TripletConfig(noise=0.5, neighbours=False))
    assert loaded.adapters is None


def test_one_robots_camera_takes_adapters_on_the_same_objective(pytestconfig):
    usual, camera = (shipped(pytestconfig, f'adapt_{name}') for name in ('student', 'camera'))
    assert camera.adapters == AdapterConfig()
    assert replace(camera, adapters=None, loop=usual.loop) == usual
    assert camera.loop.learning_rate_factors == {'network.encoder': 1.0}
