from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.learning.checkpoint import CheckpointInfo, save_checkpoint  # noqa: E402
from ssd_depth_core.learning.given_networks import read_metric_network, view_of  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

MODEL = DepthNetConfig(
    input_height=64,
    input_width=96,
    decoder_channels=8,
    fine_channels=8,
    confidence=False,
    mean=(0.45,) * 3,
)


def write(folder, model=MODEL, **loss):
    info = CheckpointInfo(
        model=model,
        step=3,
        training_command='x',
        training_data='none',
        training_config={'loss': loss},
    )
    save_checkpoint(folder / 'checkpoint.safetensors', build_depth_net(model), info)


def test_a_run_folder_stands_for_its_checkpoint(tmp_path):
    write(tmp_path)
    for path in (tmp_path, tmp_path / 'checkpoint.safetensors'):
        network, info = read_metric_network(path, 'teacher')
        assert (network.config, info.step) == (MODEL, 3)


def test_depth_without_a_unit_is_refused(tmp_path):
    write(tmp_path, replace(MODEL, output='relu'))
    with pytest.raises(ValueError, match='teacher .* has output relu: relative inverse depth'):
        read_metric_network(tmp_path, 'teacher')
    write(tmp_path, velocity_weight=0.0, distance='predicted')  # monodepth2
    with pytest.raises(ValueError, match='student .*velocity_weight 0, so its depth has no unit'):
        read_metric_network(tmp_path, 'student')
    write(tmp_path, velocity_weight=0.0, distance='odometer')
    assert read_metric_network(tmp_path, 'student')[1].step == 3


def test_a_network_sees_what_its_config_says():
    view = view_of(MODEL)
    assert (view.size, view.mean, view.std) == ((64, 96), MODEL.mean, MODEL.std)
