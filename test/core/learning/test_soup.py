from dataclasses import replace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')

from ssd_depth_core.learning.checkpoint import (  # noqa: E402
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from ssd_depth_core.learning.soup import average_checkpoints  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402

MODEL = DepthNetConfig(input_height=64, input_width=64, decoder_channels=8, fine_channels=8)


@pytest.fixture
def make(tmp_path):
    def make(number, model=MODEL):
        torch.manual_seed(number)
        path = tmp_path / f'{number}.safetensors'
        network = build_depth_net(model)
        for name, values in network.named_buffers():  # as if it had been trained
            if name.endswith('running_mean'):
                values.fill_(number)
        info = CheckpointInfo(
            model=model, step=number, training_command=f'train {number}', training_data=f'{number}'
        )
        save_checkpoint(path, network, info)
        return path

    return make


def test_weights_and_statistics_are_the_mean(make, rendered_set, tmp_path):
    paths = [make(number) for number in (1, 2, 6)]
    out = tmp_path / 'new' / 'mean.safetensors'
    info = average_checkpoints(paths, [rendered_set], out, command='average')
    mean, read = load_checkpoint(out)
    states = [load_checkpoint(path)[0].state_dict() for path in paths]
    for name, values in mean.state_dict().items():
        if values.is_floating_point():
            expected = sum(state[name] for state in states) / 3
            torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-5)
        if name.endswith('running_mean'):
            assert (values == 3).all()
    assert read == info
    assert read.training_command == 'train 1; train 2; train 6; average'
    assert (read.step, read.training_data) == (6, '1; 2; 6')
    assert set(read.metrics) == {'day-clear', 'night'}
    assert read.metrics['night']['n'] == 2


def test_one_checkpoint_is_no_mean(make, rendered_set, tmp_path):
    with pytest.raises(ValueError, match='must be two or more to average, got 1'):
        average_checkpoints([make(1)], [rendered_set], tmp_path / 'mean', command='')


def test_another_architecture_is_refused_and_nothing_written(make, rendered_set, tmp_path):
    other = make(2, replace(MODEL, decoder_channels=16))
    out = tmp_path / 'mean.safetensors'
    with pytest.raises(ValueError, match=r'2\.safetensors'):
        average_checkpoints([make(1), other], [rendered_set], out, command='')
    assert not out.exists()
