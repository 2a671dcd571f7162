import pytest
from safetensors.torch import save_file
from ssd_depth_core.models.pretrained import load_encoder_weights, resample_position
from ssd_depth_core.models.vit_encoder import VitEncoder
import timm
import torch

TINY = {'depth': 4, 'embed_dim': 24, 'num_heads': 2}
DINO = 'vit_small_patch14_dinov2'
REGISTERS = 'vit_small_patch14_reg4_dinov2'


def noisy(state: dict[str, torch.Tensor], amount: float = 0.1) -> dict[str, torch.Tensor]:
    """Give every tensor values of its own: fresh norms, biases and scales are all alike."""
    generator = torch.Generator().manual_seed(1)
    return {
        key: value + amount * torch.rand(value.shape, generator=generator)
        if value.is_floating_point()
        else value
        for key, value in state.items()
    }


def vit(name: str = DINO, size: int = 42, **options) -> timm.models.VisionTransformer:
    return timm.create_model(name, img_size=size, **{**TINY, **options}).eval()


def official_form(model: timm.models.VisionTransformer) -> dict[str, torch.Tensor]:
    """Turn a timm model's weights into the file that DINOv2's authors would have published."""
    state = noisy(model.state_dict())
    state['mask_token'] = torch.zeros(1, 24)
    if 'reg_token' in state:
        state['register_tokens'] = state.pop('reg_token')
        state['pos_embed'] = torch.cat([torch.zeros(1, 1, 24), state['pos_embed']], 1)
    return state


def transformers_model(with_registers: bool):
    transformers = pytest.importorskip('transformers')
    kinds = ('Dinov2WithRegisters' if with_registers else 'Dinov2',) * 2
    config, model = (
        getattr(transformers, kind + suffix)
        for kind, suffix in zip(kinds, ('Config', 'Model'), strict=True)
    )
    made = model(
        config(
            hidden_size=24,
            num_hidden_layers=4,
            num_attention_heads=2,
            image_size=70,
            patch_size=14,
            **({'num_register_tokens': 4} if with_registers else {}),
        )
    )
    made.load_state_dict(noisy(made.state_dict()))
    return made.eval()


@pytest.mark.parametrize('size', [(70, 70), (28, 56), (84, 70)])
@pytest.mark.parametrize('name', [DINO, REGISTERS])
def test_tokens_equal_those_of_transformers(name, size, tmp_path):
    reference = transformers_model(with_registers=name == REGISTERS)
    reference.save_pretrained(tmp_path)
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(3))

    encoder = VitEncoder(
        name, str(tmp_path / 'model.safetensors'), image_size=size, options=TINY
    ).eval()

    with torch.no_grad():
        expected = reference(image).last_hidden_state[:, 1 if name == DINO else 5 :]
        found = encoder(image)[-1].flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize('name', [DINO, REGISTERS])
def test_official_file_gives_the_same_network(name, tmp_path):
    source = vit(name)
    state = official_form(source)
    torch.save(state, tmp_path / 'official.pth')
    target = vit(name, num_classes=0)

    load_encoder_weights(target, str(tmp_path / 'official.pth'), name, TINY)

    for key, value in target.state_dict().items():
        names = {'reg_token': 'register_tokens'}
        expected = state[names.get(key, key)]
        if name == REGISTERS and key == 'pos_embed':
            expected = expected[:, 1:]
        torch.testing.assert_close(value, expected)


def test_position_of_the_class_token_joins_it_where_registers_follow(tmp_path):
    state = official_form(vit(REGISTERS))
    state['pos_embed'][:, 0] = 5.0
    torch.save(state, tmp_path / 'official.pth')
    target = vit(REGISTERS)

    load_encoder_weights(target, str(tmp_path / 'official.pth'), REGISTERS, TINY)

    torch.testing.assert_close(target.cls_token.detach(), state['cls_token'] + 5.0)


@pytest.mark.parametrize('features_only', [True, False])
@pytest.mark.parametrize('name', ['resnet18', 'mobilenetv4_conv_small', 'efficientvit_b1'])
def test_imagenet_file_fills_a_pyramid_without_its_classifier(name, features_only, tmp_path):
    source = timm.create_model(name)
    state = noisy(source.state_dict(), 0.001)  # more drives a hundred random layers to infinity
    save_file(state, tmp_path / 'model.safetensors')
    target = timm.create_model(name, features_only=features_only)

    load_encoder_weights(target, str(tmp_path / 'model.safetensors'), name)

    source.load_state_dict(state)
    image = torch.randn(2, 3, 64, 64)
    source.eval()
    target.eval()
    with torch.no_grad():
        if features_only:
            torch.testing.assert_close(target(image)[-1], pyramid_top(source, image))
        else:
            torch.testing.assert_close(target(image), source(image))


def pyramid_top(model: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    return model.forward_intermediates(image, intermediates_only=True)[-1]


def test_imagenet_file_fills_a_vit(tmp_path):
    source = timm.create_model('vit_tiny_patch16_224', img_size=64, **TINY)
    state = noisy(source.state_dict())
    save_file(state, tmp_path / 'model.safetensors')

    encoder = VitEncoder(
        'vit_tiny_patch16_224',
        str(tmp_path / 'model.safetensors'),
        image_size=(64, 64),
        options=TINY,
    )

    assert 'head.weight' in state
    for key, value in encoder.backbone.state_dict().items():
        torch.testing.assert_close(value, state[key])


def test_old_file_without_counts_of_batches_is_taken(tmp_path):
    state = {
        key: value
        for key, value in timm.create_model('efficientvit_b1').state_dict().items()
        if not key.endswith('num_batches_tracked')
    }
    save_file(state, tmp_path / 'old.safetensors')
    target = timm.create_model('efficientvit_b1', features_only=True)

    load_encoder_weights(target, str(tmp_path / 'old.safetensors'), 'efficientvit_b1')

    ours, theirs = 'stem_in_conv.conv.weight', 'stem.in_conv.conv.weight'
    torch.testing.assert_close(target.state_dict()[ours], state[theirs])


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda s: s.pop('blocks.1.norm1.bias'), 'missing: blocks.1.norm1.bias, unexpected: none'),
        (lambda s: s.update(extra=torch.ones(1)), 'missing: none, unexpected: extra$'),
        (lambda s: s.update({'norm.bias': torch.ones(7)}), r'norm.bias is \(7,\), not \(24,\)'),
        (lambda s: s.update(pos_embed=torch.ones(1, 8, 24)), 'square grid, got 7 places'),
    ],
)
def test_what_does_not_fit_is_named(change, message, tmp_path):
    state = noisy(vit().state_dict())
    change(state)
    save_file(state, tmp_path / 'model.safetensors')

    with pytest.raises(ValueError, match=message):
        load_encoder_weights(vit(), str(tmp_path / 'model.safetensors'), DINO, TINY)


@pytest.mark.parametrize(
    ('source', 'target'),
    [
        (lambda: vit(depth=5), lambda: vit()),
        (lambda: vit(depth=4), lambda: vit(depth=5)),
        (lambda: vit(REGISTERS), lambda: vit()),
        (lambda: timm.create_model('resnet18'), lambda: vit()),
    ],
)
def test_another_architecture_is_named(source, target, tmp_path):
    save_file(source().state_dict(), tmp_path / 'model.safetensors')
    target = target()

    with pytest.raises(ValueError, match=f'for encoder {DINO}: another architecture'):
        load_encoder_weights(
            target,
            str(tmp_path / 'model.safetensors'),
            DINO,
            {**TINY, 'depth': len(target.blocks)},
        )


def test_timm_weights_are_looked_for_where_timm_keeps_them(monkeypatch, tmp_path):
    save_file(vit().state_dict(), tmp_path / 'model.safetensors')
    asked = []
    monkeypatch.setattr(
        'ssd_depth_core.models.weight_files.hf_hub_download',
        lambda *arguments: asked.append(arguments) or str(tmp_path / 'model.safetensors'),
    )

    load_encoder_weights(vit(), 'timm', DINO, TINY)

    assert asked == [('timm/vit_small_patch14_dinov2.lvd142m', 'model.safetensors')]


def test_network_without_timm_weights_is_named():
    name = 'vit_base_patch16_xp_224'
    with pytest.raises(ValueError, match=f'timm knows no weights on the hub for {name}'):
        load_encoder_weights(vit(), 'timm', name)


@pytest.mark.parametrize(
    ('columns', 'expected'),
    [
        # Cubic convolution with a = -0.75 at distances 1.75, 1.25, 0.75, 0.25 and back.
        (16, [0] * 5 + (far := [-9 / 256, -27 / 256, 67 / 256, 225 / 256]) + far[::-1] + [0] * 3),
        # At distances 3.5, 1.5, 0.5, 2.5: an anti-aliasing filter would reach all of them.
        (4, [0, -0.09375, 0.59375, 0]),
    ],
)
def test_position_is_resampled_by_cubic_convolution_and_kept_in_front(columns, expected):
    impulse = torch.zeros(8, 8, 1)
    impulse[:, 4] = 1.0
    position = torch.cat([torch.full((1, 1, 1), 9.0), impulse.reshape(1, 64, 1)], 1)

    found = resample_position(position, (8, columns), 1, 'here')

    assert found[0, 0, 0] == 9.0
    rows = found[0, 1:, 0].reshape(8, columns)
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float32).repeat(8, 1))


def test_position_on_its_own_grid_is_untouched():
    position = torch.randn(1, 10, 4)

    assert resample_position(position, (3, 3), 1, 'here') is position
