from pathlib import Path

import pytest

constants = pytest.importorskip('huggingface_hub.constants')
pytest.importorskip('cv2')
pytest.importorskip('yaml')

from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.gdt.needed_models import (  # noqa: E402
    missing_models,
    needed_models,
    require_models,
)
from ssd_depth_core.gdt.recipe import TranslateConfig  # noqa: E402

CONFIGS = Path(__file__).parents[3] / 'config' / 'gdt'
PARTS = {
    'nuscenes': ['depth network', 'captioner', 'diffusion model', 'ControlNet', 'IP-Adapter'],
    'few_step': ['depth network', 'captioner', 'diffusion model', 'ControlNet', 'LoRA'],
    'text_only': ['depth network', 'captioner', 'diffusion model', 'ControlNet'],
    'synthdrive_small': ['diffusion model'],
    'procedural': [],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the hub's client that holds nothing yet."""
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'hub'))
    return tmp_path / 'hub'


def fetch(cache, model, *files):
    """Lay files where the hub's client would."""
    folder = cache / f'models--{model.replace("/", "--")}'
    snapshot = folder / 'snapshots' / ('0' * 40)
    for file in files:
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).touch()
    (folder / 'refs').mkdir(exist_ok=True)
    (folder / 'refs' / 'main').write_text('0' * 40)


def recipe(name, *overrides):
    return load_yaml(TranslateConfig, CONFIGS / f'{name}.yaml', overrides)


@pytest.mark.parametrize('name', PARTS)
def test_every_network_of_a_recipe_is_needed(name):
    assert [needed.part for needed in needed_models(recipe(name))] == PARTS[name]


def test_clip_is_needed_where_the_gate_asks_it():
    asked = ('gate.condition_check=clip', 'gate.clip_model=openai/clip')
    [clip] = needed_models(recipe('procedural', *asked))
    assert (clip.part, clip.model) == ('CLIP', 'openai/clip')


def test_all_that_are_missing_are_named_at_once_with_their_commands():
    config = recipe('nuscenes')
    with pytest.raises(FileNotFoundError) as raised:
        require_models(config)
    head, *lines = str(raised.value).splitlines()
    assert head == 'models: 5 missing'
    for needed, line in zip(needed_models(config), lines, strict=True):
        assert line.startswith(f'{needed.part} {needed.model} is not on this machine. ')
        assert f'Fetch it with `hf download {needed.model} --include' in line
    assert "--include 'models/*.safetensors'" in lines[-1]


def test_what_was_fetched_is_not_missing_and_what_was_fetched_in_part_is(cache):
    config = recipe('few_step')
    whole = ('config.json', 'model.safetensors')
    fetch(cache, config.depth.model, *whole)
    fetch(cache, config.captioner.model, 'config.json', 'model-00001-of-00002.safetensors')
    fetch(cache, config.diffusion.controlnet, 'config.json', 'diffusion_pytorch_model.bin')
    fetch(cache, config.diffusion.lora, 'pytorch_lora_weights.safetensors')
    parts = [f'{part}/x.safetensors' for part in ('text_encoder', 'vae')]
    fetch(cache, config.diffusion.model, 'model_index.json', *parts)
    diffusion, controlnet = missing_models(config)
    assert 'lacks unet/*.safetensors on this machine. Fetch it with' in diffusion
    assert 'lacks *.safetensors on this machine. Fetch it with' in controlnet
    fetch(cache, config.diffusion.model, 'unet/x.safetensors')
    fetch(cache, config.diffusion.controlnet, 'x.safetensors')
    require_models(config)


def test_folders_and_files_are_looked_for_too(tmp_path):
    folder = tmp_path / 'pipeline'
    config = recipe('synthdrive_small', f'diffusion.model={folder}')
    assert missing_models(config) == [
        f'diffusion model {folder} is not on this machine. Name a whole folder, as '
        'save_pretrained writes it'
    ]
    for part in ('text_encoder', 'unet', 'vae'):
        (folder / part).mkdir(parents=True)
        (folder / part / 'model.safetensors').touch()
    (folder / 'model_index.json').touch()
    [line] = missing_models(config)
    assert 'lacks controlnet/*.safetensors on this machine' in line
    (folder / 'controlnet').mkdir()
    (folder / 'controlnet' / 'model.safetensors').touch()
    assert missing_models(config) == []


def test_an_exported_network_is_exported_and_not_fetched(tmp_path):
    path = tmp_path / 'student.onnx'
    config = recipe('procedural', f'depth.model={path}')
    [line] = missing_models(config)
    assert line == (
        f'depth network {path} is not on this machine. Export one with `python -m training.export`'
    )
    path.touch()
    assert missing_models(config) == []
