from dataclasses import asdict

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')

from ssd_depth_core.learning.loop import LoopConfig  # noqa: E402
import step_memory  # noqa: E402

CONFIG = LoopConfig(max_steps=1)


def test_tensors_count_while_they_live():
    there = torch.zeros(1000)
    with step_memory.LiveTensors() as live:
        one = torch.ones(256)
        assert live.now == 1024
        view = one[2:].view(2, 127)
        one.add_(1)
        there.mul_(2).t()
        assert live.now == 1024  # nothing of that is new
        two, three = (one * 2).split(128)
        assert live.now == 2048  # parts of one tensor
        del two
        assert live.now == 2048
        del three
        assert live.now == 1024
        del one
        assert live.now == 1024  # seen through the view
        del view
        assert live.now == 0
    assert live.peak == 2048


def test_a_tensor_can_be_left_out():
    with step_memory.LiveTensors() as live:
        one, two = torch.ones(10), torch.ones(20)
        live.leave_out(one)
        assert live.now == 80
        del one
        assert live.now == 80
        del two
    assert live.now == 0
    assert live.peak == 120


class Scaled(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.register_buffer('frozen', torch.ones(3))

    def forward(self, x):
        return self.weight * x


class ProductTask(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network, self.pose_net = Scaled(), Scaled()

    def forward(self, batch):
        return {'loss': (self.network(batch['target']) * self.pose_net(batch['target'])).sum()}


@pytest.mark.parametrize('count', [step_memory.count_step, step_memory.count_step_uncomputed])
def test_a_step_of_a_product_needs_what_one_counts_by_hand(count):
    n = 1 << 16
    memory = count(ProductTask(), {'target': torch.ones(n)}, CONFIG)
    assert asdict(memory) | {'peak': 0} == {
        'weights': 2 * (1 + 3) * 4,
        'gradients': 2 * 4,
        'moments': 2 * 2 * 4,
        'average': (1 + 3) * 4,
        'activations': 2 * n * 4,  # both factors
        'peak': 0,
    }
    # Both factors and the gradient of each; and a few scalars.
    assert 4 * n * 4 <= memory.peak <= 4 * n * 4 + 64
    assert memory.total == memory.peak + 32 + 8 + 16 + 16


def two_layers():
    return torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.Conv2d(1, 1, 1))


@pytest.mark.parametrize(
    ('precision', 'maps'),
    [
        ('fp32', (4, 4)),
        ('bf16', (2, 2, 2)),  # the picture too, for it comes in fp32
    ],
)
def test_activations_are_as_large_as_their_precision_says(precision, maps):
    n = 1 << 16
    task = ProductTask()
    task.network, task.pose_net = two_layers(), two_layers()
    config = LoopConfig(max_steps=1, precision=precision)
    memory = step_memory.count_step(task, {'target': torch.ones(1, 1, n, 1)}, config)
    assert memory.activations == pytest.approx(2 * n * sum(maps), abs=64)
    assert memory.weights == 2 * 4 * 4  # whatever the precision
