from dataclasses import replace
import itertools
import json
import math
from types import SimpleNamespace

import pytest

torch = pytest.importorskip('torch')
cv2 = pytest.importorskip('cv2')
pytest.importorskip('accelerate')
pytest.importorskip('tensorboard')

from accelerate import Accelerator  # noqa: E402
from accelerate.state import AcceleratorState  # noqa: E402
import numpy as np  # noqa: E402
from ssd_depth_core.data.draws import EndlessDraws  # noqa: E402
from ssd_depth_core.learning.loop import (  # noqa: E402
    fraction_spent,
    LoopConfig,
    make_accelerator,
    train,
)
from ssd_depth_core.learning.run_folder import open_run  # noqa: E402
from ssd_depth_core.learning.task import Validation  # noqa: E402
from ssd_depth_core.learning.training_state import Progress  # noqa: E402
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402
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


PICTURE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)


@pytest.fixture(autouse=True)
def _precision_of_its_own():
    """Accelerate keeps the precision of a process's first Accelerator, and refuses another."""
    yield
    AcceleratorState._reset_state(True)


def run_loop(folder, loop, task=None, resume=False, saved=None, dataset=None, accelerator=None):
    run = open_run(folder, {}, {}, resume)
    task = task or LineTask()
    average = train(
        task,
        dataset or Points(),
        validate=lambda network: Validation({'a': network.layer.weight.item()}, {'b': PICTURE}),
        save=lambda network, step, metrics: saved.append((step, metrics)) if saved else None,
        config=loop,
        run=run,
        accelerator=accelerator or make_accelerator(loop, cpu=True),
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


def test_a_validation_leaves_pictures_and_curves(tmp_path):
    run, _, average = run_loop(tmp_path / 'run', config(log_every_steps=3, validate_every_steps=4))
    steps = (4, 6)
    assert sorted(path.name for path in run.pictures.iterdir()) == [
        f'b-{step:07d}.png' for step in steps
    ]
    assert (cv2.imread(str(run.pictures / 'b-0000006.png'))[..., ::-1] == PICTURE).all()
    events = EventAccumulator(str(run.tensorboard)).Reload()
    assert [event.step for event in events.Scalars('training/loss')] == [3, 4, 6]
    assert [event.step for event in events.Images('b')] == [*steps]
    found = {event.step: event.value for event in events.Scalars('validation/a')}
    assert found == {row['step']: pytest.approx(row['validation']['a']) for row in rows(run)[2::2]}
    assert found[6] == pytest.approx(average.layer.weight.item())


class Plain(nn.Module):
    """No batch norm, so that a batch may be parted; and a module that is trained beside it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.ModuleDict({'layer': nn.Linear(1, 1)})
        self.pose_net = nn.Linear(1, 1)

    def forward(self, batch):
        error = self.pose_net(self.network.layer(batch['x'])) - batch['y']
        return {'loss': error.square().mean(), 'bias': error.mean()}


def test_small_batches_add_up_to_a_large_one(tmp_path):
    large, small = config(batch_size=12), config(batch_size=4, gradient_accumulation=3)
    one, one_task, _ = run_loop(tmp_path / 'one', large, Plain())
    two, two_task, _ = run_loop(tmp_path / 'two', small, Plain())
    for mine, theirs in zip(two_task.parameters(), one_task.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)
    mine, theirs = rows(two)[0], rows(one)[0]
    for name in ('loss', 'bias', 'gradient_norm'):
        assert mine[name] == pytest.approx(theirs[name], abs=2e-5)


def test_parts_of_a_task_learn_at_rates_of_their_own(tmp_path):
    start = [p.detach().clone() for p in Plain().parameters()]
    loop = config(
        max_steps=1,
        warmup_fraction=0.0,
        learning_rate=0.01,
        learning_rate_factors={'pose_net': 3.0, 'network.layer': 0.5},
        weight_decay=0.0,
    )
    _, task, _ = run_loop(tmp_path / 'run', loop, Plain())
    # Adam's first step is as long as the learning rate, whatever the gradient.
    steps = [(p - before).abs().item() for p, before in zip(task.parameters(), start, strict=True)]
    assert steps == pytest.approx([0.005, 0.005, 0.03, 0.03], rel=1e-3)


def test_the_scheduled_rate_is_logged(tmp_path):
    loop = config(max_steps=8, schedule='step', warmup_fraction=0.0, decay_fractions=(0.5,))
    run, _, _ = run_loop(tmp_path / 'run', replace(loop, log_every_steps=1), Plain())
    rates = [row['learning_rate'] for row in rows(run) if 'loss' in row]
    assert rates == pytest.approx([0.05] * 4 + [0.005] * 4)


class DtypeTask(LineTask):
    """Notes in which precision it computes."""

    def forward(self, batch):
        self.dtype = self.network.layer(batch['x']).dtype
        return super().forward(batch)


def test_bf16_is_of_activations_alone(tmp_path):
    _, task, average = run_loop(tmp_path / 'run', config(precision='bf16'), DtypeTask())
    assert task.dtype == torch.bfloat16
    assert {p.dtype for p in [*task.parameters(), *average.parameters()]} == {torch.float32}


def test_fp16_needs_a_gpu():
    with pytest.raises(ValueError, match='precision fp16 needs a GPU, got a CPU; take fp32'):
        make_accelerator(config(precision='fp16'), cpu=True)


def fp16_on_a_cpu(scale):
    """What Accelerate makes of fp16 on a GPU; it has no such thing for CPUs, but torch has."""
    accelerator = Accelerator(cpu=True, mixed_precision='fp16')
    accelerator.native_amp = True
    accelerator.scaler = torch.amp.GradScaler('cpu', init_scale=scale)
    return accelerator


def test_an_overflow_of_fp16_lowers_the_scale_and_is_no_bad_loss(tmp_path):
    accelerator, task = fp16_on_a_cpu(2.0**18), DtypeTask()
    loop = config(max_steps=5, log_every_steps=1)
    run, _, _ = run_loop(tmp_path / 'run', loop, task, accelerator=accelerator)
    assert task.dtype == torch.float16
    skipped = 18 - math.log2(accelerator.scaler.get_scale())
    assert skipped >= 1
    assert task.calls == 5 + skipped
    log = [row for row in rows(run) if 'loss' in row]
    assert [row['step'] for row in log] == [1, 2, 3, 4, 5]
    assert all(math.isfinite(row['gradient_norm']) for row in log)


@pytest.mark.parametrize('poison', ['loss', 'slope'])
def test_fp16_does_not_hide_what_is_not_finite(tmp_path, poison):
    task = LineTask(poison_at=3) if poison == 'loss' else SteepTask(every_call=True)
    with pytest.raises(FloatingPointError, match='not finite at step'):
        run_loop(tmp_path / 'run', config(), task, accelerator=fp16_on_a_cpu(4.0))
    assert task.calls == (3 if poison == 'loss' else 4)  # at the scales 4, 2, 1 and 1/2
    assert all(torch.isfinite(p).all() for p in task.network.parameters())


class Stopped(Exception):
    pass


@pytest.mark.parametrize('num_workers', [0, 1])
def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path, num_workers):
    loop = config(max_steps=9, validate_every_steps=4, num_workers=num_workers)
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
    """Its third loss, or every one, is finite, but not the slope of it."""

    def __init__(self, every_call=False):
        super().__init__()
        self.every_call = every_call

    def forward(self, batch):
        loss = super().forward(batch)['loss']
        steep = self.every_call or self.calls == 3
        return {'loss': loss + torch.sqrt(0 * loss) if steep else loss}


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
        ({'gradient_accumulation': 0}, 'gradient_accumulation must be > 0, got 0'),
        ({'decay_factor': 0.0}, r'decay_factor must be in \(0, 1\], got 0.0'),
        ({'decay_fractions': (0.5, 1.0)}, r'decay_fractions must lie in \(0, 1\), got'),
        ({'learning_rate_factors': {'network': 0.0}}, 'must be > 0, got 0.0 for network'),
        ({'ema_decay': 1.0}, r'ema_decay must be in \[0, 1\), got 1.0'),
    ],
)
def test_config_rejects(values, message):
    with pytest.raises(ValueError, match=message):
        config(**values)
