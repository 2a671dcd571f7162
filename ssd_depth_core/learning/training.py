"""What every training does around its loop: weights to start from, validation, checkpoints."""

from collections.abc import Callable, Sequence
from dataclasses import replace
import logging
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.canonical_depth import metric_depth_of
from ssd_depth_core.config import to_dict
from ssd_depth_core.learning.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint
from ssd_depth_core.learning.evaluation import evaluate, Predict, table
from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.pictures import draw_depth
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.run_inputs import Inputs
from ssd_depth_core.learning.task import Task, Validation
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.factory import build_depth_net
from ssd_depth_core.preprocess import focal_of
from ssd_depth_core.records import code_commit
import torch
from torch import nn
from torch.utils.data import Dataset

logger = logging.getLogger(__name__)
T = TypeVar('T')


def initial_network(model: DepthNetConfig, checkpoint: Path | None, resume: bool) -> DepthNet:
    """Build the network that a training starts from.

    Args:
        model: What to build.
        checkpoint: Weights to start from; None: those that the config names, or fresh ones.
        resume: Whether the run's own state will replace all weights, so that none are fetched.

    Returns:
        The network in training mode.

    Raises:
        FileNotFoundError: If there is no such checkpoint.
        ValueError: If it is damaged or of another architecture.
    """
    if resume or checkpoint is None:
        return build_depth_net(replace(model, encoder_weights=None) if resume else model)
    network, info = load_checkpoint(checkpoint)
    require_same_architecture(info.model, model, f'initial_checkpoint {checkpoint}')
    return network.train()


def require_same_architecture(found: DepthNetConfig, asked: DepthNetConfig, what: str) -> None:
    """Require that weights mean the same in both networks.

    Args:
        found: What the weights are of.
        asked: What is to be trained.
        what: Whose weights they are, for the message.

    Raises:
        ValueError: If the two differ in more than where they come from and how sure they are.
    """

    def essence(model: DepthNetConfig) -> dict[str, Any]:
        return to_dict(replace(model, encoder_weights=None, confidence_scale=1.0))

    theirs, ours = essence(found), essence(asked)
    different = [
        f'{key} {theirs[key]!r}, not {ours[key]!r}' for key in ours if theirs[key] != ours[key]
    ]
    if different:
        raise ValueError(
            f'{what} is not of the architecture that the config asks for: it has '
            f'{"; ".join(different)}; make them equal'
        )


def run_training(
    task: Task,
    dataset: Dataset[dict[str, torch.Tensor]],
    validation: dict[str, Dataset[dict[str, torch.Tensor]]],
    loop: LoopConfig,
    config: dict[str, Any],
    inputs: Inputs,
    out: Path,
    *,
    seed: int,
    command: str,
    data: str,
    save_also: Callable[[RunFolder], None] | None = None,
    saved_as: Callable[[DepthNet], DepthNet] | None = None,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a task's network, validate it by condition, and leave a run folder.

    Args:
        task: The objective.
        dataset: Takes a draw, gives a sample.
        validation: By condition, datasets of `image`, `depth` (NaN unknown, inf beyond) and `K`,
            all at the network's input size.
        loop: Budget and optimizer.
        config: Resolved, plain values; written into the folder and the checkpoint.
        inputs: What is given beside the config; a run is resumed with the same, or grown ones.
        out: Run folder.
        seed: Of the order of samples and their augmentation.
        command: Written into the checkpoint: what made it.
        data: Written into the checkpoint: what the weights have seen.
        save_also: Writes what else is kept with each checkpoint.
        saved_as: Makes of the trained network the one that is saved; None: itself.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If there is no state to resume from.
        ValueError: If the state to resume from does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    accelerator = make_accelerator(loop, cpu)
    if accelerator.is_main_process:
        counts = len(dataset), sum(map(len, validation.values()))  # type: ignore[arg-type]
        logger.info('%d training frames, %d for validation', *counts)
    assert isinstance(task.network, DepthNet)
    model = task.network.config
    commit = code_commit()  # now: code may change on disk while it runs

    def validate(average: nn.Module) -> Validation:
        predict = predictor_of(average)
        rows = evaluate(
            predict,
            validation,
            canonical_focal_px=model.canonical_focal_px,
            max_depth_m=model.max_depth_m,
            batch_size=loop.batch_size,  # which fits the memory
        )
        logger.info('%s', table(rows))
        pictures = {
            name: _draw_middle(predict, frames, model) for name, frames in validation.items()
        }
        return Validation(rows, pictures)

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        assert isinstance(average, DepthNet)
        info = CheckpointInfo(
            model=model,
            step=step,
            training_command=command,
            training_config=config,
            training_commit=commit,
            training_data=data,
            metrics=metrics,
        )
        if save_also is not None:
            save_also(run)
        network = average if saved_as is None else saved_as(average)
        save_checkpoint(run.checkpoint, network, info)

    # Truth that cannot be read shall stop a training now, and not at its first validation.
    for frames in validation.values():
        frames[0]
    # One process makes the folder; the others would find it taken.
    run = open_run(out, config, inputs, resume) if accelerator.is_main_process else RunFolder(out)
    train(task, dataset, validate, save, loop, run, accelerator, seed=seed, resume=resume)
    return run


def predictor_of(network: nn.Module) -> Predict:
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


def _draw_middle(
    predict: Predict,
    frames: Dataset[dict[str, torch.Tensor]],
    model: DepthNetConfig,
) -> NDArray[np.uint8]:
    """Draw what a network says of the frame in the middle of a set."""
    sample = frames[len(frames) // 2]  # type: ignore[arg-type]
    image = sample['image'].numpy() * np.reshape(model.std, (3, 1, 1))
    image += np.reshape(model.mean, (3, 1, 1))
    depth = metric_depth_of(
        predict(sample['image'][None])[0, 0].cpu().numpy(),
        focal_px=focal_of(sample['K'].numpy()),
        canonical_focal_px=model.canonical_focal_px,
        max_depth_m=model.max_depth_m,
    )
    pixels = (255 * image.clip(0, 1)).round().astype(np.uint8).transpose(1, 2, 0)  # (H, W, 3)
    return draw_depth(pixels, depth, sample['depth'][0].numpy())


def spread(frames: Sequence[T], count: int) -> list[T]:
    """Take at most `count` frames, evenly over the list: neighbours show the same street.

    Args:
        frames: In order.
        count: How many.

    Returns:
        Them, or all where there are no more.
    """
    indices = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return [frames[index] for index in indices]
