import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.models.encoders import TimmEncoder  # noqa: E402


@pytest.mark.parametrize(
    ('name', 'strides'),
    [('mobilenetv4_conv_small', [2, 4, 8, 16, 32]), ('efficientvit_b0', [4, 8, 16, 32])],
)
def test_features_are_a_pyramid_finest_first(name, strides):
    encoder = TimmEncoder(name)
    features = encoder(torch.randn(1, 3, 64, 96))
    assert [tuple(x.shape[2:]) for x in features] == [(64 // s, 96 // s) for s in strides]
    assert encoder.channels == tuple(x.shape[1] for x in features)


def test_options_reach_timm():
    with pytest.raises(ValueError, match=r'got \(2, 4, 8, 16, 16\)'):
        TimmEncoder('mobilenetv4_conv_small', options={'output_stride': 16})
    with pytest.raises(TypeError, match='no_such_option'):
        TimmEncoder('resnet18', options={'no_such_option': 1})


def test_encoders_without_a_pyramid_or_name_are_rejected():
    with pytest.raises(ValueError, match="encoder must be a timm architecture, got 'resnet17'"):
        TimmEncoder('resnet17')
    with pytest.raises(ValueError, match='encoder vit_tiny_patch16_224 must have features at'):
        TimmEncoder('vit_tiny_patch16_224')
