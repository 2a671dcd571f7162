from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
timm = pytest.importorskip('timm')
safetensors_torch = pytest.importorskip('safetensors.torch')

from ssd_depth_core.learning.checkpoint import (  # noqa: E402
    CheckpointInfo,
    load_checkpoint,
    load_pose_net,
    save_checkpoint,
    save_pose_net,
)
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNet, PoseNetConfig  # noqa: E402

MODEL = DepthNetConfig(input_height=64, input_width=64, decoder_channels=8, fine_channels=8)


def info(model=MODEL):
    return CheckpointInfo(
        model=model,
        step=7,
        training_command='python -m training.train_supervised --seed 3',
        training_data='synthetic: 5 frames',
        metrics={'night': {'abs_rel': 0.25}},
    )


def test_a_checkpoint_gives_back_network_and_history(tmp_path):
    network = build_depth_net(MODEL).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / 'a.safetensors', network, info())
    loaded, history = load_checkpoint(tmp_path / 'a.safetensors')
    assert history == info()
    assert not loaded.training
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(
            loaded(image).inverse_depth, network.eval()(image).inverse_depth, rtol=1e-4, atol=1e-6
        )
    assert list(tmp_path.iterdir()) == [tmp_path / 'a.safetensors']


def test_no_pretrained_weights_are_fetched_to_be_overwritten(tmp_path, monkeypatch):
    path = tmp_path / 'a.safetensors'
    network = build_depth_net(MODEL)
    save_checkpoint(path, network, info(replace(MODEL, encoder_weights='timm')))
    create = timm.create_model

    def offline(name, pretrained=False, **options):
        assert not pretrained, 'there is no network here'
        return create(name, pretrained=pretrained, **options)

    monkeypatch.setattr(timm, 'create_model', offline)
    loaded, history = load_checkpoint(path)
    assert history.model.encoder_weights == 'timm'
    for mine, theirs in zip(loaded.parameters(), network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_missing_damaged_and_foreign_files_are_errors(tmp_path):
    path = tmp_path / 'a.safetensors'
    with pytest.raises(FileNotFoundError, match='training.train_supervised'):
        load_checkpoint(path)
    path.write_bytes(b'not a tensor in sight')
    with pytest.raises(ValueError, match='damaged or no safetensors'):
        load_checkpoint(path)
    safetensors_torch.save_file({'w': torch.zeros(1)}, path)
    with pytest.raises(ValueError, match='has no ssd_depth header'):
        load_checkpoint(path)


def test_weights_load_strictly(tmp_path):
    path = tmp_path / 'a.safetensors'
    other = DepthNetConfig(input_height=64, input_width=64, decoder_channels=16, fine_channels=8)
    save_checkpoint(path, build_depth_net(MODEL), info(other))
    with pytest.raises(
        ValueError, match=r'architecture: 38 weights have another shape, first decoder'
    ):
        load_checkpoint(path)


def test_a_pose_network_comes_back_as_it_was(tmp_path):
    config = PoseNetConfig(
        encoder='mobilenetv4_conv_small', expected_translation_m=(0.0, 0.0, -2.0)
    )
    torch.manual_seed(0)
    pose_net = PoseNet(config).eval()
    save_pose_net(tmp_path / 'pose.safetensors', pose_net)
    loaded = load_pose_net(tmp_path / 'pose.safetensors')
    assert loaded.config == config
    assert not loaded.training
    images = torch.randn(1, 3, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(images), pose_net(images))


def test_what_is_no_pose_network_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='training.train_teacher., which leaves one'):
        load_pose_net(tmp_path / 'none.safetensors')
    save_checkpoint(tmp_path / 'a.safetensors', build_depth_net(MODEL), info())
    with pytest.raises(ValueError, match='has no ssd_depth_pose header'):
        load_pose_net(tmp_path / 'a.safetensors')
