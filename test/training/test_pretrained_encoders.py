import pytest

pytest.importorskip('torch')

from training._pretrained_encoders import Encoder, pretrained_encoders

ASKED = {'encoder_weights': 'pretrained'}


def test_networks_that_ask_for_it_are_found():
    training = {
        'model': {'encoder': 'vit_tiny_patch16_224', 'encoder_options': {'depth': 2}, **ASKED},
        'pose': ASKED,
        'loop': {'max_steps': 2},
    }
    vit = Encoder(encoder='vit_tiny_patch16_224', encoder_options={'depth': 2})
    # What a config leaves out is what the network's own says.
    resnet = Encoder(encoder='resnet18', encoder_options={})
    assert pretrained_encoders(training, 'a') == {'model': vit, 'pose': resnet}


@pytest.mark.parametrize('weights', [None, 'timm', 'weights/pretrained'])
def test_other_weights_are_left_alone(weights):
    assert pretrained_encoders({'model': {'encoder_weights': weights}}, 'a') == {}


def test_encoders_of_other_options_have_other_names():
    options = ({}, {'depth': 4}, {'depth': 6}, {'depth': 4, 'embed_dim': 48})
    names = [Encoder(encoder='vit', encoder_options=option).name for option in options]
    assert names == ['vit', 'vit-depth4', 'vit-depth6', 'vit-depth4-embed_dim48']
    turned = Encoder(encoder='vit', encoder_options={'embed_dim': 48, 'depth': 4})
    assert turned.name == names[-1]


def test_a_network_that_cannot_be_is_named():
    with pytest.raises(ValueError, match=r'small\.tiny: pose: unknown field\(s\) depth'):
        pretrained_encoders({'pose': {**ASKED, 'depth': 6}}, 'small.tiny')
