"""Pre-training of encoders where published weights cannot be had: to name surfaces, without depth.

<out>/encoder.safetensors      the averaged encoder, at the end of the training; in timm's names,
                               which is what `encoder_weights` of any network takes
<out>/checkpoint.safetensors   the same with the head, at each validation
"""

from dataclasses import dataclass, field
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.config import to_dict
from ssd_depth_core.data.augment import AugmentConfig
from ssd_depth_core.data.rendered import describe_sets, read_frames
from ssd_depth_core.data.rendered_classes import CONDITION, EvaluationCrops, TrainingCrops
from ssd_depth_core.learning.class_scores import class_scores, confusion_of
from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.run_inputs import rendered_inputs
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.learning.tensor_file import read_tensors, write_tensors
from ssd_depth_core.learning.training import spread
from ssd_depth_core.models.pretrained import timm_keys
from ssd_depth_core.models.surface_net import build_surface_net, enlarge, SurfaceNet
from ssd_depth_core.records import code_commit
from ssd_depth_core.surface_classes import SURFACE_CLASSES, UNKNOWN_CLASS
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

logger = logging.getLogger(__name__)

ENCODER_FILE = 'encoder.safetensors'
METADATA_KEY = 'ssd_depth_pretraining'
SMALLEST_SIZE = 32
"""Pixels: the last stride of a CNN."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainingConfig:
    """Hold everything that one pre-training needs but its folders."""

    seed: int = 0
    """Of initial weights, order of samples and augmentation."""
    encoder: str
    """A timm architecture: a CNN with a pyramid of features, or a plain vision transformer."""
    encoder_options: dict[str, int | float] = field(default_factory=dict)
    """Passed to `timm.create_model`; the network that takes the weights must have the same."""
    size: int = 140
    """Side of the square input, pixels; a ViT's a multiple of its patch."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of the RGB input in [0, 1]; that of the network that takes the weights."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Of the RGB input in [0, 1]."""
    augment: AugmentConfig = field(
        default_factory=lambda: AugmentConfig(max_zoom=2.0, max_stretch=1.0, texture=0.0)
    )
    """What happens to a training crop; without texture, which needs depth."""
    num_validation_frames: int = 200
    """Validation frames measured at each validation, spread evenly over the split."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate what the parts do not.

        Raises:
            ValueError: If the input is too small, or depth is asked for.
        """
        if self.size < SMALLEST_SIZE:
            raise ValueError(f'size must be >= {SMALLEST_SIZE}, got {self.size}')
        if self.augment.texture:
            raise ValueError(
                'augment.texture must be 0, since it needs depth, which a pre-training does not '
                f'see, got {self.augment.texture}'
            )


class SurfaceTask(nn.Module):
    """Learn to name what each pixel shows; a `Task`."""

    def __init__(self, network: nn.Module) -> None:
        """Take the network.

        Args:
            network: What is trained: images to logits on a grid of its own, as `SurfaceNet`.
        """
        super().__init__()
        # NHWC is faster on a CPU, and what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: `image` (B, 3, H, W) normalised; `classes` (B, H, W), places in
                `SURFACE_CLASSES`, `UNKNOWN_CLASS` where unknown.

        Returns:
            `loss`, the mean cross-entropy [nat] of what is known at the middles of the logits'
            cells, and `accuracy`, the share of it that is right; both 0 where nothing is known.
        """
        logits = self.network(batch['image'].contiguous(memory_format=torch.channels_last))
        # Crops are random, so that every pixel has its turn at a middle; logits at the size of the
        # picture would cost much of what a light CNN does.
        sampled = F.interpolate(batch['classes'][:, None], logits.shape[2:], mode='nearest-exact')
        classes = sampled[:, 0].long()  # (B, h, w)
        known = (classes != UNKNOWN_CLASS).sum().clamp(min=1)
        total = F.cross_entropy(logits, classes, ignore_index=UNKNOWN_CLASS, reduction='sum')
        right = (logits.detach().argmax(1) == classes).sum()
        return {'loss': total / known, 'accuracy': right / known}


def pretrain_encoder(
    config: PretrainingConfig,
    folders: list[Path],
    out: Path,
    *,
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Pre-train an encoder on rendered sets.

    Args:
        config: What to do.
        folders: One or more sets with class maps; the frames present now are used.
        out: Run folder.
        command: Written beside the weights: what made them.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The encoder's file.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If a set, its class maps or the state to resume is missing.
        ValueError: If one of these is damaged or does not fit, or the encoder is unknown.
        FloatingPointError: If the loss stops being finite.
    """
    # Data first, before anything is written: a wrong folder must leave no run behind.
    frames, held_out = read_frames(folders, 'train'), read_frames(folders, 'validation')
    look = (config.size, config.mean, config.std)
    dataset = TrainingCrops(frames, config.augment, *look)
    validation = EvaluationCrops(spread(held_out, config.num_validation_frames), *look)
    dataset[0, 0], validation[0]  # classes that cannot be read stop a training now

    torch.manual_seed(config.seed)
    options, num_classes = config.encoder_options, len(SURFACE_CLASSES)
    task = SurfaceTask(build_surface_net(config.encoder, options, config.size, num_classes))
    accelerator = make_accelerator(config.loop, cpu)
    provenance = {
        'training_command': command,
        'training_config': to_dict(config),
        'training_commit': code_commit(),  # now: code may change on disk while it runs
        'training_data': f'synthetic: {len(dataset)} rendered street frames in {CONDITION} with '
        f'the classes {", ".join(SURFACE_CLASSES)}, no depth; {describe_sets(dataset.frames)}',
    }

    def validate(average: nn.Module) -> Validation:
        scores, pictures = _measure(average, validation, config)
        logger.info('mean IoU %(mean_iou).4f, accuracy %(accuracy).4f: %(iou)s', scores)
        return Validation(scores, pictures)

    def save(average: nn.Module, step: int, metrics: dict[str, Any]) -> None:
        info = {**provenance, 'step': step, 'metrics': metrics}
        header = {METADATA_KEY: json.dumps(info)}
        write_tensors(run.checkpoint, average.state_dict(), header, 'checkpoint')

    run = RunFolder(out)
    if accelerator.is_main_process:  # one process makes the folder; the others would find it taken
        logger.info('%d training frames, %d for validation', len(dataset), len(validation))
        run = open_run(out, to_dict(config), rendered_inputs(folders), resume)
    average = train(
        task,
        dataset,
        validate,
        save,
        config.loop,
        run,
        accelerator,
        seed=config.seed,
        resume=resume,
    )

    # Only now: a file of this name is a finished pre-training. It is made again when a run that
    # was killed just before is resumed, which is why its header comes from the checkpoint.
    path = out / ENCODER_FILE
    if accelerator.is_main_process:
        assert isinstance(average, SurfaceNet)
        _, header = read_tensors(run.checkpoint, 'checkpoint', 'start without --resume')
        backbone = average.encoder.backbone
        keys, _ = timm_keys(backbone, config.encoder, options)
        tensors = {keys[ours][0]: value for ours, value in backbone.state_dict().items()}
        write_tensors(path, tensors, header, 'encoder')
    return path


@torch.inference_mode()
def _measure(
    network: nn.Module, frames: EvaluationCrops, config: PretrainingConfig
) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
    """Score a network on all frames, and draw what it says of the one in the middle."""
    device = next(network.parameters()).device

    def predict(image: torch.Tensor) -> torch.Tensor:
        """Name every pixel of (B, 3, H, W)."""
        return enlarge(network(image.to(device)), image.shape[2:]).argmax(1).cpu()  # (B, H, W)

    confusion = torch.zeros(len(SURFACE_CLASSES), len(SURFACE_CLASSES), dtype=torch.int64)
    for batch in DataLoader(frames, batch_size=config.loop.batch_size):
        predicted = predict(batch['image'])
        confusion += confusion_of(predicted, batch['classes'], len(SURFACE_CLASSES), UNKNOWN_CLASS)
    sample = frames[len(frames) // 2]
    image = sample['image'].permute(1, 2, 0).numpy() * config.std + config.mean  # (H, W, 3)
    picture = np.concatenate(
        (
            (255 * image.clip(0, 1)).round().astype(np.uint8),
            _coloured(predict(sample['image'][None])[0].numpy()),
            _coloured(sample['classes'].numpy()),
        )
    )
    return class_scores(confusion, SURFACE_CLASSES), {CONDITION: picture}


def _coloured(classes: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Give every class a colour; unknown is black."""
    levels = np.minimum(255 * (classes.astype(int) + 1) // len(SURFACE_CLASSES), 255)
    colours = cv2.applyColorMap(levels.astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where((classes == UNKNOWN_CLASS)[..., None], np.uint8(0), colours)
