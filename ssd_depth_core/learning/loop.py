"""The training loop: the only one. Objectives are Tasks; several GPUs are Accelerate's business.

The schedule runs over the *fraction* of a budget of steps or of minutes, so that the learning rate
is always annealed to its end, whatever the machine's speed.
"""

from collections.abc import Callable
import copy
from dataclasses import dataclass
import logging
import math
import time
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.utils import broadcast
from ssd_depth_core.data.draws import EndlessDraws
from ssd_depth_core.learning.checkpoint import load_state, save_state
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.task import Task
from timm.optim import param_groups_weight_decay
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopConfig:
    """Say how long, how fast and how often."""

    max_steps: int | None = None
    """Budget of optimizer steps; None: no such budget."""
    max_minutes: float | None = None
    """Budget of wall-clock minutes, validation included; None: no such budget."""
    batch_size: int = 16
    """Samples a process and step."""
    learning_rate: float = 2e-3
    """Of AdamW at the end of the warm-up."""
    weight_decay: float = 0.05
    """Of AdamW; none on biases and norms."""
    warmup_fraction: float = 0.03
    """Share of the budget in which the learning rate rises linearly; a cosine to 0 follows."""
    max_gradient_norm: float = 1.0
    """Longer gradients are shortened to this."""
    ema_decay: float = 0.999
    """Of the average of the weights that is validated and saved; smaller in the first steps."""
    precision: Literal['fp32', 'bf16'] = 'fp32'
    """Of activations; weights stay fp32. On a CPU bf16 pays where `lscpu` says avx512_bf16."""
    num_workers: int = 1
    """Processes that read and augment."""
    log_every_s: float = 10.0
    """Seconds between two lines."""
    validate_every_steps: int = 1000
    """Steps between two validations, each of which saves checkpoint and state."""

    def __post_init__(self) -> None:
        """Validate the budget and the counts.

        Raises:
            ValueError: If not exactly one budget is given or a value is out of its range.
        """
        if (self.max_steps is None) == (self.max_minutes is None):
            raise ValueError(
                'give exactly one of max_steps and max_minutes, '
                f'got {self.max_steps} and {self.max_minutes}'
            )
        for name in (
            'max_steps',
            'max_minutes',
            'batch_size',
            'learning_rate',
            'max_gradient_norm',
            'validate_every_steps',
        ):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f'{name} must be > 0, got {value}')
        for name in ('warmup_fraction', 'ema_decay'):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f'{name} must be in [0, 1), got {getattr(self, name)}')


def fraction_spent(step: int, minutes: float, config: LoopConfig) -> float:
    """Say how much of the budget is gone.

    Args:
        step: Optimizer steps taken.
        minutes: Since the start, those of resumed processes added up.
        config: Gives the one budget.

    Returns:
        At least 0; 1 or more when it is spent.
    """
    if config.max_minutes is not None:
        return minutes / config.max_minutes
    assert config.max_steps is not None  # LoopConfig holds one of the two
    return step / config.max_steps


def learning_rate_at(fraction: float, config: LoopConfig) -> float:
    """Follow the schedule.

    Args:
        fraction: Of the budget, in [0, 1].
        config: Gives peak and warm-up.

    Returns:
        The learning rate: linear from 0 to the peak, then half a cosine down to 0.
    """
    if fraction < config.warmup_fraction:
        return config.learning_rate * fraction / config.warmup_fraction
    annealed = (fraction - config.warmup_fraction) / (1 - config.warmup_fraction)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(annealed, 1.0)))


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
    validate: Callable[[nn.Module], dict[str, Any]],
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
        validate: From the averaged network to numbers that JSON can hold.
        save: Writes the averaged network, given the step and these numbers, as a checkpoint.
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
        param_groups_weight_decay(task, config.weight_decay), lr=config.learning_rate
    )
    average = copy.deepcopy(task.network).requires_grad_(False).eval().to(accelerator.device)
    stateful = {'task': task, 'average': average}
    module, optimizer = accelerator.prepare(task, optimizer)

    # Go on where a former process stopped.
    step, draws, spent_min = 0, 0, 0.0
    draws_a_step = config.batch_size * accelerator.num_processes
    if resume:
        progress = load_state(run.state, stateful, optimizer.optimizer)
        step, spent_min = progress['step'], progress['minutes']
        # States written before `draws` was are of runs that never changed their batch.
        draws = progress.get('draws', step * draws_a_step)
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
            metrics = validate(average)
            run.append_metrics({'step': step, 'minutes': minutes(), 'validation': metrics})
            save(average, step, metrics)
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
    for batch in loader:
        # Set the learning rate by the fraction of the budget spent; all processes agree on it.
        fraction = fraction_spent(step, minutes(), config)
        fraction = broadcast(torch.tensor(fraction, device=accelerator.device)).item()
        if fraction >= 1:
            break
        rate = learning_rate_at(fraction, config)
        for group in optimizer.param_groups:
            group['lr'] = rate

        # Compute the gradient. A bad one must reach neither weights nor average; all processes
        # stop together, or the others would wait for ever (this waits for the GPU).
        parts = module(batch)
        accelerator.backward(parts['loss'])
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
        if now - logged >= config.log_every_s and accelerator.is_main_process:
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


def _one_thread_a_worker(worker: int) -> None:
    """Keep OpenCV from starting a thread a core in every worker."""
    import cv2

    cv2.setNumThreads(0)
