import pytest
from ssd_depth_core.models.vit_encoder import VitEncoder
import torch

TINY = {'depth': 5, 'embed_dim': 24, 'num_heads': 2}


def tiny(name: str = 'vit_small_patch14_dinov2', **kwargs) -> VitEncoder:
    torch.manual_seed(0)
    return VitEncoder(name, **{'image_size': (28, 56), 'options': TINY, **kwargs}).eval()


@pytest.mark.parametrize(
    ('name', 'patch'),
    [
        ('vit_small_patch14_dinov2', 14),
        ('vit_small_patch14_reg4_dinov2', 14),
        ('vit_tiny_patch16_224', 16),
    ],
)
def test_tokens_are_four_maps_on_the_grid_of_patches(name, patch):
    encoder = tiny(name, image_size=(2 * patch, 4 * patch))

    maps = encoder(torch.randn(3, 3, 2 * patch, 4 * patch))

    assert [tuple(x.shape) for x in maps] == [(3, 24, 2, 4)] * 4
    assert (encoder.patch_size, encoder.channels) == (patch, (24,) * 4)


def test_tokens_are_those_of_the_tapped_blocks_normalised_and_without_class_token():
    encoder = tiny(taps=(1, 2, 4, 5))
    image = torch.randn(1, 3, 28, 56)

    vit = encoder.backbone
    tokens = vit.pos_embed[:, 1:] + vit.patch_embed(image)
    tokens = torch.cat([vit.cls_token + vit.pos_embed[:, :1], tokens], 1)
    expected = []
    for block in vit.blocks:
        tokens = block(tokens)
        expected.append(vit.norm(tokens)[0, 1:].T.reshape(24, 2, 4))

    for found, tap in zip(encoder(image), (1, 2, 4, 5), strict=True):
        torch.testing.assert_close(found[0], expected[tap - 1])


def test_last_four_blocks_are_tapped_by_default():
    assert tiny().taps == (2, 3, 4, 5)


def test_every_parameter_is_trained():
    encoder = tiny()
    sum(x.square().sum() for x in encoder(torch.randn(1, 3, 28, 56))).backward()

    assert [n for n, p in encoder.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'name': 'vit_of_dreams'}, "must be a timm architecture, got 'vit_of_dreams'"),
        ({'name': 'resnet18'}, 'encoder resnet18 must be a vision transformer'),
        ({'options': {'dept': 5}}, "takes the options .'dept'.*"),
        ({'image_size': (28, 57)}, 'multiples of the 14 px patch .*, got 28x57'),
        ({'taps': (1, 2, 3, 4)}, 'last, which is 5 in .*, got \\(1, 2, 3, 4\\)'),
        ({'taps': (1, 3, 2, 5)}, 'four rising block numbers'),
        ({'taps': (0, 1, 2, 5)}, 'four rising block numbers from 1'),
        ({'taps': (1, 2, 5)}, 'four rising block numbers'),
    ],
)
def test_what_does_not_fit_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tiny(**arguments)
