import math

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.models.pyramid_decoder import GlobalContext, PyramidDecoder  # noqa: E402
from ssd_depth_core.models.depth_net import (  # noqa: E402
    DepthNetConfig,
    DepthOutput,
    ExportedDepthNet,
)
from ssd_depth_core.models.encoders import TimmEncoder  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return build_depth_net(DepthNetConfig(input_height=64, input_width=96)).eval()


@torch.inference_mode()
def predict(network, image):
    return network(image)


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


def test_confidence_is_the_share_of_a_laplace_distribution_within_a_factor():
    generator = torch.Generator().manual_seed(0)
    uniform = torch.rand(200_000, generator=generator) - 0.5
    for scale in (0.1, 0.5):
        error = -scale * uniform.sign() * torch.log(1 - 2 * uniform.abs())
        within = (error.abs() < math.log(1.25)).float().mean()
        output = DepthOutput(torch.ones(1), torch.tensor([math.log(scale)]))
        assert output.confidence.item() == pytest.approx(within.item(), abs=4e-3)


def test_the_whole_picture_reaches_every_pixel():
    torch.manual_seed(0)
    decoder = PyramidDecoder((4, 4, 4, 4, 4), 8, 4).eval()
    features = [torch.zeros(1, 4, 320 // 2**i, 320 // 2**i) for i in range(1, 6)]
    before = decoder(features)
    features[4][0, :, -1, -1] = 5.0
    assert (decoder(features)[0, :, 0, 0] != before[0, :, 0, 0]).any()


def test_context_adds_one_vector_to_the_picture():
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, 5)
    added = GlobalContext(4)(x) - x
    torch.testing.assert_close(added, added[:, :, :1, :1].expand_as(added))


def test_exported_network_gives_the_two_tensors(network):
    image = torch.randn(1, 3, 64, 96)
    inverse_depth, confidence = predict(ExportedDepthNet(network), image)
    output = predict(network, image)
    assert torch.equal(inverse_depth, output.inverse_depth)
    assert torch.equal(confidence, output.confidence)


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


def test_encoders_without_a_pyramid_or_name_are_rejected():
    with pytest.raises(ValueError, match="encoder must be a timm architecture, got 'resnet17'"):
        TimmEncoder('resnet17')
    with pytest.raises(ValueError, match='encoder vit_tiny_patch16_224 must have features at'):
        TimmEncoder('vit_tiny_patch16_224')
    with pytest.raises(ValueError, match="encoder_weights must be timm or none, got 'imagenet'"):
        TimmEncoder('resnet18', 'imagenet')


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'input_height': 180}, 'multiples of 32 .*, got 180x320'),
        ({'input_width': 0}, 'multiples of 32 .*, got 192x0'),
        ({'min_depth_m': 90.0}, 'min_depth_m < max_depth_m, got 90.0 and 80.0'),
        ({'canonical_focal_px': 0.0}, 'canonical_focal_px must be > 0'),
        ({'fine_channels': 0}, 'fine_channels must be >= 1'),
    ],
)
def test_config_rejects(values, message):
    with pytest.raises(ValueError, match=message):
        DepthNetConfig(**values)
