"""The training loop: the only one. Objectives are Tasks; several GPUs are Accelerate's business.

The schedule runs over the *fraction* of a budget of steps or of minutes, so that the learning rate
is always annealed to its end, whatever the machine's speed.
"""

from collections.abc import Callable, Iterator
import contextlib
import copy
from dataclasses import dataclass, field
import logging
import time
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.utils import broadcast
from ssd_depth_core.data.draws import EndlessDraws
from ssd_depth_core.learning.checkpoint import load_state, save_state
from ssd_depth_core.learning.optimizer import parameter_groups
from ssd_depth_core.learning.pictures import write_pictures
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.schedule import learning_rate_share, Schedule
from ssd_depth_core.learning.task import Task, Validation
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

logger = logging.getLogger(__name__)

BUDGETS = ('max_steps', 'max_minutes', 'max_epochs')
"""Fields of `LoopConfig` of which exactly one is given."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """Say how long, how fast and how often."""

    max_steps: int | None = None
    """Budget of optimizer steps; None: no such budget."""
    max_minutes: float | None = None
    """Budget of wall-clock minutes, validation included; None: no such budget."""
    max_epochs: float | None = None
    """Budget of visits to each sample; None: no such budget."""
    batch_size: int = 16
    """Samples a process and backward pass."""
    gradient_accumulation: int = 1
    """Backward passes a step; their mean gradient is that of one batch as large as all of them."""
    learning_rate: float = 2e-3
    """Of AdamW at its peak."""
    learning_rate_factors: dict[str, float] = field(default_factory=dict)
    """By prefix of a parameter's name, e.g. `{network.encoder: 0.1}`; the longest one counts."""
    weight_decay: float = 0.05
    """Of AdamW; none on biases and norms. With 0 it is Adam."""
    warmup_fraction: float = 0.03
    """Share of the budget in which the learning rate rises linearly; the schedule follows."""
    schedule: Schedule = 'cosine'
    """How the learning rate falls: to 0, or in steps."""
    decay_factor: float = 0.1
    """What each step of the `step` schedule multiplies the learning rate by."""
    decay_fractions: tuple[float, ...] = (0.75,)
    """Shares of the budget at which `step` falls; 0.75 is monodepth2's epoch 15 of 20."""
    max_gradient_norm: float = 1.0
    """Longer gradients are shortened to this."""
    ema_decay: float = 0.999
    """Of the average of the weights that is validated and saved; smaller in the first steps."""
    precision: Literal['fp32', 'bf16', 'fp16'] = 'fp32'
    """Of activations; weights stay fp32. On a CPU bf16 pays where `lscpu` says avx512_bf16."""
    num_workers: int = 1
    """Processes that read and augment."""
    log_every_steps: int = 50
    """Steps between two lines."""
    validate_every_steps: int = 1000
    """Steps between two validations, each of which saves checkpoint and state."""

    def __post_init__(self) -> None:
        """Validate the budget and the counts.

        Raises:
            ValueError: If not exactly one budget is given or a value is out of its range.
        """
        budgets = {name: getattr(self, name) for name in BUDGETS}
        if sum(value is not None for value in budgets.values()) != 1:
            given = ', '.join(f'{name}={value}' for name, value in budgets.items())
            raise ValueError(f'give exactly one of {", ".join(BUDGETS)}, got {given}')
        for name in (
            *BUDGETS,
            'batch_size',
            'gradient_accumulation',
            'learning_rate',
            'max_gradient_norm',
            'log_every_steps',
            'validate_every_steps',
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f'{name} must be > 0, got {value}')
        for name in ('warmup_fraction', 'ema_decay'):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f'{name} must be in [0, 1), got {getattr(self, name)}')
        if not 0 < self.decay_factor <= 1:
            raise ValueError(f'decay_factor must be in (0, 1], got {self.decay_factor}')
        if not all(0 < fraction < 1 for fraction in self.decay_fractions):
            raise ValueError(f'decay_fractions must lie in (0, 1), got {self.decay_fractions}')
        for prefix, factor in self.learning_rate_factors.items():
            if factor <= 0:
                raise ValueError(
                    f'learning_rate_factors must be > 0, got {factor} for {prefix}; to freeze '
                    "parameters is the task's business"
                )


def fraction_spent(
    step: int, draws: int, minutes: float, num_samples: int, config: LoopConfig
) -> float:
    """Say how much of the budget is gone.

    Args:
        step: Optimizer steps taken.
        draws: Samples taken.
        minutes: Since the start, those of resumed processes added up.
        num_samples: Of the data set; so many draws are an epoch.
        config: Gives the one budget.

    Returns:
        At least 0; 1 or more when it is spent.
    """
    if config.max_minutes is not None:
        return minutes / config.max_minutes
    if config.max_epochs is not None:
        return draws / (config.max_epochs * num_samples)
    assert config.max_steps is not None  # LoopConfig holds one of the three
    return step / config.max_steps


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int, decay: float) -> None:
    """Move the average towards the network.

    Args:
        average: Written to; buffers such as batch norm's statistics are averaged as well.
        network: Same architecture.
        step: Steps taken; the first ones forget faster, or the random start would linger.
        decay: In [0, 1).
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    for mean, value in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.is_floating_point():
            mean.lerp_(value, weight)
        else:
            mean.copy_(value)


def make_accelerator(config: LoopConfig, cpu: bool) -> Accelerator:
    """Join the processes that were launched together, one or many.

    Args:
        config: Gives the precision.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        What places tensors and sums gradients; knows which process is the main one.
    """
    precision = 'no' if config.precision == 'fp32' else config.precision
    return Accelerator(cpu=cpu, mixed_precision=precision)


def train(
    task: Task,
    dataset: Dataset[Any],
    validate: Callable[[nn.Module], Validation],
    save: Callable[[nn.Module, int, dict[str, Any]], None],
    config: LoopConfig,
    run: RunFolder,
    accelerator: Accelerator,
    *,
    seed: int,
    resume: bool = False,
) -> nn.Module:
    """Train until the budget is spent.

    Args:
        task: The objective; an `nn.Module`.
        dataset: Takes a (number, seed) of `EndlessDraws`.
        validate: Measures the averaged network.
        save: Writes the averaged network, given the step and these metrics, as a checkpoint.
        config: Budget, optimizer and intervals.
        run: Where numbers and state go.
        accelerator: From `make_accelerator`.
        seed: Of the order of samples and their augmentation.
        resume: Whether to go on from the run's state, exactly, if data and config are the same.

    Returns:
        The averaged network.

    Raises:
        FloatingPointError: If the loss or its gradient is not finite; the weights are those before
            that step.
    """
    # Build everything that has state.
    assert isinstance(task, nn.Module)
    optimizer = torch.optim.AdamW(
        parameter_groups(task, config.weight_decay, config.learning_rate_factors),
        lr=config.learning_rate,
    )
    average = copy.deepcopy(task.network).requires_grad_(False).eval().to(accelerator.device)
    stateful = {'task': task, 'average': average}
    module, optimizer = accelerator.prepare(task, optimizer)

    # Go on where a former process stopped.
    step, draws, spent_min = 0, 0, 0.0
    draws_a_step = config.batch_size * config.gradient_accumulation * accelerator.num_processes
    if resume:
        progress = load_state(run.state, stateful, optimizer.optimizer)
        step, draws, spent_min = (progress[name] for name in ('step', 'draws', 'minutes'))
        logger.info('resuming at step %d after %.1f min', step, spent_min)

    # Enter the stream of samples where it was left, whatever the batch then.
    loader = accelerator.prepare(
        DataLoader(
            dataset,
            batch_size=config.batch_size,
            sampler=EndlessDraws(len(dataset), seed, start=draws),  # type: ignore[arg-type]
            num_workers=config.num_workers,
            prefetch_factor=4 if config.num_workers else None,
            worker_init_fn=_one_thread_a_worker,
        )
    )

    def checkpoint() -> None:
        """Validate, save weights and state; the main process alone."""
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            validation = validate(average)
            run.append_metrics(
                {'step': step, 'minutes': minutes(), 'validation': validation.metrics}
            )
            write_pictures(run.pictures, validation.pictures, step)
            save(average, step, validation.metrics)
            progress = {'step': step, 'draws': draws, 'minutes': minutes()}
            save_state(run.state, stateful, optimizer.optimizer, progress)

    def minutes() -> float:
        return spent_min + (time.monotonic() - started) / 60

    started = logged = time.monotonic()
    logged_step = step
    sums: dict[str, torch.Tensor] = {}
    module.train()
    bar = tqdm(
        total=100.0,
        bar_format='{l_bar}{bar}| {elapsed}{postfix}',
        disable=None if accelerator.is_main_process else True,  # None: unless at a terminal
    )
    batches = iter(loader)
    while True:
        # Set the learning rate by the fraction of the budget spent; all processes agree on it.
        fraction = fraction_spent(step, draws, minutes(), len(dataset), config)  # type: ignore[arg-type]
        fraction = broadcast(torch.tensor(fraction, device=accelerator.device)).item()
        if fraction >= 1:
            break
        rate = config.learning_rate * learning_rate_share(
            fraction,
            config.schedule,
            warmup_fraction=config.warmup_fraction,
            decay_factor=config.decay_factor,
            decay_fractions=config.decay_fractions,
        )
        for group in optimizer.param_groups:
            group['lr'] = rate * group['factor']

        # Compute the gradient. A bad one must reach neither weights nor average; all processes
        # stop together, or the others would wait for ever (this waits for the GPU).
        parts = _accumulate_gradient(module, batches, config.gradient_accumulation, accelerator)
        norm = accelerator.clip_grad_norm_(module.parameters(), config.max_gradient_norm)
        bad = ~(torch.isfinite(parts['loss']) & torch.isfinite(norm))
        if accelerator.reduce(bad.float()).item():
            values = {name: value.item() for name, value in parts.items()}
            raise FloatingPointError(
                f'loss or gradient is not finite at step {step}: {values}, gradient norm '
                f'{norm.item()}; lower learning_rate (now {rate:g}) or look at the data; the last '
                f'good state is in {run.state}'
            )

        # Update weights, then their average.
        optimizer.step()
        optimizer.zero_grad()
        step, draws = step + 1, draws + draws_a_step
        update_average(average, task.network, step, config.ema_decay)

        # Log the means since the last line.
        for name, value in (*parts.items(), ('gradient_norm', norm)):
            sums[name] = sums.get(name, 0) + value.detach()
        now = time.monotonic()
        if step % config.log_every_steps == 0 and accelerator.is_main_process:
            count, seconds = step - logged_step, now - logged
            means = {name: round(float(value) / count, 5) for name, value in sums.items()}
            speed = count * draws_a_step / seconds
            row = {'step': step, 'minutes': round(minutes(), 3), 'learning_rate': rate, **means}
            run.append_metrics({**row, 'images_per_s': round(speed, 1)})
            text = ' '.join(f'{name} {value:.4f}' for name, value in means.items())
            line = f'{fraction:6.1%}  step {step}  {speed:.1f} images/s  lr {rate:.2e}  {text}'
            bar.update(100 * fraction - bar.n)
            bar.set_postfix_str(line)
            if bar.disable:
                logger.info(line)
            logged, logged_step, sums = now, step, {}

        # Validate and save.
        if step % config.validate_every_steps == 0:
            now = time.monotonic()
            checkpoint()
            logged += time.monotonic() - now  # so that the line tells the speed of training alone

    bar.close()
    checkpoint()
    accelerator.end_training()
    return average


def _accumulate_gradient(
    module: nn.Module, batches: Iterator[Any], count: int, accelerator: Accelerator
) -> dict[str, torch.Tensor]:
    """Add up the gradient of the mean loss over some batches; give the means of its parts."""
    means: dict[str, torch.Tensor] = {}
    for number in range(count):
        # The processes' gradients are averaged once, with the last batch.
        last = number == count - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(module):
            parts = module(next(batches))
            accelerator.backward(parts['loss'] / count)
        for name, value in parts.items():
            means[name] = means.get(name, 0) + value.detach() / count
    return means


def _one_thread_a_worker(worker: int) -> None:
    """Keep OpenCV from starting a thread a core in every worker."""
    import cv2

    cv2.setNumThreads(0)
