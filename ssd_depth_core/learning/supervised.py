"""Training against exact depth: the first student, and the upper bound of every table after it."""

from dataclasses import dataclass, field, replace
import logging
from pathlib import Path
from typing import Any

import numpy as np
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.rendered import (
    describe_sets,
    EvaluationFrames,
    Frame,
    read_frames,
    RenderedConfig,
    TrainingFrames,
)
from ssd_depth_core.learning.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from ssd_depth_core.learning.evaluation import evaluate, table
from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.losses.supervised import (
    canonical_log_depth,
    gradient_matching,
    laplace_nll,
    log_depth_residual,
)
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.records import code_commit
import torch
from torch import nn

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedLossConfig:
    """Weigh the parts of the objective."""

    beta: float = 1.0
    """How far pixels of small scale are kept from dominating; see `laplace_nll`."""
    gradient_weight: float = 0.5
    """Of the gradient matching term, against 1 for the likelihood."""
    num_scales: int = 4
    """Scales of gradient matching."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisedConfig:
    """Hold everything that one supervised training needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples and augmentation."""
    model: DepthNetConfig = field(default_factory=DepthNetConfig)
    """The network."""
    initial_checkpoint: Path | None = None
    """Weights to start from, of the same architecture; None: fresh ones."""
    data: RenderedConfig = field(default_factory=RenderedConfig)
    """What is drawn and how it is changed."""
    num_validation_frames: int = 200
    """Validation frames measured at each validation, spread evenly over the split."""
    loss: SupervisedLossConfig = field(default_factory=SupervisedLossConfig)
    """The objective."""
    loop: LoopConfig
    """Budget and optimizer."""


class SupervisedTask(nn.Module):
    """Learn canonical depth and its uncertainty from exact depth; a `Task`."""

    def __init__(self, network: DepthNet, loss: SupervisedLossConfig) -> None:
        """Take the network.

        Args:
            network: What is trained.
            loss: Weights of the parts.
        """
        super().__init__()
        # NHWC is 1.6 times as fast on a CPU, and what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = loss

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: `image` (B, 3, H, W) normalised; `depth` (B, 1, H, W) [m], NaN unknown, inf
                beyond; `K` (B, 3, 3) pixels.

        Returns:
            `loss`, its parts `nll` and `gradient`, and `log_error`, the mean |residual|.
        """
        config = self.network.config
        output = self.network(batch['image'].contiguous(memory_format=torch.channels_last))
        truth = canonical_log_depth(batch['depth'], batch['K'], config.canonical_focal_px)
        residual = log_depth_residual(-torch.log(output.inverse_depth), truth, config.max_depth_m)
        valid_mask = ~torch.isnan(truth)
        nll = laplace_nll(residual, output.log_scale, valid_mask, self.loss.beta)
        gradient = gradient_matching(residual, valid_mask, self.loss.num_scales)
        return {
            'loss': nll + self.loss.gradient_weight * gradient,
            'nll': nll.detach(),
            'gradient': gradient.detach(),
            'log_error': residual.detach()[valid_mask].abs().mean(),
        }


def train_supervised(
    config: SupervisedConfig,
    folders: list[Path],
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a depth network on rendered sets.

    Args:
        config: What to do.
        folders: One or more training sets; the frames present now are used.
        out: Run folder.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If a set, the initial checkpoint or the state to resume is missing.
        ValueError: If one of these is damaged or does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    accelerator = make_accelerator(config.loop, cpu)

    # 1. Data, before anything is written: a wrong folder must leave no run behind.
    model, size = config.model, (config.model.input_height, config.model.input_width)
    train_frames = read_frames(folders, 'train')
    validation_frames = _spread(read_frames(folders, 'validation'), config.num_validation_frames)
    conditions = sorted({name for f in validation_frames for name in f.line.conditions})
    by_condition: dict[str, Any] = {
        condition: EvaluationFrames(validation_frames, condition, size, model.mean, model.std)
        for condition in conditions
    }
    dataset = TrainingFrames(train_frames, config.data, size, model.mean, model.std)
    if accelerator.is_main_process:
        counts = len(train_frames), len(validation_frames)
        logger.info('%d training frames, %d for validation', *counts)

    # 2. Network.
    torch.manual_seed(config.seed)
    if config.initial_checkpoint is None:
        # A resumed run has all its weights in its state.
        network = build_depth_net(replace(model, pretrained=model.pretrained and not resume))
    else:
        network, info = load_checkpoint(config.initial_checkpoint)
        if info.model != model:
            raise ValueError(
                f'initial_checkpoint {config.initial_checkpoint} was made with {info.model}, '
                f'but the config asks for {model}; make them equal'
            )
        network.train()

    # 3. What the loop calls back. Code and sets may change on disk while it runs.
    commit = code_commit()
    data = (
        f'synthetic: {len(train_frames)} rendered street frames in {", ".join(conditions)}; '
        f'{describe_sets(train_frames)}'
    )

    def validate(average: nn.Module) -> Validation:
        rows = evaluate(
            predictor_of(average),
            by_condition,
            canonical_focal_px=model.canonical_focal_px,
            max_depth_m=model.max_depth_m,
        )
        logger.info('%s', table(rows))
        return Validation(rows)

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        assert isinstance(average, DepthNet)
        info = CheckpointInfo(
            model=model,
            step=step,
            training_command=command,
            training_config=to_dict(config),
            training_commit=commit,
            training_data=data,
            metrics=metrics,
        )
        save_checkpoint(run.checkpoint, average, info)

    # 4. Train. One process makes the folder; the others would find it taken.
    run = open_run(out, to_dict(config), resume) if accelerator.is_main_process else RunFolder(out)
    task = SupervisedTask(network, config.loss)
    loop = config.loop
    train(task, dataset, validate, save, loop, run, accelerator, seed=config.seed, resume=resume)
    return run


def predictor_of(network: nn.Module) -> Any:
    """Make a network what `evaluate` calls.

    Args:
        network: A `DepthNet` in evaluation mode.

    Returns:
        From images to canonical inverse depth, without gradients, on the network's device.
    """
    device = next(network.parameters()).device

    @torch.inference_mode()
    def predict(image: torch.Tensor) -> torch.Tensor:
        inverse_depth: torch.Tensor = network(image.to(device)).inverse_depth
        return inverse_depth

    return predict


def _spread(frames: list[Frame], count: int) -> list[Frame]:
    """Take at most `count` frames, evenly over the list: neighbours show the same street."""
    indices = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[index] for index in indices]
