from dataclasses import replace
import json
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')
pytest.importorskip('diffusers')

from accelerate.state import AcceleratorState  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe  # noqa: E402
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth  # noqa: E402
from ssd_depth_core.gdt.diffusion import DiffusionConfig, DiffusionTranslator  # noqa: E402
from ssd_depth_core.gdt.small_pipeline import SmallPipelineConfig  # noqa: E402
from ssd_depth_core.gdt.translator import Request  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.translation import (  # noqa: E402
    AutoencoderConfig,
    AutoencoderTask,
    DiffusionTask,
    DiffusionTrainingConfig,
    train_translator,
    TranslatorConfig,
)

LOOP = LoopConfig(max_steps=2, batch_size=2, num_workers=0)
CONFIG = TranslatorConfig(
    phrases={'night': ('At night', 'in the dark')},
    pipeline=SmallPipelineConfig(
        height=64,
        width=64,
        autoencoder_width=12,
        latent_channels=4,
        decoder_blocks=(1, 0, 0),
        unet_channels=(8, 16),
        control_channels=(4, 4, 8),
        num_attention_heads=2,
        text_width=8,
        text_layers=1,
        num_tokens=6,
    ),
    autoencoder=AutoencoderConfig(crop=(16, 32), loop=LOOP),
    diffusion=DiffusionTrainingConfig(loop=LOOP),
)


@pytest.fixture(autouse=True)
def _precision_of_its_own():
    """Accelerate keeps the precision of a process's first Accelerator, and refuses another."""
    yield
    AcceleratorState._reset_state(True)


def train(rendered_set, out, config=CONFIG, resume=False):
    return train_translator(
        config, [rendered_set], out, command='train it', resume=resume, cpu=True
    )


class Painter(torch.nn.Module):
    """Encodes everything as 3 and decodes it as a given picture."""

    def __init__(self, decoded):
        super().__init__()
        self.decoded = decoded

    def encode(self, image):
        return SimpleNamespace(latents=torch.full((1, 4, 2, 2), 3.0))

    def decode(self, latents):
        return SimpleNamespace(sample=self.decoded)


def test_autoencoder_loss_by_hand():
    image = torch.zeros(1, 3, 2, 4)
    decoded = torch.zeros(1, 3, 2, 4)
    decoded[..., 2:] = 0.6  # one of three steps between columns, none between rows
    config = replace(CONFIG.autoencoder, gradient_weight=2.0)
    parts = AutoencoderTask(Painter(decoded), config)({'image': image})
    assert parts['error'].item() == pytest.approx(0.3)
    assert parts['gradient'].item() == pytest.approx(0.2)
    assert parts['loss'].item() == pytest.approx(0.3 + 2 * 0.2)


class Says(torch.nn.Module):
    def __init__(self, v):
        super().__init__()
        self.v = v

    def forward(self, noisy, timesteps, tokens, control):
        self.noisy = noisy
        return self.v


def test_v_is_noise_where_there_is_little_and_minus_the_picture_where_there_is_nothing_else():
    latents = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    batch = {'latents': latents, 'control': torch.zeros(2, 3, 8, 8), 'tokens': torch.zeros(2, 6)}
    network = Says(torch.stack((noise[0], 0.5 - latents[1])))
    task = DiffusionTask(network)
    errors = task.error(network, batch, noise, torch.tensor([0, 999]))
    # The first timestep has 0.00085 of noise's variance already: v is not quite the noise.
    assert errors[0].item() < 0.003
    assert errors[1].item() == pytest.approx(0.25, rel=1e-5)
    assert torch.allclose(network.noisy[0], latents[0], atol=0.12)
    assert torch.equal(network.noisy[1], noise[1])
    assert torch.isfinite(task(batch)['loss'])


def test_training_leaves_a_pipeline_that_translates(rendered_set, tmp_path):
    folder = train(rendered_set, tmp_path / 'run')
    info = json.loads((folder / 'training.json').read_text())
    assert info['step'] == 2
    assert info['training_command'] == 'train it'
    assert info['metrics']['night']['v_error'] > 0
    assert info['training_data'].startswith('synthetic: 6 rendered street pictures in night')
    metrics = (tmp_path / 'run' / 'autoencoder' / 'metrics.jsonl').read_text().splitlines()
    assert json.loads(metrics[-1])['validation']['night']['psnr_db'] > 0

    recipe = ConditionRecipe(phrases=('At night',), negative_prompt='')
    translator = DiffusionTranslator(
        DiffusionConfig(
            model=str(folder),
            controlnet=None,
            ip_adapter=None,
            num_inference_steps=2,
            guidance_scale=2.0,
            size=(64, 64),
            safety_checker=False,
        ),
        {'night': recipe},
        'cpu',
    )
    depth = np.linspace(0, 1, 48 * 96, dtype=np.float32).reshape(48, 96)
    request = Request(
        picture=np.zeros((48, 96, 3), np.uint8),
        depth=EstimatedDepth(depth, metric=True),
        K=np.eye(3),
        condition='night',
        caption=None,
        seed=3,
    )
    (made,) = translator.translate([request])
    assert made.picture.shape == (48, 96, 3)
    assert made.picture.std() > 0
    assert made.prompt == 'At night'
    (turned,) = translator.translate(
        [replace(request, depth=EstimatedDepth(depth[::-1].copy(), metric=True))]
    )
    assert not np.array_equal(turned.picture, made.picture)


def test_latents_have_unit_variance(rendered_set, tmp_path):
    from diffusers import AutoencoderTiny
    from ssd_depth_core.data.rendered import read_frames
    from ssd_depth_core.learning.translation_data import examples_of, WholePictures

    folder = train(rendered_set, tmp_path / 'run')
    autoencoder = AutoencoderTiny.from_pretrained(folder / 'vae')
    examples = examples_of(read_frames([rendered_set], 'train'), ['night'])
    pictures = torch.stack(list(WholePictures(examples, (64, 64))))
    with torch.no_grad():
        latents = autoencoder.encode(pictures).latents
    assert (autoencoder.config.scaling_factor * latents).std().item() == pytest.approx(1, rel=1e-3)


def weights(folder):
    return {
        f'{path.parent.name}/{name}': tensor
        for path in sorted(folder.rglob('*.safetensors'))
        for name, tensor in load_file(path).items()
    }


def test_a_run_is_resumed_only_when_asked_and_in_the_training_that_was_reached(
    rendered_set, tmp_path
):
    out = tmp_path / 'run'
    whole = weights(train(rendered_set, out))
    with pytest.raises(FileExistsError, match='--resume'):
        train(rendered_set, out)

    # As a kill between the two trainings leaves it.
    for path in sorted((out / 'diffusion').rglob('*'), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    first = (out / 'autoencoder' / 'checkpoint.safetensors').stat()
    assert all(
        torch.equal(tensor, whole[name])
        for name, tensor in weights(train(rendered_set, out, resume=True)).items()
    )
    assert (out / 'autoencoder' / 'checkpoint.safetensors').stat().st_mtime == first.st_mtime

    longer = replace(CONFIG.diffusion, loop=replace(LOOP, max_steps=3))
    folder = train(rendered_set, out, replace(CONFIG, diffusion=longer), resume=True)
    assert json.loads((folder / 'training.json').read_text())['step'] == 3
    with pytest.raises(ValueError, match='seed'):
        train(rendered_set, out, replace(CONFIG, seed=1), resume=True)


def test_a_condition_that_nothing_shows_leaves_no_run(rendered_set, tmp_path):
    config = replace(CONFIG, phrases={'night': ('At night',), 'fog': ('In fog',)})
    with pytest.raises(ValueError, match='no frame shows fog'):
        train(rendered_set, tmp_path / 'run', config)
    assert not (tmp_path / 'run').exists()


def test_trainings_may_differ_in_precision(rendered_set, tmp_path):
    other = replace(CONFIG.autoencoder, loop=replace(LOOP, precision='bf16'))
    assert train(rendered_set, tmp_path / 'run', replace(CONFIG, autoencoder=other)).exists()


def test_several_processes_are_refused(rendered_set, tmp_path, monkeypatch):
    monkeypatch.setattr(
        'ssd_depth_core.learning.translation.make_accelerator',
        lambda loop, cpu: SimpleNamespace(num_processes=2),
    )
    with pytest.raises(ValueError, match='one process, got 2; launch'):
        train(rendered_set, tmp_path / 'run')


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'phrases': {}}, 'one or more a condition'),
        ({'phrases': {'night': ()}}, 'one or more a condition'),
        ({'autoencoder': replace(CONFIG.autoencoder, crop=(80, 32))}, 'at most 64x64'),
        ({'autoencoder': replace(CONFIG.autoencoder, crop=(18, 32))}, 'multiples of 4'),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


def test_prompts_can_be_dropped_but_not_all():
    with pytest.raises(ValueError, match='prompt_drop must be in'):
        replace(CONFIG.diffusion, prompt_drop=1.0)
