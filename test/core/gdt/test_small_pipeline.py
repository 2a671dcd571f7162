from dataclasses import replace
import json

import pytest
from ssd_depth_core.gdt.small_pipeline import (
    build_autoencoder,
    build_denoiser,
    build_tokenizer,
    join_pipeline,
    save_pipeline,
    SmallPipelineConfig,
    tokens_of,
)
import torch

TINY = SmallPipelineConfig(
    height=16,
    width=32,
    autoencoder_width=12,
    latent_channels=4,
    decoder_blocks=(1, 0),
    unet_channels=(8, 16),
    control_channels=(4, 8),
    num_attention_heads=2,
    text_width=8,
    text_layers=1,
    num_tokens=6,
)


@pytest.fixture
def pipeline():
    torch.manual_seed(0)
    tokenizer = build_tokenizer(['At night'], TINY.num_tokens)
    return join_pipeline(build_autoencoder(TINY), build_denoiser(TINY, tokenizer), tokenizer)


def draw(pipeline, prompt, near):
    control = torch.zeros(1, 3, 16, 32)
    control[..., :16] = near
    pictures = pipeline(
        [prompt],
        image=control,
        num_inference_steps=2,
        guidance_scale=2.0,
        generator=[torch.Generator().manual_seed(0)],
        output_type='np',
    ).images
    return torch.from_numpy(pictures)


def test_tokenizer_numbers_words_and_knows_no_others():
    tokenizer = build_tokenizer(['At night', 'In a rainy day, wet'], 8)
    tokens = tokens_of(tokenizer, ['at NIGHT!', 'In a rainy day, wet', 'purple night', ''])
    assert tokens.shape == (4, 8)
    assert len(tokenizer) == 4 + 7  # no comma
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    pad, unknown = tokenizer.pad_token_id, tokenizer.unk_token_id
    night = tokens[0, 2]
    assert tokens[0].tolist() == [start, tokens[0, 1], night, end, pad, pad, pad, pad]
    assert tokens[2].tolist() == [start, unknown, night, end, pad, pad, pad, pad]
    assert tokens[3].tolist() == [start, end, *[pad] * 6]
    assert len({*tokens[1, 1:6].tolist()}) == 5


def test_long_prompts_keep_their_beginning():
    tokenizer = build_tokenizer(['a b c d e f'], 4)
    tokens = tokens_of(tokenizer, ['a b c d e f', 'a b'])
    assert torch.equal(tokens[0], tokens[1])


def test_saved_folder_draws_the_same_picture(pipeline, tmp_path):
    from diffusers import StableDiffusionControlNetPipeline

    picture = draw(pipeline, 'at night', near=1.0)
    assert picture.shape == (1, 16, 32, 3)
    for _ in range(2):  # the second replaces the first
        save_pipeline(pipeline, tmp_path / 'pipeline', {'step': 3})
    loaded = StableDiffusionControlNetPipeline.from_pretrained(tmp_path / 'pipeline')
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(draw(loaded, 'at night', near=1.0), picture)
    assert [path.name for path in tmp_path.iterdir()] == ['pipeline']
    assert json.loads((tmp_path / 'pipeline' / 'training.json').read_text()) == {'step': 3}


def test_depth_and_prompt_steer_from_the_first_step(pipeline):
    picture = draw(pipeline, 'at night', near=1.0)
    assert not torch.equal(draw(pipeline, 'at night', near=0.0), picture)
    assert not torch.equal(draw(pipeline, 'at', near=1.0), picture)


def test_pure_noise_holds_no_trace_of_the_picture(pipeline):
    assert pipeline.scheduler.config.prediction_type == 'v_prediction'
    assert pipeline.scheduler.alphas_cumprod[-1] < 1e-6


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'control_channels': (4,)}, 'one entry a stage'),
        ({'autoencoder_width': 3}, 'autoencoder_width must be >= 4'),
        ({'unet_channels': (8,)}, '>= 2 levels'),
        ({'unet_channels': (8, 12)}, 'multiples of 8'),
        ({'text_width': 9}, 'text_width must be a multiple'),
        ({'height': 18}, 'multiples of 4, got 18x32'),
    ],
)
def test_parts_that_do_not_fit_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)


def test_depth_reaches_the_control_net_about_as_strong_as_the_latents():
    torch.manual_seed(0)
    config = SmallPipelineConfig()
    controlnet = build_denoiser(config, build_tokenizer(['At night'], 12)).controlnet
    noise = torch.randn(1, config.latent_channels, 24, 40)
    depth = torch.linspace(0, 1, 96)[:, None].expand(1, 3, 96, 160)
    with torch.no_grad():
        latents, control = controlnet.conv_in(noise), controlnet.controlnet_cond_embedding(depth)
    assert 0.1 < control.std() / latents.std() < 3
