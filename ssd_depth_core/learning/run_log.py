"""What a training tells while it runs: metrics.jsonl, TensorBoard, pictures, and the terminal."""

from collections.abc import Iterator
import logging
import time
from types import TracebackType
from typing import Any

from accelerate import Accelerator
from ssd_depth_core.learning.pictures import write_pictures
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.learning.training_state import Progress
import torch
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

logger = logging.getLogger(__name__)


class RunLog:
    """Add up the numbers of steps, and write their means line by line.

    Every process has one, for the means are over all of them; the main process's one writes.
    """

    def __init__(self, run: RunFolder, accelerator: Accelerator, first_step: int) -> None:
        """Open the log.

        Args:
            run: Where the files lie.
            accelerator: Knows the other processes.
            first_step: Steps behind the training; what a former process wrote of later ones is
                taken back, for they come again.
        """
        self.run = run
        self.accelerator = accelerator
        self.sums: dict[str, torch.Tensor] = {}
        self.num_steps = self.num_samples = 0
        self.learning_rate = self.fraction = 0.0
        self.began = time.monotonic()
        self.writer: SummaryWriter | None = None
        if accelerator.is_main_process:
            run.cut_metrics(first_step)
            self.writer = SummaryWriter(run.tensorboard, purge_step=first_step + 1)
        self.bar = tqdm(
            total=100.0,
            bar_format='{l_bar}{bar}| {elapsed}{postfix}',
            disable=None if accelerator.is_main_process else True,  # None: unless at a terminal
        )

    def __enter__(self) -> 'RunLog':
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bar.close()
        if self.writer is not None:
            self.writer.close()

    def add(
        self,
        parts: dict[str, torch.Tensor],
        learning_rate: float,
        num_samples: int,
        fraction: float,
    ) -> None:
        """Take the numbers of a step.

        Args:
            parts: Scalars by name, the same names in every step; left on their device.
            learning_rate: Of the step.
            num_samples: That it took, for the speed.
            fraction: Of the budget that was spent before it.
        """
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
        self.num_steps += 1
        self.num_samples += num_samples
        self.learning_rate, self.fraction = learning_rate, fraction

    def write_steps(self, progress: Progress) -> None:
        """Write a line with the means since the last one, if any; every process must call it.

        Args:
            progress: How far the training is.
        """
        if not self.num_steps:
            return
        means = self.accelerator.reduce(self.sums, 'mean')
        row = {
            **_row(progress),
            'learning_rate': self.learning_rate,
            **{name: round(value.item() / self.num_steps, 5) for name, value in means.items()},
            'images_per_s': round(self.num_samples / (time.monotonic() - self.began), 1),
        }
        self.sums, self.num_steps, self.num_samples, self.began = {}, 0, 0, time.monotonic()
        if self.writer is None:
            return
        self.run.append_metrics(row)
        for name, value in row.items():
            self.writer.add_scalar(f'training/{name}', value, progress.step)
        text = '  '.join(f'{name} {value:.5g}' for name, value in row.items())
        self.bar.update(100 * self.fraction - self.bar.n)
        self.bar.set_postfix_str(text)
        if self.bar.disable:
            logger.info('%5.1f%%  %s', 100 * self.fraction, text)

    def restart_clock(self) -> None:
        """Leave the time since the last line out of the speed: it was no training."""
        self.began = time.monotonic()

    def write_validation(self, progress: Progress, validation: Validation) -> None:
        """Write numbers and pictures; the main process's part alone.

        Args:
            progress: How far the training is.
            validation: What was measured.
        """
        assert self.writer is not None
        self.run.append_metrics({**_row(progress), 'validation': validation.metrics})
        write_pictures(self.run.pictures, validation.pictures, progress.step)
        for name, value in _flat(validation.metrics, 'validation'):
            self.writer.add_scalar(name, value, progress.step)
        for name, picture in validation.pictures.items():
            self.writer.add_image(name, picture, progress.step, dataformats='HWC')
        self.writer.flush()


def _row(progress: Progress) -> dict[str, Any]:
    """Begin a line."""
    return {'step': progress.step, 'minutes': round(progress.minutes, 3)}


def _flat(metrics: dict[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    """Name every number by its path, such as `validation/night/abs_rel`."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield from _flat(value, f'{prefix}/{name}')
        elif isinstance(value, (int, float)):
            yield f'{prefix}/{name}', value
