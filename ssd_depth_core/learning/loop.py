"""The training loop: the only one. Objectives are Tasks; several GPUs are Accelerate's business.

The schedule runs over the *fraction* of a budget of steps, minutes or epochs, so that the learning
rate is always annealed to its end, whatever the machine's speed.
"""

from collections.abc import Callable, Iterator
import contextlib
import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
import logging
import time
from typing import Any, Literal

from accelerate import Accelerator
from accelerate.utils import broadcast, InitProcessGroupKwargs, send_to_device, set_seed
from ssd_depth_core.data.draws import EndlessDraws
from ssd_depth_core.data.loading import make_loader
from ssd_depth_core.learning.average import update_average
from ssd_depth_core.learning.noise import gather_noise, restore_noise
from ssd_depth_core.learning.optimizer import parameter_groups
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.run_log import RunLog
from ssd_depth_core.learning.schedule import learning_rate_share, Schedule
from ssd_depth_core.learning.task import Task, Validation
from ssd_depth_core.learning.training_state import Progress, TrainingState
import torch
from torch import nn
from torch.utils.data import Dataset

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
            raise ValueError(
                f'give exactly one of {", ".join(BUDGETS)} and set the others to null, got {given}'
            )
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


def make_accelerator(config: LoopConfig, cpu: bool) -> Accelerator:
    """Join the processes that were launched together, one or many.

    Args:
        config: Gives the precision.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        What places tensors and sums gradients; knows which process is the main one.

    Raises:
        ValueError: If the precision is fp16 and there is no GPU to compute in it.
    """
    if config.precision == 'fp16' and (cpu or not torch.cuda.is_available()):
        raise ValueError('precision fp16 needs a GPU, got a CPU; take fp32, or bf16 if it is fast')
    precision = 'no' if config.precision == 'fp32' else config.precision
    # The others wait while the main process validates, which may take longer than NCCL's ten
    # minutes.
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=2))
    return Accelerator(cpu=cpu, mixed_precision=precision, kwargs_handlers=[patience])


def fraction_spent(progress: Progress, num_samples: int, config: LoopConfig) -> float:
    """Say how much of the budget is gone.

    Args:
        progress: How far the training is.
        num_samples: Of the data set; so many draws are an epoch.
        config: Gives the one budget.

    Returns:
        At least 0; 1 or more when it is spent.
    """
    if config.max_minutes is not None:
        return progress.minutes / config.max_minutes
    if config.max_epochs is not None:
        return progress.draws / (config.max_epochs * num_samples)
    assert config.max_steps is not None  # LoopConfig holds one of the three
    return progress.step / config.max_steps


def train(
    task: Task,
    dataset: Dataset[dict[str, torch.Tensor]],
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
        save: Writes the averaged network, given the step and its metrics, as a checkpoint.
        config: Budget, optimizer and intervals.
        run: Where numbers, pictures and state go.
        accelerator: From `make_accelerator`.
        seed: Of the order of samples, their augmentation and the task's own noise.
        resume: Whether to go on from the run's state, exactly, if data and config are the same.

    Returns:
        The averaged network.

    Raises:
        FileNotFoundError: If there is no state to go on from.
        FloatingPointError: If the loss or its gradient is not finite; the weights are those before
            that step.
        OSError: If the disk is full; the last state and checkpoint are kept.
        ValueError: If a learning rate is set for what the task does not have, or the state to go
            on from does not fit.
    """
    # 1. Build everything that has state, and go on where a former process stopped.
    assert isinstance(task, nn.Module)
    rank, world_size = accelerator.process_index, accelerator.num_processes
    set_seed(seed, device_specific=True)  # no two processes draw the same noise
    groups = parameter_groups(task, config.weight_decay, config.learning_rate_factors)
    module, optimizer = accelerator.prepare(task, torch.optim.AdamW(groups))
    average = copy.deepcopy(task.network).requires_grad_(False).eval()
    state = TrainingState(
        task=task, average=average, optimizer=optimizer, scaler=accelerator.scaler
    )
    progress = Progress()
    if resume:
        progress, noise = state.load(run.state)
        restore_noise(noise, rank)
        logger.info('resuming at step %d after %.1f min', progress.step, progress.minutes)

    # 2. Enter the stream of samples where it was left, whatever the batch then.
    num_samples = len(dataset)  # type: ignore[arg-type]  # torch's Dataset need not have a length
    draws = EndlessDraws(num_samples, seed, progress.draws, rank=rank, world_size=world_size)
    batches = iter(make_loader(dataset, draws, config.batch_size, config.num_workers))
    draws_a_step = config.batch_size * config.gradient_accumulation * world_size

    # 3. Say how to keep what is learnt. The state comes last: after a kill in between, the run
    # goes on from the one before, and all that was unfinished is done again.
    began, kept_step = time.monotonic() - 60 * progress.minutes, progress.step

    def now() -> Progress:
        return replace(progress, minutes=(time.monotonic() - began) / 60)

    def keep_state() -> None:
        nonlocal kept_step
        noise = gather_noise(accelerator)
        if accelerator.is_main_process:
            state.save(run.state, now(), noise)
        kept_step = progress.step
        log.restart_clock()

    def validate_and_keep() -> None:
        log.write_steps(now())  # a line that spans a state would be another in a resumed run
        if accelerator.is_main_process:
            validation = validate(average)
            log.write_validation(now(), validation)
            save(average, progress.step, validation.metrics)
        keep_state()

    module.train()
    with RunLog(run, accelerator, progress.step) as log:
        if not resume:
            keep_state()  # so that a full disk is found now, and not in an hour

        # 4. Step until the budget is spent, whose fraction sets the learning rate.
        while (fraction := _agreed(fraction_spent(now(), num_samples, config), accelerator)) < 1:
            rate = _set_learning_rate(optimizer, fraction, config)

            # 5. Compute the gradient. A bad one must reach neither weights nor average.
            parts = _accumulate_gradient(module, batches, config, accelerator)
            norm = accelerator.clip_grad_norm_(module.parameters(), config.max_gradient_norm)
            _check_finite(parts, norm, accelerator, progress.step, rate, run)

            # 6. Update the weights, then their average. Where fp16 overflowed, Accelerate has
            # lowered the scale of the loss instead, and the step is to be taken yet.
            optimizer.step()
            optimizer.zero_grad()
            progress = replace(progress, draws=progress.draws + draws_a_step)
            if optimizer.step_was_skipped:
                continue
            progress = replace(progress, step=progress.step + 1)
            update_average(average, task.network, progress.step, config.ema_decay)

            # 7. Log, validate and keep.
            log.add({**parts, 'gradient_norm': norm}, rate, draws_a_step, fraction)
            if progress.step % config.validate_every_steps == 0:
                validate_and_keep()
            elif progress.step % config.log_every_steps == 0:
                log.write_steps(now())

        if progress.step > kept_step:
            validate_and_keep()
    accelerator.end_training()
    return average


def _agreed(fraction: float, accelerator: Accelerator) -> float:
    """Take the main process's word, for clocks differ."""
    return float(broadcast(torch.tensor(fraction, device=accelerator.device)).item())


def _set_learning_rate(
    optimizer: torch.optim.Optimizer, fraction: float, config: LoopConfig
) -> float:
    """Set each group's learning rate by the schedule; give that of a group whose factor is 1."""
    rate = config.learning_rate * learning_rate_share(
        fraction,
        config.schedule,
        warmup_fraction=config.warmup_fraction,
        decay_factor=config.decay_factor,
        decay_fractions=config.decay_fractions,
    )
    for group in optimizer.param_groups:
        group['lr'] = rate * group['factor']
    return rate


def _accumulate_gradient(
    module: nn.Module,
    batches: Iterator[dict[str, torch.Tensor]],
    config: LoopConfig,
    accelerator: Accelerator,
) -> dict[str, torch.Tensor]:
    """Compute the gradient of the mean loss over some batches; give the means of its parts."""
    count = config.gradient_accumulation
    means: dict[str, torch.Tensor] = {}
    for number in range(count):
        # The processes average their gradients once, with the last batch.
        last = number == count - 1
        with contextlib.nullcontext() if last else accelerator.no_sync(module):
            parts = module(send_to_device(next(batches), accelerator.device, non_blocking=True))
            accelerator.backward(parts['loss'] / count)
        for name, value in parts.items():
            means[name] = means.get(name, 0) + value.detach() / count
    return means


def _check_finite(
    parts: dict[str, torch.Tensor],
    norm: torch.Tensor,
    accelerator: Accelerator,
    step: int,
    rate: float,
    run: RunFolder,
) -> None:
    """Stop all processes where one has a bad loss or gradient; alone, it would leave them waiting.

    An fp16 gradient that overflows because its loss is scaled up is no bad one.
    """
    scaler = accelerator.scaler
    bad = ~torch.isfinite(parts['loss'])
    if scaler is None or scaler.get_scale() < 1:
        bad = bad | ~torch.isfinite(norm)
    if accelerator.reduce(bad.float()).item():  # waits for the GPU
        values = {name: value.item() for name, value in parts.items()}
        raise FloatingPointError(
            f'loss or gradient is not finite at step {step}: {values}, gradient norm '
            f'{norm.item()}; lower learning_rate (now {rate:g}) or look at the data; the last '
            f'good state is in {run.state}'
        )
