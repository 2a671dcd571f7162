import copy
import sys

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')
pytest.importorskip('peft')

from ssd_depth_core.models.adapters import (  # noqa: E402
    AdapterConfig,
    add_adapters,
    without_adapters,
)
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.dpt_decoder import DptConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

TINY = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_options={'depth': 4, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(channels=(4, 6, 8, 10), features=8),
    input_height=28,
    input_width=56,
)
IMAGE = torch.linspace(-1, 1, 3 * 28 * 56).view(1, 3, 28, 56)


def network(config=TINY):
    torch.manual_seed(0)
    made = build_depth_net(config).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith('.gamma'):
                parameter.fill_(1.0)  # DINOv2's blocks begin as next to nothing
    return made


def adapted(**changes):
    """A network whose adapters have learnt something."""
    network_ = network()
    add_adapters(network_, AdapterConfig(**changes))
    with torch.no_grad():
        for name, parameter in network_.named_parameters():
            if 'lora_B' in name:
                parameter.normal_(std=0.5)
    return network_


def said(network_):
    with torch.no_grad():
        return network_(IMAGE).inverse_depth


def trained(network_):
    return {name for name, parameter in network_.named_parameters() if parameter.requires_grad}


def test_at_first_a_network_says_what_it_said():
    before = network()
    after = copy.deepcopy(before)
    add_adapters(after, AdapterConfig())
    torch.testing.assert_close(said(after), said(before), rtol=0, atol=0)


def test_adapters_alone_are_trained():
    names = trained(adapted(rank=2))
    assert names
    assert all(name.startswith('encoder.') and '.lora_' in name for name in names)
    # A and B of qkv and of the projection, in each of four blocks.
    assert len(names) == 2 * 2 * 4


def test_the_decoder_is_trained_where_that_is_asked_for():
    names = trained(adapted(train_decoder=True))
    plain = {name for name, _ in network().decoder.named_parameters()}
    assert {name.removeprefix('decoder.') for name in names if '.lora_' not in name} == plain


def test_the_change_is_the_scaled_product():
    network_ = adapted(rank=2, alpha=6, targets=('attn.qkv',))
    layer = network_.encoder.backbone.blocks[1].attn.qkv
    A, B = layer.lora_A['default'].weight, layer.lora_B['default'].weight
    expected = layer.base_layer.weight + 3 * B @ A
    merged = without_adapters(network_).encoder.backbone.blocks[1].attn.qkv
    torch.testing.assert_close(merged.weight, expected)


def test_the_merged_network_is_a_plain_one_that_says_the_same():
    network_ = adapted()
    kept = copy.deepcopy(network_.state_dict())
    merged, plain = without_adapters(network_), network()
    assert (said(merged) - said(plain)).abs().max() > 1e-3  # what was learnt counts
    torch.testing.assert_close(said(merged), said(network_), rtol=1e-4, atol=1e-6)
    plain.load_state_dict(merged.state_dict(), strict=True)
    torch.testing.assert_close(said(plain), said(merged), rtol=0, atol=0)
    # The original goes on training.
    assert all(torch.equal(value, kept[name]) for name, value in network_.state_dict().items())


def test_a_cnn_is_told_what_to_do_instead():
    cnn = network(DepthNetConfig(input_height=64, input_width=64))
    with pytest.raises(ValueError, match='need a vision transformer .*, got mobile.* to null'):
        add_adapters(cnn, AdapterConfig())


def test_a_target_that_is_no_layer_is_refused():
    with pytest.raises(ValueError, match='targets must be ends of layer names of .*, got attn.q$'):
        add_adapters(network(), AdapterConfig(targets=('attn.proj', 'attn.q')))


def test_without_peft_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'peft', None)
    with pytest.raises(ValueError, match='need peft, .*: pip install peft; or set adapters to nu'):
        add_adapters(network(), AdapterConfig())


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'rank': 0}, 'rank must be > 0, got 0'),
        ({'alpha': -1}, 'alpha must be > 0, got -1'),
        ({'targets': ()}, 'targets must name one layer or more, got none'),
    ],
)
def test_a_config_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        AdapterConfig(**fields)
