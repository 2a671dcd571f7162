import copy

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('safetensors')

from ssd_depth_core.learning.training_state import Progress, TrainingState  # noqa: E402
from torch import nn  # noqa: E402

PROGRESS = Progress(step=7, draws=90, minutes=1.0 / 3.0)


def state(size=2, steps=0, scaler=None):
    """A network that has taken some steps, and the mean of nothing."""
    torch.manual_seed(steps)
    task = nn.Sequential(nn.Linear(size, 1), nn.BatchNorm1d(1))
    optimizer = torch.optim.AdamW(task.parameters(), lr=0.1)
    for _ in range(steps):
        task(torch.randn(4, size)).square().sum().backward()
        optimizer.step()
    average = copy.deepcopy(task[0])
    return TrainingState(task=task, average=average, optimizer=optimizer, scaler=scaler)


def tensors(state):
    moments = state.optimizer.state_dict()['state']
    return {
        **{f'task/{name}': value for name, value in state.task.state_dict().items()},
        **{f'average/{name}': value for name, value in state.average.state_dict().items()},
        **{f'{n}/{name}': value for n, row in moments.items() for name, value in row.items()},
    }


def assert_equal(one, other):
    mine, theirs = tensors(one), tensors(other)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


def test_a_state_comes_back_bit_for_bit(tmp_path):
    saved, loaded = state(steps=3), state()
    noise = {'cpu': torch.arange(6, dtype=torch.uint8).reshape(2, 3)}
    saved.save(tmp_path / 'new' / 'a.safetensors', PROGRESS, noise)
    progress, found = loaded.load(tmp_path / 'new' / 'a.safetensors')
    assert progress == PROGRESS
    assert found.keys() == {'cpu'}
    assert torch.equal(found['cpu'], noise['cpu'])
    assert len(loaded.optimizer.state_dict()['state']) == 4
    assert_equal(loaded, saved)


def test_a_state_before_the_first_step_comes_back(tmp_path):
    saved, loaded = state(), state(steps=1)
    saved.save(tmp_path / 'a.safetensors', Progress(), {})
    assert loaded.load(tmp_path / 'a.safetensors') == (Progress(), {})
    assert_equal(loaded, saved)


def test_the_scale_of_an_fp16_loss_comes_back(tmp_path):
    saved = state(scaler=torch.amp.GradScaler('cpu', init_scale=8.0))
    saved.save(tmp_path / 'a.safetensors', PROGRESS, {})
    loaded = state(scaler=torch.amp.GradScaler('cpu'))
    loaded.load(tmp_path / 'a.safetensors')
    assert loaded.scaler.get_scale() == 8


def test_a_damaged_state_is_named_with_what_to_do(tmp_path):
    path = tmp_path / 'a.safetensors'
    with pytest.raises(FileNotFoundError, match='training state not found at .*; start without'):
        state().load(path)
    state().save(path, PROGRESS, {})
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r'state .*a.safetensors is damaged .*; copy it again'):
        state().load(path)


def test_a_state_of_another_network_says_what_differs(tmp_path):
    state().save(tmp_path / 'a.safetensors', PROGRESS, {})
    message = r'another architecture: 1 weights have another shape, first 0.weight \(1, 2\) for'
    with pytest.raises(ValueError, match=message):
        state(size=3).load(tmp_path / 'a.safetensors')
