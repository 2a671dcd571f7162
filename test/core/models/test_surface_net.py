import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.models.surface_net import build_surface_net  # noqa: E402

TINY = {'depth': 4, 'embed_dim': 24, 'num_heads': 2}


@pytest.mark.parametrize(
    ('name', 'options', 'size', 'grid'),
    [
        ('mobilenetv4_conv_small', {}, 140, 35),  # stride 4
        ('vit_small_patch14_dinov2', TINY, 70, 15),  # 5 patches of 3 cells
        ('vit_small_patch16_224', TINY, 64, 16),  # 4 patches of 4 cells
    ],
)
def test_logits_lie_about_four_pixels_apart(name, options, size, grid):
    network = build_surface_net(name, options, size, 5)
    assert network(torch.randn(2, 3, size, size)).shape == (2, 5, grid, grid)


@pytest.mark.parametrize(
    ('name', 'options'), [('mobilenetv4_conv_small', {}), ('vit_small_patch14_dinov2', TINY)]
)
def test_most_is_learnt_in_the_encoder_and_all_of_it(name, options):
    network = build_surface_net(name, options, 56, 5)
    network(torch.randn(2, 3, 56, 56)).square().sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    counts = [
        sum(w.numel() for w in part.parameters()) for part in (network.encoder, network.head)
    ]
    assert counts[1] < 0.2 * counts[0]


def test_a_tokens_logits_are_of_its_own_patch():
    network = build_surface_net('vit_small_patch14_dinov2', TINY, 28, 2)
    tokens = [torch.zeros(1, 24, 2, 2) for _ in range(4)]
    tokens[3][:, :, 0, 1] = 1.0  # upper right
    network.encoder.forward = lambda image: tokens
    logits = network(torch.zeros(1, 3, 28, 28))
    without = torch.nn.functional.pixel_shuffle(
        sum(layer.bias for layer in network.head)[None, :, None, None].expand(1, -1, 2, 2), 3
    )
    changed = (logits - without).abs().sum(1)[0] > 1e-6  # (6, 6)
    assert changed[:3, 3:].all()
    assert changed.sum() == 9


def test_what_cannot_be_an_encoder_is_named():
    with pytest.raises(ValueError, match="must be a timm architecture, got 'resnet17'"):
        build_surface_net('resnet17', {}, 64, 2)
    with pytest.raises(ValueError, match='multiples of the 14 px patch'):
        build_surface_net('vit_small_patch14_dinov2', TINY, 64, 2)
