import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.models.pyramid_decoder import GlobalContext, PyramidDecoder  # noqa: E402


def pyramid(num_levels, size=64):
    generator = torch.Generator().manual_seed(0)
    levels = range(6 - num_levels, 6)
    return [torch.randn(2, 4, size >> i, size >> i, generator=generator) for i in levels]


@pytest.mark.parametrize('num_levels', [4, 5])
def test_it_ends_at_half_size_with_and_without_a_feature_there(num_levels):
    torch.manual_seed(0)
    decoder = PyramidDecoder((4,) * num_levels, 8, 3).eval()
    before = decoder(pyramid(num_levels))
    assert before.shape == (2, 3, 32, 32)
    for level in range(num_levels):
        changed = pyramid(num_levels)
        changed[level] += 1.0
        assert not torch.equal(decoder(changed), before)


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
