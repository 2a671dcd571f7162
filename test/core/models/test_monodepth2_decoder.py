import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.models.monodepth2_decoder import (  # noqa: E402
    freeze_coarse_heads,
    Monodepth2Decoder,
)

CHANNELS = (64, 64, 128, 256, 512)


def features(channels=CHANNELS, height=64, width=96):
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(2, c, height >> i, width >> i, generator=generator)
        for i, c in enumerate(channels, 1)
    ]


def test_training_gives_four_scales_and_evaluation_the_finest():
    decoder = Monodepth2Decoder(CHANNELS, num_outputs=2)
    maps = decoder(features())
    shapes = [(2, 2, 64, 96), (2, 1, 32, 48), (2, 1, 16, 24), (2, 1, 8, 12)]
    assert [tuple(x.shape) for x in maps] == shapes
    (alone,) = decoder.eval()(features())
    assert torch.equal(alone, maps[0])


def test_coarse_heads_are_frozen_and_nothing_else():
    decoder = Monodepth2Decoder(CHANNELS)
    freeze_coarse_heads(decoder)
    frozen = {name for name, value in decoder.named_parameters() if not value.requires_grad}
    assert frozen == {f'heads.{n}.{part}' for n in (1, 2, 3) for part in ('weight', 'bias')}
    other = torch.nn.Conv2d(1, 1, 1)
    freeze_coarse_heads(other)
    assert other.weight.requires_grad


def test_it_has_the_convolutions_of_the_paper():
    def conv(incoming, outgoing):
        return 9 * incoming * outgoing + outgoing

    # The decoder of the paper on ResNet-18: stages with skips from the encoder, and four outputs.
    stages = conv(512, 256) + conv(256 + 256, 256)
    stages += conv(256, 128) + conv(128 + 128, 128)
    stages += conv(128, 64) + conv(64 + 64, 64)
    stages += conv(64, 32) + conv(32 + 64, 32)
    stages += conv(32, 16) + conv(16, 16)
    outputs = conv(16, 1) + conv(32, 1) + conv(64, 1) + conv(128, 1)
    assert stages + outputs == 3_152_724
    decoder = Monodepth2Decoder(CHANNELS)
    assert sum(p.numel() for p in decoder.parameters()) == 3_152_724


def test_a_flat_scene_stays_flat_up_to_the_border():
    # Zero padding would darken the edge of every map.
    torch.manual_seed(0)
    decoder = Monodepth2Decoder((4, 4, 4, 4, 4))
    flat = [torch.ones(1, 4, 64 >> i, 96 >> i) for i in range(1, 6)]
    for x in decoder(flat):
        torch.testing.assert_close(x, x[:, :, :1, :1].expand_as(x))


def test_every_skip_reaches_the_finest_map():
    torch.manual_seed(0)
    decoder = Monodepth2Decoder((4, 4, 4, 4, 4)).eval()
    before = decoder(features((4,) * 5))[0]
    for level in range(5):
        changed = features((4,) * 5)
        changed[level] += 1.0
        assert not torch.equal(decoder(changed)[0], before)


def test_four_features_are_too_few():
    with pytest.raises(ValueError, match='needs features at strides 2, 4, 8, 16, 32, got 4'):
        Monodepth2Decoder(CHANNELS[1:])
