import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.optimizer import parameter_groups  # noqa: E402
from torch import nn  # noqa: E402


class Task(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.ModuleDict(
            {'encoder': nn.Linear(2, 3), 'encoder2': nn.Linear(2, 5), 'head': nn.Linear(3, 1)}
        )
        self.pose_net = nn.Linear(7, 2)
        self.teacher = nn.Linear(4, 4).requires_grad_(False)


def by_name(task, groups):
    """(learning-rate factor, weight decay) of each trained parameter."""
    found = {id(p): (g['factor'], g['weight_decay']) for g in groups for p in g['params']}
    return {name: found[id(p)] for name, p in task.named_parameters() if id(p) in found}


def test_vectors_do_not_decay_and_the_frozen_are_left_out():
    task = Task()
    found = by_name(task, parameter_groups(task, 0.05, {}))
    modules = ('network.encoder', 'network.encoder2', 'network.head', 'pose_net')
    assert found == {f'{name}.weight': (1.0, 0.05) for name in modules} | {
        f'{name}.bias': (1.0, 0.0) for name in modules
    }


def test_embedded_positions_do_not_decay():
    task = nn.Module()
    task.pos_embed = nn.Parameter(torch.zeros(1, 4, 8))
    task.proj = nn.Linear(8, 8, bias=False)
    found = by_name(task, parameter_groups(task, 0.05, {}))
    assert found == {'pos_embed': (1.0, 0.0), 'proj.weight': (1.0, 0.05)}


def test_the_longest_prefix_sets_the_learning_rate():
    task = Task()
    factors = {'network': 0.5, 'network.encoder': 0.1, 'pose_net': 2.0}
    found = by_name(task, parameter_groups(task, 0.05, factors))
    assert found['network.encoder.weight'] == (0.1, 0.05)
    assert found['network.encoder.bias'] == (0.1, 0.0)
    assert found['network.encoder2.weight'] == (0.5, 0.05)  # another name, not a part of encoder
    assert found['network.head.weight'] == (0.5, 0.05)
    assert found['pose_net.bias'] == (2.0, 0.0)


def test_an_unknown_prefix_is_named_with_what_there_is():
    message = 'got network.encodr; known are network.encoder, .*pose_net, teacher and what lies'
    with pytest.raises(ValueError, match=message):
        parameter_groups(Task(), 0.05, {'pose_net': 2.0, 'network.encodr': 0.1})
