from dataclasses import replace
import json
import math
import shutil

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

from accelerate.state import AcceleratorState  # noqa: E402
from safetensors import safe_open  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from ssd_depth_core.config import from_dict  # noqa: E402
from ssd_depth_core.data.augment import AugmentConfig  # noqa: E402
from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
from ssd_depth_core.learning.pretraining import (  # noqa: E402
    pretrain_encoder,
    PretrainingConfig,
    SurfaceTask,
)
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from ssd_depth_core.models.pretrained import resample_position  # noqa: E402
from ssd_depth_core.records import code_commit  # noqa: E402
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS  # noqa: E402

VIT = 'vit_small_patch14_dinov2'
TINY_VIT = {'depth': 4, 'embed_dim': 24, 'num_heads': 2}
LOOP = LoopConfig(max_steps=2, batch_size=2, num_workers=0)
CNN_CONFIG = PretrainingConfig(encoder='mobilenetv4_conv_small', size=64, loop=LOOP)
VIT_CONFIG = PretrainingConfig(encoder=VIT, encoder_options=TINY_VIT, size=42, loop=LOOP)


@pytest.fixture(autouse=True)
def _precision_of_its_own():
    """Accelerate keeps the precision of a process's first Accelerator, and refuses another."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def pretrain(surface_set, out, config=CNN_CONFIG, resume=False):
    return pretrain_encoder(
        config, [surface_set], out, command='the command', resume=resume, cpu=True
    )


class Says(torch.nn.Module):
    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, image):
        return self.logits


def test_loss_by_hand():
    logits = torch.zeros(1, 3, 2, 2)
    logits[0, 1] = math.log(2)  # probabilities 1/4, 1/2, 1/4
    classes = torch.full((1, 6, 6), 2, dtype=torch.uint8)  # what is in no cell's middle
    classes[0, 1::3, 1::3] = torch.tensor([[1, 1], [0, UNKNOWN_CLASS]])
    parts = SurfaceTask(Says(logits))({'image': torch.zeros(1, 3, 6, 6), 'classes': classes})
    assert parts['loss'].item() == pytest.approx((math.log(2) + math.log(2) + math.log(4)) / 3)
    assert parts['accuracy'].item() == pytest.approx(2 / 3)


def test_a_batch_of_which_nothing_is_known_teaches_nothing():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    classes = torch.full((1, 4, 4), UNKNOWN_CLASS, dtype=torch.uint8)
    parts = SurfaceTask(Says(logits))({'image': torch.zeros(1, 3, 4, 4), 'classes': classes})
    parts['loss'].backward()
    assert parts['loss'].item() == parts['accuracy'].item() == 0
    assert not logits.grad.any()


def test_a_depth_network_of_another_size_starts_from_the_encoder(surface_set, tmp_path):
    path = pretrain(surface_set, tmp_path / 'cnn')
    trained = load_file(tmp_path / 'cnn' / 'checkpoint.safetensors')
    network = build_depth_net(
        DepthNetConfig(
            encoder='mobilenetv4_conv_small',
            encoder_weights=str(path),
            input_height=64,
            input_width=96,
        )
    )
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, trained[f'encoder.{key}'])

    path = pretrain(surface_set, tmp_path / 'vit', VIT_CONFIG)
    trained = load_file(tmp_path / 'vit' / 'checkpoint.safetensors')
    network = build_depth_net(
        DepthNetConfig(
            encoder=VIT,
            encoder_weights=str(path),
            encoder_options=TINY_VIT,
            decoder='dpt',
            input_height=28,
            input_width=70,
        )
    )
    position = trained['encoder.backbone.pos_embed']
    trained['encoder.backbone.pos_embed'] = resample_position(position, (2, 5), 1, 'here')
    assert position.shape[1] == 1 + 3 * 3
    for key, value in network.encoder.state_dict().items():
        assert torch.equal(value, trained[f'encoder.{key}'])


def test_the_encoder_says_how_it_was_made(surface_set, tmp_path):
    path = pretrain(surface_set, tmp_path / 'run', VIT_CONFIG)
    assert path == tmp_path / 'run' / 'encoder.safetensors'
    with safe_open(path, 'pt') as file:
        info = json.loads(file.metadata()['ssd_depth_pretraining'])
    assert from_dict(PretrainingConfig, info['training_config'], 'here') == VIT_CONFIG
    assert info['training_command'] == 'the command'
    assert info['training_commit'] == code_commit()
    assert info['training_data'].startswith(
        'synthetic: 6 rendered street frames in day-clear with the classes road, sidewalk, '
    )
    assert info['training_data'].endswith(', no depth; 6 frames 000000 to 000007')
    assert info['step'] == 2
    assert set(info['metrics']['iou']) == set(SURFACE_CLASSES[:4])
    mean_iou = np.mean(list(info['metrics']['iou'].values()))
    assert info['metrics']['mean_iou'] == pytest.approx(mean_iou, abs=1e-5)
    lines = (tmp_path / 'run' / 'metrics.jsonl').read_text().splitlines()
    assert json.loads(lines[-1])['validation'] == info['metrics']
    assert len(list((tmp_path / 'run' / 'pictures').iterdir())) == 1


def test_a_run_resumed_after_a_kill_is_the_run_that_never_stopped(
    surface_set, tmp_path, monkeypatch
):
    config = replace(VIT_CONFIG, loop=replace(LOOP, max_steps=5, validate_every_steps=2))
    whole = pretrain(surface_set, tmp_path / 'whole', config)
    forward, calls = SurfaceTask.forward, []

    def die_in_the_fourth_step(task, batch):
        calls.append(batch)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(task, batch)

    monkeypatch.setattr(SurfaceTask, 'forward', die_in_the_fourth_step)
    with pytest.raises(KeyboardInterrupt):
        pretrain(surface_set, tmp_path / 'cut', config)
    assert not (tmp_path / 'cut' / 'encoder.safetensors').exists()
    cut = pretrain(surface_set, tmp_path / 'cut', config, resume=True)
    assert len(calls) == 4 + 3
    assert cut.read_bytes() == whole.read_bytes()
    # A kill before the last file was written loses nothing either.
    cut.unlink()
    again = pretrain(surface_set, tmp_path / 'cut', config, resume=True)
    assert len(calls) == 4 + 3
    assert again.read_bytes() == whole.read_bytes()


def test_bf16_leaves_float32_weights(surface_set, tmp_path):
    config = replace(VIT_CONFIG, loop=replace(LOOP, precision='bf16'))
    tensors = load_file(pretrain(surface_set, tmp_path / 'run', config))
    assert {value.dtype for value in tensors.values()} == {torch.float32}
    assert all(value.isfinite().all() for value in tensors.values())


def test_configs_that_ask_for_what_is_not_there_are_refused(surface_set, tmp_path):
    with pytest.raises(ValueError, match='size must be >= 32, got 28'):
        replace(CNN_CONFIG, size=28)
    with pytest.raises(ValueError, match='augment.texture must be 0, since it needs depth'):
        replace(CNN_CONFIG, augment=AugmentConfig())
    with pytest.raises(ValueError, match="encoder must be a timm architecture, got 'resnet17'"):
        pretrain(surface_set, tmp_path / 'run', replace(CNN_CONFIG, encoder='resnet17'))
    assert not (tmp_path / 'run').exists()


def test_a_set_without_classes_leaves_no_run_behind(surface_set, tmp_path):
    own = shutil.copytree(surface_set, tmp_path / 'set')
    shutil.rmtree(own / 'classes')
    with pytest.raises(FileNotFoundError, match='class map'):
        pretrain(own, tmp_path / 'run')
    with pytest.raises(FileNotFoundError, match='training set not found'):
        pretrain(tmp_path / 'nowhere', tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
