from pathlib import Path

import pytest

for name in ('torch', 'timm', 'accelerate'):
    pytest.importorskip(name)

from accelerate.state import AcceleratorState  # noqa: E402
from safetensors import safe_open  # noqa: E402
from ssd_depth_core.config import load_yaml  # noqa: E402
from ssd_depth_core.learning.pretraining import PretrainingConfig  # noqa: E402

from training import pretrain_encoder  # noqa: E402

CONFIG = Path(__file__).parents[2] / 'config' / 'train' / 'pretrain_encoder.yaml'


@pytest.fixture(autouse=True)
def _precision_of_its_own():
    """Accelerate keeps the precision of a process's first Accelerator, and refuses another."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_stage_leaves_an_encoder_and_says_where(surface_set, tmp_path, capsys):
    words = ['--config', str(CONFIG), '--data', str(surface_set), '--out', str(tmp_path / 'run')]
    for item in (
        'encoder=vit_small_patch14_dinov2',
        'encoder_options={depth: 4, embed_dim: 24, num_heads: 2}',
        'size=42',
        'loop.max_steps=1',
        'loop.batch_size=2',
        'loop.num_workers=0',
    ):
        words += ['--set', item]
    assert pretrain_encoder.main([*words, '--device', 'cpu', '--seed', '4']) == 0
    path = tmp_path / 'run' / 'encoder.safetensors'
    assert capsys.readouterr().out.endswith(f'encoder: {path}\n')
    with safe_open(path, 'pt') as file:
        info = file.metadata()['ssd_depth_pretraining']
    assert '"seed": 4' in info
    assert 'python -m training.pretrain_encoder --config ' in info


def test_the_shipped_config_keeps_to_the_defaults_of_the_augmentation():
    config = load_yaml(PretrainingConfig, CONFIG)
    assert config == PretrainingConfig(encoder='resnet18', loop=config.loop)
