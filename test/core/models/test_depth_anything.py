from dataclasses import replace
import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from ssd_depth_core.models.depth_anything import (
    load_depth_anything,
    official_head_keys,
    transformers_head_keys,
)
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.dpt_decoder import DptConfig
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.models.pretrained import dinov2_official_keys, dinov2_transformers_keys
import timm
import torch

TINY = DepthNetConfig(
    encoder='vit_small_patch14_dinov2',
    encoder_options={'depth': 5, 'embed_dim': 24, 'num_heads': 2},
    decoder='dpt',
    dpt=DptConfig(taps=(1, 2, 4, 5), channels=(4, 6, 8, 10), features=8, batch_norm=False),
    output='sigmoid_depth',
    confidence=False,
    input_height=28,
    input_width=56,
    min_depth_m=1e-3,
    max_depth_m=80.0,
)
KINDS = {'relative': {'output': 'relu'}, 'metric': {'output': 'sigmoid_depth'}}


def reference(kind: str, out: Path):
    """Save a random Depth Anything of transformers, with positions on a grid of 5 x 5."""
    transformers = pytest.importorskip('transformers')
    backbone = transformers.Dinov2Config(
        hidden_size=24,
        num_hidden_layers=5,
        num_attention_heads=2,
        image_size=70,
        patch_size=14,
        out_indices=[1, 2, 4, 5],
        apply_layernorm=True,
        reshape_hidden_states=False,
    )
    torch.manual_seed(2)
    model = transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=backbone,
            reassemble_hidden_size=24,
            neck_hidden_sizes=[4, 6, 8, 10],
            fusion_hidden_size=8,
            depth_estimation_type=kind,
            max_depth=80 if kind == 'metric' else 1,
        )
    ).eval()
    with torch.no_grad():  # fresh norms, biases and scales are all alike
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        model.head.conv3.bias.fill_(0.5)  # so that relu is not zero everywhere
    model.save_pretrained(out)
    return model


def official_from_transformers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename a file of transformers to the authors' layout, independently of the sources."""
    official = {}
    for key, value in tensors.items():
        if '.attention.attention.' not in key:
            official[_official_name(key)] = value
    for index in range(5):
        for kind in ('weight', 'bias'):
            stem = f'backbone.encoder.layer.{index}.attention.attention'
            official[f'pretrained.blocks.{index}.attn.qkv.{kind}'] = torch.cat(
                [tensors[f'{stem}.{part}.{kind}'] for part in ('query', 'key', 'value')]
            )
    return official


def _official_name(key: str) -> str:
    for index in range(4):
        refine = f'depth_head.scratch.refinenet{4 - index}.'
        key = key.replace(f'neck.fusion_stage.layers.{index}.', refine)
        key = key.replace(f'neck.convs.{index}.', f'depth_head.scratch.layer{index + 1}_rn.')
    for old, new in (
        ('backbone.embeddings.position_embeddings', 'pretrained.pos_embed'),
        ('backbone.embeddings.patch_embeddings.projection', 'pretrained.patch_embed.proj'),
        ('backbone.embeddings.', 'pretrained.'),
        ('backbone.encoder.layer.', 'pretrained.blocks.'),
        ('backbone.layernorm', 'pretrained.norm'),
        ('attention.output.dense', 'attn.proj'),
        ('layer_scale1.lambda1', 'ls1.gamma'),
        ('layer_scale2.lambda1', 'ls2.gamma'),
        ('residual_layer', 'resConfUnit'),
        ('convolution', 'conv'),
        ('head.conv1', 'depth_head.scratch.output_conv1'),
        ('head.conv2', 'depth_head.scratch.output_conv2.0'),
        ('head.conv3', 'depth_head.scratch.output_conv2.2'),
    ):
        key = key.replace(old, new)
    if key.startswith('neck.reassemble_stage.layers.'):
        index, layer, kind = key.split('.')[3:]
        name = {'projection': 'projects', 'resize': 'resize_layers'}[layer]
        return f'depth_head.{name}.{index}.{kind}'
    return key.replace('.projection.', '.out_conv.')


def tiny(**fields) -> DepthNet:
    return build_depth_net(replace(TINY, **fields)).eval()


@pytest.mark.parametrize('layout', ['transformers', 'official'])
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [(70, 70), (28, 56), (84, 42), (98, 98)])
def test_output_equals_that_of_transformers(size, kind, layout, tmp_path):
    model = reference(kind, tmp_path)
    checkpoint = tmp_path / 'model.safetensors'
    if layout == 'official':
        torch.save(official_from_transformers(load_file(checkpoint)), tmp_path / 'official.pth')
        checkpoint = tmp_path / 'official.pth'
    network = tiny(input_height=size[0], input_width=size[1], **KINDS[kind])
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(3))

    load_depth_anything(network, str(checkpoint))

    with torch.no_grad():
        expected = model(image).predicted_depth[:, None]
        found = network(image).inverse_depth
    if kind == 'metric':
        found = 1 / found
    assert expected.std() > 0.01 * expected.abs().max()  # or a constant would pass
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


def test_every_parameter_but_the_last_layer_starts_another_task(tmp_path):
    reference('relative', tmp_path)
    network = tiny(output='sigmoid', confidence=True)
    last = {k: v.clone() for k, v in network.state_dict().items() if 'decoder.head.2' in k}
    whole = tiny(output='relu')
    load_depth_anything(whole, str(tmp_path / 'model.safetensors'))

    load_depth_anything(network, str(tmp_path / 'model.safetensors'), last_layer=False)

    assert len(last) == 2
    for key, value in network.state_dict().items():
        torch.testing.assert_close(value, last.get(key, whole.state_dict()[key]))


def official_small() -> dict[str, tuple[int, ...]]:
    """List what `depth_anything_v2_vits.pth` holds, from the authors' code."""
    shapes: dict[str, tuple[int, ...]] = {
        'pretrained.cls_token': (1, 1, 384),
        'pretrained.pos_embed': (1, 1370, 384),
        'pretrained.mask_token': (1, 384),
        'pretrained.patch_embed.proj.weight': (384, 3, 14, 14),
        'pretrained.patch_embed.proj.bias': (384,),
        'pretrained.norm.weight': (384,),
        'pretrained.norm.bias': (384,),
    }
    for i in range(12):
        shapes |= {
            f'pretrained.blocks.{i}.norm1.weight': (384,),
            f'pretrained.blocks.{i}.norm1.bias': (384,),
            f'pretrained.blocks.{i}.attn.qkv.weight': (1152, 384),
            f'pretrained.blocks.{i}.attn.qkv.bias': (1152,),
            f'pretrained.blocks.{i}.attn.proj.weight': (384, 384),
            f'pretrained.blocks.{i}.attn.proj.bias': (384,),
            f'pretrained.blocks.{i}.ls1.gamma': (384,),
            f'pretrained.blocks.{i}.norm2.weight': (384,),
            f'pretrained.blocks.{i}.norm2.bias': (384,),
            f'pretrained.blocks.{i}.mlp.fc1.weight': (1536, 384),
            f'pretrained.blocks.{i}.mlp.fc1.bias': (1536,),
            f'pretrained.blocks.{i}.mlp.fc2.weight': (384, 1536),
            f'pretrained.blocks.{i}.mlp.fc2.bias': (384,),
            f'pretrained.blocks.{i}.ls2.gamma': (384,),
        }
    for i, width in enumerate((48, 96, 192, 384)):
        shapes[f'depth_head.projects.{i}.weight'] = (width, 384, 1, 1)
        shapes[f'depth_head.projects.{i}.bias'] = (width,)
        shapes[f'depth_head.scratch.layer{i + 1}_rn.weight'] = (64, width, 3, 3)
    shapes |= {
        'depth_head.resize_layers.0.weight': (48, 48, 4, 4),
        'depth_head.resize_layers.0.bias': (48,),
        'depth_head.resize_layers.1.weight': (96, 96, 2, 2),
        'depth_head.resize_layers.1.bias': (96,),
        'depth_head.resize_layers.3.weight': (384, 384, 3, 3),
        'depth_head.resize_layers.3.bias': (384,),
    }
    for i in (1, 2, 3, 4):
        block = f'depth_head.scratch.refinenet{i}'
        shapes |= {
            f'{block}.out_conv.weight': (64, 64, 1, 1),
            f'{block}.out_conv.bias': (64,),
            f'{block}.resConfUnit1.conv1.weight': (64, 64, 3, 3),
            f'{block}.resConfUnit1.conv1.bias': (64,),
            f'{block}.resConfUnit1.conv2.weight': (64, 64, 3, 3),
            f'{block}.resConfUnit1.conv2.bias': (64,),
            f'{block}.resConfUnit2.conv1.weight': (64, 64, 3, 3),
            f'{block}.resConfUnit2.conv1.bias': (64,),
            f'{block}.resConfUnit2.conv2.weight': (64, 64, 3, 3),
            f'{block}.resConfUnit2.conv2.bias': (64,),
        }
    return shapes | {
        'depth_head.scratch.output_conv1.weight': (32, 64, 3, 3),
        'depth_head.scratch.output_conv1.bias': (32,),
        'depth_head.scratch.output_conv2.0.weight': (32, 32, 3, 3),
        'depth_head.scratch.output_conv2.0.bias': (32,),
        'depth_head.scratch.output_conv2.2.weight': (1, 32, 1, 1),
        'depth_head.scratch.output_conv2.2.bias': (1,),
    }


def test_every_key_of_the_authors_small_model_has_one_place_of_its_shape():
    shapes = official_small()
    with torch.device('meta'):
        network = build_depth_net(
            replace(
                TINY,
                encoder_options={},
                dpt=DptConfig(
                    taps=(3, 6, 9, 12), channels=(48, 96, 192, 384), features=64, batch_norm=False
                ),
                input_height=518,
                input_width=518,
            )
        )
    own = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    encoder, encoder_unused = dinov2_official_keys(network.encoder.backbone, 'pretrained.')
    decoder, decoder_unused = official_head_keys()

    places = {f'encoder.backbone.{ours}': names for ours, names in encoder.items()}
    places |= {f'decoder.{ours}': names for ours, names in decoder.items()}

    assert places.keys() == own.keys()
    assert {ours: shapes[name] for ours, (name,) in places.items()} == own
    left = set(shapes) - {name for (name,) in places.values()}
    assert left == encoder_unused | decoder_unused
    assert left == {
        'pretrained.mask_token',
        *(
            f'depth_head.scratch.refinenet4.resConfUnit1.conv{i}.{kind}'
            for i in (1, 2)
            for kind in ('weight', 'bias')
        ),
    }
    assert len({name for (name,) in places.values()}) == len(places)


def test_every_key_of_transformers_has_one_place(tmp_path):
    reference('metric', tmp_path)
    vit = timm.create_model(TINY.encoder, **TINY.encoder_options)
    encoder, encoder_unused = dinov2_transformers_keys(vit, 'backbone.')
    decoder, decoder_unused = transformers_head_keys()

    used = [name for names in (*encoder.values(), *decoder.values()) for name in names]

    assert len(used) == len(set(used))
    saved = set(load_file(tmp_path / 'model.safetensors'))
    assert set(used) | encoder_unused | decoder_unused == saved


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'output': 'relu'}, 'output must be sigmoid_depth, as in the checkpoint, got relu'),
        ({'max_depth_m': 20.0}, 'max_depth_m must be 80, as in the checkpoint, got 20'),
        ({'confidence': True}, 'set confidence: false'),
        (
            {'dpt': replace(TINY.dpt, taps=(1, 2, 3, 5))},
            r'dpt.taps must be \(1, 2, 4, 5\), as in the checkpoint, got \(1, 2, 3, 5\)',
        ),
        ({'dpt': replace(TINY.dpt, batch_norm=True)}, 'set dpt.batch_norm: false'),
        ({'dpt': replace(TINY.dpt, features=16)}, 'wrong shapes: decoder.'),
        (
            {'encoder_options': {'depth': 5, 'embed_dim': 24, 'num_heads': 4}},
            'num_heads must be 2, as in the checkpoint, got 4',
        ),
        (
            {'encoder_options': {'depth': 5, 'embed_dim': 24, 'num_heads': 2, 'qk_norm': 1}},
            'left empty: encoder.backbone.blocks.0.attn.k_norm',
        ),
        (
            {'encoder': 'vit_small_patch14_reg4_dinov2'},
            'missing: backbone.embeddings.register_tokens',
        ),
        (
            {'encoder': 'vit_tiny_patch16_224', 'input_height': 32, 'input_width': 64},
            'without a place: encoder.backbone.blocks.0.ls1.gamma',
        ),
        (
            {
                'encoder': 'resnet18',
                'encoder_options': {},
                'decoder': 'pyramid',
                'input_height': 32,
                'input_width': 64,
            },
            'needs decoder: dpt and a DINOv2 encoder, got pyramid and resnet18',
        ),
    ],
)
def test_another_network_is_named(fields, message, tmp_path):
    reference('metric', tmp_path)

    with pytest.raises(ValueError, match=message):
        load_depth_anything(tiny(**fields), str(tmp_path / 'model.safetensors'))


def test_missing_config_beside_the_file_is_named(tmp_path):
    reference('metric', tmp_path)
    (tmp_path / 'config.json').unlink()

    with pytest.raises(FileNotFoundError, match='config.json'):
        load_depth_anything(tiny(), str(tmp_path / 'model.safetensors'))


def test_config_left_to_its_defaults_is_read_as_transformers_reads_it(tmp_path):
    reference('relative', tmp_path)
    config = json.loads((tmp_path / 'config.json').read_text())
    del config['depth_estimation_type'], config['max_depth']
    (tmp_path / 'config.json').write_text(json.dumps(config))

    load_depth_anything(tiny(output='relu'), str(tmp_path / 'model.safetensors'))
    with pytest.raises(ValueError, match='output must be relu'):
        load_depth_anything(tiny(), str(tmp_path / 'model.safetensors'))


def test_taps_of_the_authors_networks_are_known(tmp_path):
    save_file({'pretrained.cls_token': torch.ones(1)}, tmp_path / 'vits.safetensors')
    options = {'depth': 12, 'embed_dim': 24, 'num_heads': 2}

    with pytest.raises(ValueError, match=r'dpt.taps must be \(3, 6, 9, 12\)'):
        load_depth_anything(
            tiny(encoder_options=options, dpt=replace(TINY.dpt, taps=None)),
            str(tmp_path / 'vits.safetensors'),
        )
