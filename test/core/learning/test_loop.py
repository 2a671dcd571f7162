import itertools
import json
import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('accelerate')

from ssd_depth_core.data.draws import EndlessDraws  # noqa: E402
from ssd_depth_core.learning.average import update_average  # noqa: E402
from ssd_depth_core.learning.loop import (  # noqa: E402
    fraction_spent,
    LoopConfig,
    make_accelerator,
    train,
)
from ssd_depth_core.learning.run_folder import open_run  # noqa: E402
from ssd_depth_core.learning.task import Validation  # noqa: E402
from ssd_depth_core.learning.training_state import Progress  # noqa: E402
from torch import nn  # noqa: E402


class Line(nn.Module):
    """y = a x + b, and a batch norm so that there are buffers."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(1)
        self.layer = nn.Linear(1, 1)

    def forward(self, x):
        return self.layer(self.norm(x))


class LineTask(nn.Module):
    def __init__(self, poison_at=None):
        super().__init__()
        torch.manual_seed(0)
        self.network = Line()
        self.poison_at = poison_at
        self.calls = 0

    def forward(self, batch):
        loss = (self.network(batch['x']) - batch['y']).square().mean()
        self.calls += 1
        return {'loss': loss * (math.nan if self.calls == self.poison_at else 1.0)}


class Points(torch.utils.data.Dataset):
    """Points of y = 3 x + 1, moved a little by the draw's seed."""

    def __len__(self):
        return 10

    def __getitem__(self, draw):
        number, seed = draw
        x = number / 10 + (seed % 100) / 1000
        return {'x': torch.tensor([x]), 'y': torch.tensor([3 * x + 1])}


def config(**values):
    defaults = {'max_steps': 6, 'batch_size': 4, 'num_workers': 0, 'learning_rate': 0.05}
    return LoopConfig(**{**defaults, **values})


def run_loop(folder, loop, task=None, resume=False, saved=None, dataset=None):
    run = open_run(folder, {}, resume)
    task = task or LineTask()
    average = train(
        task,
        dataset or Points(),
        validate=lambda network: Validation({'a': network.layer.weight.item()}),
        save=lambda network, step, metrics: saved.append((step, metrics)) if saved else None,
        config=loop,
        run=run,
        accelerator=make_accelerator(loop, cpu=True),
        seed=5,
        resume=resume,
    )
    return run, task, average


def rows(run):
    return [json.loads(line) for line in run.metrics.read_text().splitlines()]


@pytest.mark.parametrize(
    ('budget', 'fraction'),
    [({'max_steps': 12}, 0.25), ({'max_minutes': 8.0}, 0.75), ({'max_epochs': 4}, 0.5)],
)
def test_budget_is_of_steps_minutes_or_epochs(budget, fraction):
    loop = config(**{'max_steps': None, **budget})
    assert fraction_spent(Progress(step=3, draws=20, minutes=6.0), 10, loop) == fraction


def test_average_follows_weights_and_buffers():
    average, network = Line(), Line()
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


def test_training_learns_and_leaves_a_run(tmp_path):
    saved = [None]
    loop = config(max_steps=300, log_every_steps=10, validate_every_steps=100)
    run, _, average = run_loop(tmp_path / 'run', loop, saved=saved)
    x = torch.linspace(0, 1, 5)[:, None]
    with torch.no_grad():
        # The jitter moves the statistics of a batch, hence not exact.
        assert (average(x) - (3 * x + 1)).abs().mean() < 0.2
    assert [step for step, _ in saved[1:]] == [100, 200, 300]
    log = [row for row in rows(run) if 'loss' in row]
    assert log[0]['loss'] > log[-1]['loss']
    assert {'step', 'minutes', 'learning_rate', 'gradient_norm', 'images_per_s'} <= set(log[0])
    assert rows(run)[-1]['validation'] == saved[-1][1]


def test_minutes_end_training_with_the_schedule_at_its_end(tmp_path, monkeypatch):
    # A clock of its own: on a busy machine a step may take any time.
    seconds = itertools.count(step=0.01)
    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr('ssd_depth_core.learning.loop.time', clock)
    loop = config(max_steps=None, max_minutes=0.01, log_every_steps=2)
    run, task, _ = run_loop(tmp_path / 'run', loop)
    assert 10 < task.calls < 60
    log = [row for row in rows(run) if 'loss' in row]
    assert log[-1]['learning_rate'] < 0.2 * 0.05
    assert rows(run)[-1]['minutes'] == pytest.approx(0.01, abs=0.01)


class Stopped(Exception):
    pass


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path):
    loop = config(max_steps=9, validate_every_steps=4)
    _, whole, whole_average = run_loop(tmp_path / 'whole', loop)

    class Cut(LineTask):
        def forward(self, batch):
            if self.calls == 6:
                raise Stopped  # in the middle of an epoch, two steps after the state was saved
            return super().forward(batch)

    with pytest.raises(Stopped):
        run_loop(tmp_path / 'cut', loop, Cut())
    _, resumed, average = run_loop(tmp_path / 'cut', loop, resume=True)
    assert resumed.calls == 5
    for mine, theirs in (
        (resumed.network, whole.network),
        (average, whole_average),
    ):
        for a, b in zip(mine.state_dict().values(), theirs.state_dict().values(), strict=True):
            assert torch.equal(a, b)


class Recorder(Points):
    """Notes what is drawn."""

    def __init__(self):
        self.drawn = []

    def __getitem__(self, draw):
        self.drawn.append(draw)
        return super().__getitem__(draw)


def test_a_run_resumed_with_another_batch_skips_and_repeats_no_sample(tmp_path):
    first, second = Recorder(), Recorder()
    run_loop(tmp_path / 'run', config(max_steps=3, batch_size=4), dataset=first)
    loop = config(max_steps=6, batch_size=2)
    run_loop(tmp_path / 'run', loop, resume=True, dataset=second)
    # The loader reads a batch ahead.
    stream = list(itertools.islice(EndlessDraws(10, seed=5), 18))
    assert first.drawn[:12] + second.drawn[:6] == stream


def test_a_loss_that_is_not_finite_stops_before_the_step(tmp_path):
    task = LineTask(poison_at=3)
    with pytest.raises(FloatingPointError, match=r'not finite at step 2: .*nan.*learning_rate'):
        run_loop(tmp_path / 'run', config(), task)
    assert all(torch.isfinite(p).all() for p in task.network.parameters())


class SteepTask(LineTask):
    """Its third loss is finite, but not the slope of it."""

    def forward(self, batch):
        loss = super().forward(batch)['loss']
        return {'loss': loss + torch.sqrt(0 * loss) if self.calls == 3 else loss}


def test_a_gradient_that_is_not_finite_stops_before_the_step(tmp_path):
    task = SteepTask()
    with pytest.raises(FloatingPointError, match=r"step 2: {'loss': \d\.\d+}, gradient norm nan"):
        run_loop(tmp_path / 'run', config(), task)
    assert all(torch.isfinite(p).all() for p in task.network.parameters())


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        (
            {'max_minutes': 3.0},
            'exactly one of max_steps, .*, got max_steps=6, max_minutes=3.0, max',
        ),
        ({'max_steps': None}, 'exactly one of max_steps, max_minutes, max_epochs'),
        ({'batch_size': 0}, 'batch_size must be > 0, got 0'),
        ({'ema_decay': 1.0}, r'ema_decay must be in \[0, 1\), got 1.0'),
    ],
)
def test_config_rejects(values, message):
    with pytest.raises(ValueError, match=message):
        config(**values)
