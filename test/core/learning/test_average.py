import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.average import update_average  # noqa: E402
from torch import nn  # noqa: E402


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.layer = nn.Linear(1, 1)


def test_average_follows_weights_and_buffers():
    average, network = Network(), Network()
    with torch.no_grad():
        average.layer.weight.fill_(1.0)
        network.layer.weight.fill_(2.0)
        network.norm.running_mean.fill_(10.0)
        network.norm.num_batches_tracked.fill_(7)
    update_average(average, network, step=100_000, decay=0.9)
    assert average.layer.weight.item() == pytest.approx(1.1)
    assert average.norm.running_mean.item() == pytest.approx(1.0)
    assert average.norm.num_batches_tracked.item() == 7
    update_average(average, network, step=0, decay=0.9)  # decays by 0.1 only at first
    assert average.layer.weight.item() == pytest.approx(0.1 * 1.1 + 0.9 * 2.0)
