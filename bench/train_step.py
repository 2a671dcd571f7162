"""Time the parts of a training step without labels, and count the memory that it needs.

    python bench/train_step.py --json docs/results/train_step.json

The real loop trains the rows of `config/experiment/teachers.yaml` for some steps, each in a
process of its own, on a GPU where there is one. Then one more step is counted, and a step at the
published size, which no machine has to compute for that.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, ExitStack
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import get_context
import os
from pathlib import Path
import shlex
import sys
from tempfile import TemporaryDirectory
import time
from typing import Any
from unittest.mock import patch

from accelerate import Accelerator
from accelerate.utils import send_to_device
from loader_speed import NUM_FILES, NUM_VIEWS, render_views, write_drive
from render_results import render_table
from ssd_depth_core.config import from_dict, merged, read_yaml
from ssd_depth_core.data.draws import EndlessDraws
from ssd_depth_core.data.frame_reader import Size
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.data.triplets import TripletDataset
from ssd_depth_core.learning import loop, self_supervised
from ssd_depth_core.learning.run_folder import open_run
from ssd_depth_core.learning.self_supervised import SelfSupervisedConfig, SelfSupervisedTask
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.models.pose_net import PoseNet
from ssd_depth_core.records import provenance, Result, write_result
from step_memory import Batch, count_step, count_step_uncomputed, StepMemory
import torch
from torch.utils.data import default_collate

EXPERIMENT = Path('config/experiment/teachers.yaml')
PARTS = (
    'data',
    'depth_net',
    'pose_net',
    'photometric',
    'other_losses',
    'backward',
    'optimiser',
)
"""Of a step, in their order. `data`: the wait for a batch, and its way to the device.
`other_losses`: smoothness, velocity, and what brings depth to the losses. `optimiser`: clipping
and the moving average too, and all else that the loop does."""
NUM_WARM_STEPS = 5
"""Steps that do not count: the loader has read ahead, and kernels are chosen."""
TARGETS = {
    'data wait / step': ('data_share', 0.1),
    'photometric loss / networks forward': ('photometric_share', 1.0),
    'peak memory / activations': ('memory_ratio', 1.3),
}
"""By their words, the figure that is looked at and what it may be at most."""

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Say what is measured."""

    name: str
    """Of the row."""
    size: str
    """Which size of it, in a word."""
    config: SelfSupervisedConfig
    """What is trained."""
    root: Path
    """Folder of the pictures."""
    lines: list[IndexLine]
    """Their index."""
    num_steps: int
    """Steps to time; 0: nothing is computed, and memory alone is counted."""


class Stopwatch:
    """Share out the time of steps: what has passed since the last mark was the part now named."""

    def __init__(self, device: torch.device) -> None:
        """Start.

        Args:
            device: Is waited for at each mark.
        """
        self.steps: list[Counter[str]] = []
        """Seconds by part, of each finished step."""
        self._device = device
        self._step: Counter[str] = Counter()
        self._last = time.perf_counter()

    def mark(self, part: str) -> None:
        """Name what has just ended.

        Args:
            part: One of `PARTS`.
        """
        if self._device.type == 'cuda':
            torch.cuda.synchronize(self._device)
        now = time.perf_counter()
        self._step[part] += now - self._last  # type: ignore[assignment]  # seconds, not counts
        self._last = now

    def end_step(self) -> None:
        """Close the books of a step."""
        self.steps.append(self._step)
        self._step = Counter()


@contextmanager
def watched(task: SelfSupervisedTask, accelerator: Accelerator) -> Iterator[Stopwatch]:
    """Have the real loop and the real task tell a stopwatch what they have done.

    Args:
        task: That will be trained.
        accelerator: That will be given to the loop.

    Yields:
        The stopwatch.
    """
    watch = Stopwatch(accelerator.device)

    def done(part: str) -> Callable[..., None]:
        return lambda *_: watch.mark(part)

    def around(before: str, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def timed(*args: Any, **kwargs: Any) -> Any:
            watch.mark(before)
            result = function(*args, **kwargs)
            watch.mark(part)
            return result

        return timed

    real_loader, real_update = loop.make_loader, loop.update_average

    def make_loader(*args: Any, **kwargs: Any) -> Iterator[Batch]:
        batches = iter(real_loader(*args, **kwargs))
        next_batch = around('optimiser', next, 'data')
        while True:
            yield next_batch(batches)

    def update_average(*args: Any, **kwargs: Any) -> None:
        real_update(*args, **kwargs)
        watch.mark('optimiser')
        watch.end_step()

    reprojection = around('other_losses', self_supervised.reprojection_loss, 'photometric')
    backward = around('other_losses', accelerator.backward, 'backward')
    with ExitStack() as stack:
        stack.enter_context(patch.object(loop, 'make_loader', make_loader))
        stack.enter_context(patch.object(loop, 'update_average', update_average))
        stack.enter_context(patch.object(self_supervised, 'reprojection_loss', reprojection))
        stack.enter_context(patch.object(accelerator, 'backward', backward))
        for handle in (
            task.register_forward_pre_hook(done('data')),
            task.network.register_forward_hook(done('depth_net')),
            task.pose_net.register_forward_hook(done('pose_net')),
        ):
            stack.callback(handle.remove)
        yield watch


def time_steps(
    task: SelfSupervisedTask,
    dataset: TripletDataset,
    config: loop.LoopConfig,
    accelerator: Accelerator,
    num_steps: int,
) -> dict[str, float]:
    """Train for some steps.

    Args:
        task: What to train.
        dataset: On what.
        config: The loop's, whatever its budget.
        accelerator: As the loop makes it.
        num_steps: Steps to time.

    Returns:
        Seconds of each part: the mean wait for data, for waits come one in many steps; of the
        others the least, which other work on the machine changes little.
    """
    count = NUM_WARM_STEPS + num_steps
    config = replace(
        config,
        max_steps=count,
        max_minutes=None,
        max_epochs=None,
        log_every_steps=count + 1,
        validate_every_steps=count + 1,
    )
    with TemporaryDirectory() as folder, watched(task, accelerator) as watch:
        loop.train(
            task,
            dataset,
            lambda network: Validation({}),
            lambda network, step, metrics: None,
            config,
            open_run(Path(folder, 'run'), {}, {}, resume=False),
            accelerator,
            seed=0,
        )
    steps = watch.steps[NUM_WARM_STEPS:]
    seconds = {part: min(step[part] for step in steps) for part in PARTS}
    return seconds | {'data': sum(step['data'] for step in steps) / num_steps}


def measure(case: Case) -> Row:
    """Time and count one configuration.

    Args:
        case: What to measure.

    Returns:
        The row; times are None where nothing is computed.
    """
    config, model = case.config, case.config.model
    data = replace(
        config.data,
        input_size=(model.input_height, model.input_width),
        mean=model.mean,
        std=model.std,
    )
    dataset = TripletDataset(case.lines, NuScenesSource(case.root), data)
    task = SelfSupervisedTask(build_depth_net(model), PoseNet(config.pose), config.loss)
    draws = EndlessDraws(len(dataset), seed=0)
    batch = default_collate([dataset[x] for x in islice(draws, config.loop.batch_size)])
    seconds = None
    if case.num_steps:
        accelerator = loop.make_accelerator(config.loop, cpu=False)
        seconds = time_steps(task, dataset, config.loop, accelerator, case.num_steps)
        memory = count_step(task, send_to_device(batch, accelerator.device), config.loop)
    else:
        memory = count_step_uncomputed(task, batch, config.loop)
    return {
        'config': case.name,
        'size': case.size,
        'input': f'{model.input_width}x{model.input_height}',
        'losses': f'{data.size[1]}x{data.size[0]}',
        'batch': config.loop.batch_size,
        'precision': config.loop.precision,
        **time_figures(seconds, config.loop.batch_size * config.loop.gradient_accumulation),
        **memory_figures(memory),
    }


def measure_apart(case: Case) -> Row:
    """Measure in a new process: Accelerate keeps one precision as long as a process lives.

    Args:
        case: What to measure.

    Returns:
        As `measure`.
    """
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(measure, case).result()


def time_figures(seconds: dict[str, float] | None, num_images: int) -> Row:
    """Put times into the columns of a row.

    Args:
        seconds: By part; None where there are none.
        num_images: Targets a step.

    Returns:
        Columns; all None where there are no times.
    """
    names = (*(f'{part}_ms' for part in PARTS), 'step_ms', 'images_per_s')
    if seconds is None:
        return dict.fromkeys((*names, 'data_share', 'photometric_share'))
    step = sum(seconds.values())
    figures = (*(1000 * seconds[part] for part in PARTS), 1000 * step, num_images / step)
    networks = seconds['depth_net'] + seconds['pose_net']
    return {
        **dict(zip(names, figures, strict=True)),
        'data_share': seconds['data'] / step,
        'photometric_share': seconds['photometric'] / networks,
    }


def memory_figures(memory: StepMemory) -> Row:
    """Put memory into the columns of a row.

    Args:
        memory: What was counted.

    Returns:
        Columns.
    """
    names = ('weights', 'gradients', 'moments', 'average', 'activations', 'peak')
    return {
        **{f'{name}_mib': getattr(memory, name) / 2**20 for name in names},
        'total_gib': memory.total / 2**30,
        'memory_ratio': memory.peak / memory.activations,
    }


def target_rows(rows: list[Row]) -> list[Row]:
    """Hold rows against the targets.

    Args:
        rows: Of `measure`.

    Returns:
        A line for each target and each row that has its figure.
    """
    return [
        {
            'target': words,
            'config': row['config'],
            'size': row['size'],
            'found': row[figure],
            'at most': limit,
            'met': row[figure] <= limit,
        }
        for words, (figure, limit) in TARGETS.items()
        for row in rows
        if row[figure] is not None
    ]


def tables(rows: list[Row]) -> str:
    """Lay rows out for readers.

    Args:
        rows: Of `measure`.

    Returns:
        Markdown without a final line break: times, memory, targets.
    """
    what = ('config', 'size', 'input', 'losses', 'batch', 'precision')
    times = ('config', 'size', *(f'{part}_ms' for part in PARTS), 'step_ms', 'images_per_s')
    memory = tuple(name for name in rows[0] if name.endswith(('_mib', '_gib')))
    timed = [row for row in rows if row['step_ms'] is not None]
    parts = {
        'Time of a step': [{name: row[name] for name in times} for row in timed],
        'Memory of a step': [{name: row[name] for name in (*what, *memory)} for row in rows],
        'Targets': target_rows(rows),
    }
    return '\n\n'.join(
        f'**{heading}**\n\n{render_table(tuple(part))}' for heading, part in parts.items()
    )


def cases_of(preset: str, root: Path, seed: int, num_steps: int) -> list[Case]:
    """Render a drive and list what is measured on it.

    Args:
        preset: Of the experiment.
        root: Folder to make for the pictures, which are as large as the preset renders them.
        seed: Of the city that is shown.
        num_steps: Steps to time.

    Returns:
        Each row of the experiment as the preset changes it, then each as it is published.

    Raises:
        ValueError: If there is no such preset.
    """
    experiment = read_yaml(EXPERIMENT)
    if preset not in experiment['presets']:
        known = ', '.join(experiment['presets'])
        raise ValueError(f'--preset must be one of {known}, got {preset}')
    given = experiment['presets'][preset]
    data = merged(read_yaml(Path(given['data']['config'])), given['data'].get('set', {}))
    size: Size = (data['image_height'], data['image_width'])
    lines = write_drive(root, render_views(seed, size), size)
    return [
        Case(
            name=name,
            size=word,
            config=training_config(Path(experiment['rows'][name]['config']), changes),
            root=root,
            lines=lines,
            num_steps=count,
        )
        for word, rows, count in (
            (preset, given['rows'], num_steps),
            ('published', {name: {} for name in given['rows']}, 0),
        )
        for name, changes in rows.items()
    ]


def training_config(path: Path, changes: dict[str, Any]) -> SelfSupervisedConfig:
    """Read a config of `training.train_teacher`, to start from random weights.

    Args:
        path: The file.
        changes: Fields to replace, nested.

    Returns:
        The config; what networks start from changes neither time nor memory.
    """
    scratch = {'encoder_weights': None}
    values = merged(read_yaml(path), merged(changes, {'model': scratch, 'pose': scratch}))
    return from_dict(SelfSupervisedConfig, values, str(path))


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--preset', default='small', help='of the experiment: which sizes')
    parser.add_argument('--steps', type=int, default=20, help='timed for each row')
    parser.add_argument('--seed', type=int, default=0, help='of the city that is shown')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    with TemporaryDirectory() as folder:
        cases = cases_of(options.preset, Path(folder, 'drive'), options.seed, options.steps)
        rows = []
        for case in cases:
            rows.append(measure_apart(case))
            print(f'{case.name}, {case.size}: measured', flush=True)
    text = tables(rows)
    print(text)
    if options.json:
        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
        result = Result(
            title='A step of training without labels',
            command=shlex.join(['python', 'bench/train_step.py', *arguments]),
            seed=options.seed,
            data=f'synthetic: {NUM_FILES} JPEGs of {NUM_VIEWS} rendered views, in the page cache',
            rows=tuple(rows),
            notes=(
                f'Threads of torch: {torch.get_num_threads()}; load average at the end, its own '
                f'included: {os.getloadavg()[0]:.1f}. {options.steps} steps after '
                f'{NUM_WARM_STEPS}: the mean wait for data, the least of each other part, and '
                'their sum. Activations are all that the forward '
                'passes of depth and pose network leave alive; the peak is the most that lives '
                'beside weights, gradients, moments, average and batch. Memory is counted: the '
                'tensors that operators give while they live, without what an operator or an '
                'allocator takes for itself; at the published sizes without computing, so that no '
                'GPU has been used for them.'
            ),
            table=text,
            **provenance(gpu),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
