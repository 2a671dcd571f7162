import math
from pathlib import Path

import pytest
import yaml

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.config import from_dict  # noqa: E402
from ssd_depth_core.models.depth_net import (  # noqa: E402
    DepthNetConfig,
    DepthOutput,
    ExportedDepthNet,
    inverse_depth_of,
    metric_scale,
)
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

STUDENTS = yaml.safe_load(
    (Path(__file__).parents[3] / 'config' / 'model' / 'students.yaml').read_text()
)
MONODEPTH2 = DepthNetConfig(
    encoder='resnet18',
    decoder='monodepth2',
    output='sigmoid',
    confidence=False,
    input_height=64,
    input_width=96,
)
DPT = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(channels=(8, 8, 16, 16), features=16),
    output='sigmoid_depth',
    confidence=False,
    input_height=42,
    input_width=70,
)


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return build_depth_net(DepthNetConfig(input_height=64, input_width=96)).eval()


@torch.inference_mode()
def predict(network, image):
    return network(image)


def test_features_may_be_looked_at_on_the_way(network):
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        output = network.decode(network.encode(image), (64, 96))
    assert torch.equal(output.inverse_depth, predict(network, image).inverse_depth)


def test_each_picture_may_be_normalised_by_itself():
    torch.manual_seed(0)
    config = DepthNetConfig(input_height=64, input_width=96, normalize_each_image=True)
    own = build_depth_net(config).eval()
    image = torch.randn(1, 3, 64, 96)
    dark = torch.cat((0.2 * image - 1.5, image))  # less contrast and light, beside another one
    said = predict(own, dark).inverse_depth
    torch.testing.assert_close(said[:1], said[1:], rtol=1e-3, atol=1e-5)
    assert torch.isfinite(predict(own, torch.zeros(1, 3, 64, 96)).inverse_depth).all()
    fixed = build_depth_net(DepthNetConfig(input_height=64, input_width=96)).eval()
    fixed.load_state_dict(own.state_dict())
    other = predict(fixed, dark).inverse_depth
    assert (other[:1] - other[1:]).abs().max() > 1e-3


def test_a_canonical_metre_grows_with_the_focal_length_at_the_input():
    config = DepthNetConfig(input_height=64, input_width=96, canonical_focal_px=40.0)
    K = torch.tensor(
        [[[30.0, 0, 9], [0, 30, 9], [0, 0, 1]], [[25.0, 0, 9], [0, 36, 9], [0, 0, 1]]]
    )
    scale = metric_scale(config, K, (32, 48))  # K holds at half the size of the input
    assert scale.shape == (2, 1, 1, 1)
    assert scale.flatten().tolist() == pytest.approx([1.5, 1.5])  # 2 * 30 / 40


def test_outputs_have_the_size_of_the_image_and_stay_in_range(network):
    output = predict(network, 50 * torch.randn(2, 3, 64, 96))
    assert output.inverse_depth.shape == output.log_scale.shape == (2, 1, 64, 96)
    assert output.inverse_depth.min() >= 1 / 80.001
    assert output.inverse_depth.max() <= 10.001
    assert output.confidence.min() > 0
    assert output.confidence.max() <= 1


@pytest.mark.parametrize(
    ('logit', 'depth', 'scale'),
    [(0.0, math.sqrt(0.1 * 80), math.sqrt(0.01 * 2)), (-50.0, 80.0, 0.01), (50.0, 0.1, 2.0)],
)
def test_outputs_are_uniform_in_the_logarithm(network, logit, depth, scale):
    weight, bias = network.head.weight.clone(), network.head.bias.clone()
    with torch.no_grad():
        network.head.weight.zero_()
        network.head.bias.fill_(logit)
        output = network(torch.zeros(1, 3, 64, 96))
        network.head.weight.copy_(weight)
        network.head.bias.copy_(bias)
    torch.testing.assert_close(output.inverse_depth, torch.full((1, 1, 64, 96), 1 / depth))
    torch.testing.assert_close(output.log_scale.exp(), torch.full((1, 1, 64, 96), scale))


KINDS = {  # at a logit of -inf, 0 and inf, for 0.1 m to 80 m
    'log_sigmoid': (1 / 80, 1 / math.sqrt(0.1 * 80), 10.0),
    'sigmoid': (1 / 80, (1 / 80 + 10) / 2, 10.0),
    'sigmoid_depth': (10.0, 1 / 40, 1 / 80),
    'relu': (0.0, 0.0, math.inf),
}


@pytest.mark.parametrize(('output', 'expected'), KINDS.items())
def test_logits_become_inverse_depth_in_closed_form(output, expected):
    logits = torch.tensor([-math.inf, 0.0, math.inf], dtype=torch.float64, requires_grad=True)
    inverse_depth = inverse_depth_of(logits, output, 0.1, 80.0)
    torch.testing.assert_close(
        inverse_depth, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )
    inverse_depth.sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize('output', KINDS)
def test_the_slope_of_inverse_depth_is_that_of_its_values(output):
    logits = torch.tensor([-2.0, -0.5, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: inverse_depth_of(x, output, 0.1, 80.0), logits)


def test_depth_of_a_sigmoid_is_no_nearer_than_the_nearest():
    logits = torch.linspace(-30, 30, 61)
    depth = 1 / inverse_depth_of(logits, 'sigmoid_depth', 0.1, 80.0)
    torch.testing.assert_close(depth, (80 * torch.sigmoid(logits)).clamp(min=0.1))


def test_confidence_is_the_share_of_a_laplace_distribution_within_a_factor():
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(200_000, generator=generator) - 0.5
    for scale in (0.1, 0.5):
        error = -scale * uniform.sign() * torch.log(1 - 2 * uniform.abs())
        within = (error.abs() < math.log(1.25)).float().mean()
        output = DepthOutput(torch.ones(1), torch.tensor([math.log(scale)]))
        assert output.confidence.item() == pytest.approx(within.item(), abs=4e-3)


def test_exported_network_gives_the_two_tensors(network):
    image = torch.randn(1, 3, 64, 96)
    inverse_depth, confidence = predict(ExportedDepthNet(network), image)
    output = predict(network, image)
    assert torch.equal(inverse_depth, output.inverse_depth)
    assert torch.equal(confidence, output.confidence)


def test_without_confidence_one_tensor_leaves_torch():
    torch.manual_seed(0)
    network = build_depth_net(DPT).eval()
    image = torch.randn(2, 3, 42, 70)
    output = predict(network, image)
    assert output.inverse_depth.shape == (2, 1, 42, 70)
    assert (output.log_scale, output.confidence, output.coarse) == (None, None, ())
    exported = ExportedDepthNet(network)
    assert exported.output_names == ['inverse_depth']
    (inverse_depth,) = predict(exported, image)
    assert torch.equal(inverse_depth, output.inverse_depth)


def test_monodepth2_has_the_parameters_of_the_paper_and_its_four_scales():
    torch.manual_seed(0)
    network = build_depth_net(MONODEPTH2)
    count = sum(p.numel() for p in network.parameters())
    assert count == 11_176_512 + 3_152_724
    # The 14.84 million of the paper count the classifier of ResNet-18, which sees no image.
    assert round((count + 512 * 1000 + 1000) / 1e6, 2) == 14.84
    output = network(torch.randn(2, 3, 64, 96))
    maps = (output.inverse_depth, *output.coarse)
    assert [tuple(x.shape[2:]) for x in maps] == [(64, 96), (32, 48), (16, 24), (8, 12)]
    assert all(x.min() >= 1 / 80 and x.max() <= 10 for x in maps)
    assert network.eval()(torch.randn(2, 3, 64, 96)).coarse == ()


@pytest.mark.parametrize('config', [MONODEPTH2, DPT], ids=['monodepth2', 'dpt'])
def test_autocast_maps_to_inverse_depth_in_single_precision(config):
    torch.manual_seed(0)
    network = build_depth_net(config)
    with torch.autocast('cpu', torch.bfloat16):
        output = network(torch.randn(2, 3, config.input_height, config.input_width))
    for x in (output.inverse_depth, *output.coarse):
        assert x.dtype == torch.float32
        assert not torch.equal(x, x.bfloat16().float())  # what bfloat16 would have kept


@pytest.mark.parametrize('name', STUDENTS)
def test_a_light_student_fits_the_contract(name):
    torch.manual_seed(0)
    multiple = from_dict(DepthNetConfig, STUDENTS[name], name).size_multiple
    height, width = 2 * multiple, 3 * multiple
    small = {**STUDENTS[name], 'input_height': height, 'input_width': width}
    network = build_depth_net(from_dict(DepthNetConfig, small, name))
    output = network(torch.randn(2, 3, height, width))
    assert output.inverse_depth.shape == output.log_scale.shape == (2, 1, height, width)
    assert output.inverse_depth.min() >= 1 / 80.001
    assert output.inverse_depth.max() <= 10.001
    (output.inverse_depth.log().mean() + output.log_scale.mean()).backward()
    first, *_ = network.encoder.parameters()
    assert first.grad.abs().sum() > 0
    idle = [name for name, p in network.named_parameters() if p.grad is None]
    assert idle == []


@pytest.mark.parametrize('name', STUDENTS)
def test_a_light_students_size_and_focal_length_go_together(name):
    config = from_dict(DepthNetConfig, STUDENTS[name], name)
    assert config.canonical_focal_px == 0.75 * config.input_width


def test_weights_keep_the_names_that_saved_checkpoints_have(network):
    names = set(network.state_dict())
    assert {'encoder.backbone.conv_stem.weight', 'head.weight', 'head.bias'} <= names
    for level in range(5):
        assert f'decoder.laterals.{level}.weight' in names
        assert f'decoder.merges.{level}.0.weight' in names
    assert {'decoder.context.project.0.weight', 'decoder.narrow.weight'} <= names


def test_channels_last_changes_no_value(network):
    image = torch.randn(1, 3, 64, 96)
    last = predict(network, image.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(
        last.inverse_depth, predict(network, image).inverse_depth, rtol=1e-4, atol=1e-6
    )


def test_every_parameter_learns(network):
    output = network(torch.randn(1, 3, 64, 96))
    (output.inverse_depth.log().mean() + output.log_scale.mean()).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None]
    network.zero_grad()
    assert idle == []


@pytest.mark.parametrize(
    ('encoder', 'decoder', 'message'),
    [
        ('vit_tiny_patch16_224', 'pyramid', 'a ViT goes with decoder: dpt'),
        ('resnet18', 'dpt', 'resnet18'),
        ('efficientvit_b1', 'monodepth2', 'needs features at strides 2, 4, 8, 16, 32'),
    ],
)
def test_an_encoder_of_another_kind_is_refused(encoder, decoder, message):
    config = DepthNetConfig(encoder=encoder, decoder=decoder, input_height=64, input_width=96)
    with pytest.raises(ValueError, match=message):
        build_depth_net(config)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'input_height': 180}, 'multiples of 32 .*, got 180x320'),
        ({'input_width': 0}, 'multiples of 32 .*, got 192x0'),
        (
            {'encoder': 'vit_small_patch14_dinov2', 'decoder': 'dpt'},
            'multiples of 14 for vit_small_patch14_dinov2 .*, got 192x320',
        ),
        (
            {'decoder': 'monodepth2', 'input_height': 32},
            '>= 64 for decoder monodepth2, got 32x320',
        ),
        ({'min_depth_m': 90.0}, 'min_depth_m < max_depth_m, got 90.0 and 80.0'),
        ({'canonical_focal_px': 0.0}, 'canonical_focal_px must be > 0'),
        ({'fine_channels': 0}, 'fine_channels must be >= 1'),
    ],
)
def test_config_rejects(values, message):
    with pytest.raises(ValueError, match=message):
        DepthNetConfig(**values)
