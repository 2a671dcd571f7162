import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from ssd_depth_core.models.logits_conv import LogitsConv2d  # noqa: E402


def test_autocast_does_not_round_the_logits():
    conv = LogitsConv2d(4, 1, 1)
    features = torch.rand(1, 4, 8, 8).bfloat16()
    with torch.autocast('cpu', torch.bfloat16):
        logits = conv(features)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, conv(features.float()))
    assert not torch.equal(logits, logits.bfloat16().float())  # it has more than bf16 holds


@pytest.mark.parametrize('decoder', ['pyramid', 'monodepth2', 'dpt'])
def test_every_decoder_ends_in_one(decoder):
    config = DepthNetConfig(
        encoder='vit_small_patch14_dinov2' if decoder == 'dpt' else 'resnet18',
        encoder_options={'depth': 4, 'embed_dim': 48, 'num_heads': 3} if decoder == 'dpt' else {},
        decoder=decoder,
        input_height=84 if decoder == 'dpt' else 64,
        input_width=84 if decoder == 'dpt' else 64,
    )
    network = build_depth_net(config)
    found = []
    for module in network.modules():
        if isinstance(module, LogitsConv2d):
            module.register_forward_hook(lambda _module, _input, output: found.append(output))
    with torch.autocast('cpu', torch.bfloat16):
        network(torch.zeros(1, 3, config.input_height, config.input_width))
    assert len(found) == (4 if decoder == 'monodepth2' else 1)
    assert {logits.dtype for logits in found} == {torch.float32}
