import json
from pathlib import Path

import pytest

for name in ('torch', 'accelerate', 'diffusers', 'transformers'):
    pytest.importorskip(name)

from accelerate.state import AcceleratorState  # noqa: E402
from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.gdt.recipe import TranslateConfig  # noqa: E402
from ssd_depth_core.learning.translation import TranslatorConfig  # noqa: E402

from training import train_translator  # noqa: E402

CONFIGS = Path(__file__).parents[2] / 'config'
SMALL = CONFIGS / 'train' / 'translator_small.yaml'
TINY = (
    'phrases={night: [At night]}',
    'num_validation_frames=1',
    'pipeline.height=64',
    'pipeline.width=64',
    'pipeline.autoencoder_width=12',
    'pipeline.unet_channels=[8, 16]',
    'pipeline.control_channels=[4, 4, 8]',
    'autoencoder.crop=[16, 32]',
    *(
        f'{part}.loop.{value}'
        for part in ('autoencoder', 'diffusion')
        for value in ('max_minutes=null', 'max_steps=1', 'num_workers=0', 'precision=fp32')
    ),
)


@pytest.fixture(autouse=True)
def _precision_of_its_own():
    """Accelerate keeps the precision of a process's first Accelerator, and refuses another."""
    yield
    AcceleratorState._reset_state(True)


def test_stage_leaves_a_pipeline_and_says_where(rendered_set, tmp_path, capsys):
    words = ['--config', str(SMALL), '--data', str(rendered_set), '--out', str(tmp_path / 'run')]
    words += [word for item in TINY for word in ('--set', item)]
    assert train_translator.main([*words, '--device', 'cpu', '--seed', '4']) == 0
    folder = tmp_path / 'run' / 'pipeline'
    assert capsys.readouterr().out.endswith(f'pipeline: {folder}\n')
    info = json.loads((folder / 'training.json').read_text())
    assert info['training_config']['seed'] == 4
    assert info['training_command'].startswith('python -m training.train_translator --config ')


def test_shipped_configs_fit_each_other():
    recipe = load_yaml(TranslateConfig, CONFIGS / 'gdt' / 'synthdrive_small.yaml')
    for name in ('translator_small', 'translator_gpu'):
        config = load_yaml(TranslatorConfig, CONFIGS / 'train' / f'{name}.yaml')
        for condition, made in recipe.conditions.items():
            assert set(made.phrases) <= set(config.phrases[condition])
    small = load_yaml(TranslatorConfig, SMALL).pipeline
    assert recipe.diffusion.size == (small.height, small.width)
