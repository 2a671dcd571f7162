from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip('torch')
pytest.importorskip('timm')
pytest.importorskip('accelerate')

import loader_speed  # noqa: E402
from ssd_depth_core.data.triplets import TripletConfig, TripletDataset  # noqa: E402
from ssd_depth_core.learning import loop, self_supervised  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.pose_net import PoseNetConfig  # noqa: E402
from ssd_depth_core.records import read_result  # noqa: E402
import train_step  # noqa: E402

ENCODER = 'mobilenetv4_conv_small'
SIZE = (64, 96)
CONFIG = self_supervised.SelfSupervisedConfig(
    model=DepthNetConfig(
        encoder=ENCODER, confidence=False, input_height=SIZE[0], input_width=SIZE[1]
    ),
    pose=PoseNetConfig(encoder=ENCODER),
    data=TripletConfig(size=SIZE),
    loop=loop.LoopConfig(max_minutes=1, batch_size=2, num_workers=0),
)


@pytest.fixture
def case(monkeypatch, tmp_path):
    """One timed step on a drive of noise."""
    monkeypatch.setattr(loader_speed, 'NUM_VIEWS', 1)
    monkeypatch.setattr(loader_speed, 'NUM_FILES', 4)
    monkeypatch.setattr(train_step, 'NUM_WARM_STEPS', 0)
    view = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    root = tmp_path / 'drive'
    lines = loader_speed.write_drive(root, [view], SIZE)
    return train_step.Case(
        name='cnn', size='tiny', config=CONFIG, root=root, lines=lines, num_steps=1
    )


class Clock:
    """Stands still but where somebody says what took how long."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    def spend(self, seconds):
        def hook(*_):
            self.now += seconds

        return hook

    def slow(self, function, seconds):
        def slowed(*args, **kwargs):
            self.now += seconds
            return function(*args, **kwargs)

        return slowed


def test_every_part_gets_the_time_that_it_took(case, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(train_step, 'time', clock)
    for owner, name, seconds in (
        (TripletDataset, '__getitem__', 0.5),  # twice a batch
        (self_supervised, 'reprojection_loss', 8),
        (self_supervised, 'edge_aware_smoothness', 16),
        (loop, 'update_average', 64),
    ):
        monkeypatch.setattr(owner, name, clock.slow(getattr(owner, name), seconds))
    task = self_supervised.SelfSupervisedTask(
        train_step.build_depth_net(CONFIG.model), train_step.PoseNet(CONFIG.pose), CONFIG.loss
    )
    task.network.register_forward_hook(clock.spend(2))
    task.pose_net.register_forward_hook(clock.spend(4))
    accelerator = loop.make_accelerator(CONFIG.loop, cpu=True)
    monkeypatch.setattr(accelerator, 'backward', clock.slow(accelerator.backward, 32))
    dataset = TripletDataset(
        case.lines, train_step.NuScenesSource(case.root), replace(CONFIG.data, input_size=SIZE)
    )
    seconds = train_step.time_steps(task, dataset, CONFIG.loop, accelerator, num_steps=2)
    expected = dict(zip(train_step.PARTS, (1, 2, 4, 8, 16, 32, 64), strict=True))
    assert seconds == expected


def test_a_row_adds_up(case):
    real_loader = loop.make_loader
    row = train_step.measure(case)
    assert loop.make_loader is real_loader
    assert all(value is not None for value in row.values())
    parts = [row[f'{part}_ms'] for part in train_step.PARTS]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(row['step_ms'])
    assert row['images_per_s'] == pytest.approx(2000 / row['step_ms'])
    assert row['data_share'] == pytest.approx(row['data_ms'] / row['step_ms'])
    networks = row['depth_net_ms'] + row['pose_net_ms']
    assert row['photometric_share'] == pytest.approx(row['photometric_ms'] / networks)
    assert row['memory_ratio'] == pytest.approx(row['peak_mib'] / row['activations_mib'])
    resident = sum(row[f'{name}_mib'] for name in ('weights', 'gradients', 'moments', 'average'))
    assert row['total_gib'] == pytest.approx((resident + row['peak_mib']) / 1024)


def test_what_is_counted_without_computing_is_what_computing_needs(case):
    config = replace(CONFIG, loop=replace(CONFIG.loop, precision='bf16'))
    task = self_supervised.SelfSupervisedTask(
        train_step.build_depth_net(config.model), train_step.PoseNet(config.pose), config.loss
    )
    uncomputed = train_step.measure(replace(case, config=config, num_steps=0))
    assert uncomputed['step_ms'] is uncomputed['data_share'] is None
    dataset = TripletDataset(
        case.lines, train_step.NuScenesSource(case.root), replace(CONFIG.data, input_size=SIZE)
    )
    batch = train_step.default_collate([dataset[0, 0], dataset[1, 1]])
    memory = train_step.memory_figures(train_step.count_step(task, batch, config.loop))
    for name, value in memory.items():
        assert uncomputed[name] == pytest.approx(value, rel=0.01)


ROW = {
    'config': 'a',
    'size': 'small',
    **train_step.time_figures(
        dict(zip(train_step.PARTS, (0.2, 0.3, 0.1, 0.5, 0.1, 0.7, 0.1), strict=True)), 4
    ),
    'memory_ratio': 1.25,
}


def test_figures_are_held_against_their_targets():
    counted = {**ROW, **train_step.time_figures(None, 4), 'size': 'published'}
    rows = train_step.target_rows([ROW, counted])
    assert [(row['size'], row['found'], row['met']) for row in rows] == [
        ('small', pytest.approx(0.1), True),
        ('small', pytest.approx(1.25), False),
        ('small', 1.25, True),
        ('published', 1.25, True),
    ]
    assert counted.keys() == ROW.keys()
    assert ROW['images_per_s'] == pytest.approx(2.0)


def test_figures_are_written_with_their_targets(case, monkeypatch, tmp_path, capsys):
    row = train_step.measure(case)
    seen = []

    def measure(case):
        seen.append((case.name, case.size, case.config.model.encoder, case.num_steps))
        return {**row, 'config': case.name, 'size': case.size}

    monkeypatch.setattr(train_step, 'measure_apart', measure)
    path = tmp_path / 'step.json'
    arguments = ['--preset', 'tiny', '--steps', '3', '--seed', '9', '--json', str(path)]
    assert train_step.main(arguments) == 0
    names = ('monodepth2', 'md4all_baseline', 'ssd_teacher')
    assert [(name, size, count) for name, size, _, count in seen] == [
        *((name, 'tiny', 3) for name in names),
        *((name, 'published', 0) for name in names),
    ]
    assert [encoder for *_, encoder, _ in seen[2::3]] == [
        'vit_small_patch14_dinov2',
        'vit_base_patch14_dinov2',
    ]
    result = read_result(path)
    assert [row['config'] for row in result.rows] == [*names, *names]
    assert result.table in capsys.readouterr().out
    assert result.table.count('| data wait / step |') == 6
    assert result.command.startswith('python bench/train_step.py --preset tiny')
    assert result.seed == 9
    assert 'synthetic' in result.data


def test_configs_start_from_random_weights():
    path = train_step.EXPERIMENT.parents[1] / 'train' / 'ssd_teacher.yaml'
    config = train_step.training_config(path, {'loop': {'batch_size': 1}})
    assert config.model.encoder_weights is config.pose.encoder_weights is None
    assert (config.loop.batch_size, config.loop.max_epochs) == (1, 20)


def test_an_unknown_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match='--preset must be one of tiny, small'):
        train_step.cases_of('large', tmp_path, seed=0, num_steps=1)
