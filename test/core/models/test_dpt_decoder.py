import pytest
from ssd_depth_core.models.dpt_decoder import DptConfig, DptDecoder
import torch

TINY = DptConfig(channels=(4, 6, 8, 10), features=8)


@pytest.mark.parametrize('patch', [14, 16])
@pytest.mark.parametrize('grid', [(3, 5), (18, 32), (1, 1)])
def test_logits_cover_the_grid_of_patches(patch, grid):
    decoder = DptDecoder((12,) * 4, TINY, patch, out_channels=2).eval()

    logits = decoder([torch.randn(2, 12, *grid) for _ in range(4)])

    assert tuple(logits.shape) == (2, 2, patch * grid[0], patch * grid[1])


def test_default_head_is_that_of_ssd():
    decoder = DptDecoder((768,) * 4, DptConfig(), 14)

    assert [tuple(p.weight.shape[:2]) for p in decoder.projections] == [
        (256, 768),
        (512, 768),
        (1024, 768),
        (1024, 768),
    ]
    assert [(r.kernel_size, r.stride) for i, r in enumerate(decoder.resizes) if i != 2] == [
        ((4, 4), (4, 4)),
        ((2, 2), (2, 2)),
        ((3, 3), (2, 2)),
    ]
    assert [tuple(c.weight.shape) for c in decoder.laterals] == [
        (256, c, 3, 3) for c in (256, 512, 1024, 1024)
    ]
    assert all(c.bias is None for c in decoder.laterals)
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in decoder.modules()) == 14
    assert tuple(decoder.narrow.weight.shape) == (128, 256, 3, 3)
    assert [tuple(p.shape) for p in decoder.head.parameters()] == [
        (32, 128, 3, 3),
        (32,),
        (1, 32, 1, 1),
        (1,),
    ]


def test_every_parameter_is_trained_and_every_map_is_read():
    torch.manual_seed(0)
    decoder = DptDecoder((12,) * 4, TINY, 14)
    maps = [torch.randn(2, 12, 3, 5, requires_grad=True) for _ in range(4)]

    decoder(maps).square().sum().backward()

    assert [n for n, p in decoder.named_parameters() if p.grad is None] == []
    assert all(x.grad.abs().max() > 0 for x in maps)


def test_upsampling_aligns_corners():
    torch.manual_seed(0)
    decoder = DptDecoder((12,) * 4, DptConfig(channels=(4, 6, 8, 10), features=2), 14).eval()
    fused = torch.tensor([[0.0, 4.0]]).expand(1, 1, 1, 2)
    seen = []
    decoder.narrow.register_forward_hook(lambda *_: fused)
    decoder.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    decoder([torch.randn(1, 12, 1, 1)] * 4)

    torch.testing.assert_close(seen[0][0, 0, 0], torch.linspace(0, 4, 14))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'channels': (4, 6, 8)}, 'channels must be four widths >= 1, got \\(4, 6, 8\\)'),
        ({'channels': (4, 6, 8, 0)}, 'four widths >= 1'),
        ({'features': 7}, 'features must be even and >= 2, got 7'),
    ],
)
def test_wrong_widths_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        DptConfig(**fields)
