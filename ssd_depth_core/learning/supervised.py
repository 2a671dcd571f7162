"""Training against exact depth: the first student, and the upper bound of every table after it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssd_depth_core.config import to_dict
from ssd_depth_core.data.manifest import NAME as MANIFEST
from ssd_depth_core.data.manifest import read_manifest
from ssd_depth_core.data.rendered import (
    describe_sets,
    evaluation_sets,
    read_frames,
    RenderedConfig,
    TrainingFrames,
)
from ssd_depth_core.data.rendered_translations import with_translations
from ssd_depth_core.learning.loop import LoopConfig
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.run_inputs import rendered_inputs
from ssd_depth_core.learning.training import initial_network, run_training, spread
from ssd_depth_core.losses.supervised import (
    canonical_log_depth,
    gradient_matching,
    laplace_nll,
    log_depth_residual,
)
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.monodepth2_decoder import freeze_coarse_heads
import torch
from torch import nn


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
    only_accepted: bool = True
    """Whether translated pictures that the gate rejects are left out. Formulas over exact depth
    break nothing, and what is rejected of theirs is what the gate's own network cannot see."""
    num_validation_frames: int = 200
    """Validation frames measured at each validation, spread evenly over the split."""
    loss: SupervisedLossConfig = field(default_factory=SupervisedLossConfig)
    """The objective."""
    loop: LoopConfig
    """Budget and optimizer."""

    def __post_init__(self) -> None:
        """Validate that the network says what the objective reads.

        Raises:
            ValueError: If it gives no confidence, or inverse depth without a unit.
        """
        if not self.model.confidence or self.model.output == 'relu':
            raise ValueError(
                'model must have confidence: true and a metric output for a likelihood of depth, '
                f'got confidence: {self.model.confidence}, output: {self.model.output}'
            )


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
    translated: Sequence[Path] = (),
    validation: Sequence[Path] = (),
    command: str,
    resume: bool = False,
    cpu: bool = False,
) -> RunFolder:
    """Train a depth network on rendered sets.

    Args:
        config: What to do.
        folders: One or more training sets; the frames present now are used.
        out: Run folder.
        translated: Folders of pictures that were translated from clear training views; their
            conditions are drawn as those that were rendered.
        validation: Sets whose validation frames are measured; none: those of `folders`.
        command: Written into the checkpoint: what made it.
        resume: Whether to go on in `out`.
        cpu: Whether to stay on the CPU even where there is a GPU.

    Returns:
        The run folder.

    Raises:
        FileExistsError: If `out` holds a run and `resume` is not asked for.
        FileNotFoundError: If a set, a folder of translations, the initial checkpoint or the state
            to resume is missing.
        ValueError: If one of these is damaged or does not fit.
        FloatingPointError: If the loss stops being finite.
    """
    # Data first, before anything is written: a wrong folder must leave no run behind.
    model, size = config.model, (config.model.input_height, config.model.input_width)
    train_frames = with_translations(
        read_frames(folders, 'train'), list(translated), config.only_accepted
    )
    validation_frames = spread(
        read_frames(list(validation) or folders, 'validation'), config.num_validation_frames
    )
    validation_sets = evaluation_sets(validation_frames, size, model.mean, model.std)
    dataset = TrainingFrames(train_frames, config.data, size, model.mean, model.std)
    shown = sorted({name for frame in train_frames for name in frame.line.conditions})
    data = (
        f'synthetic: {len(train_frames)} rendered street frames in {", ".join(shown)}; '
        f'{describe_sets(train_frames)}'
    )
    if translated:
        made = Counter(name for frame in train_frames for name in frame.translated)
        makers = {line.translator for folder in translated for line in read_manifest(folder)}
        counts = ', '.join(f'{count} to {name}' for name, count in made.items())
        data = f'{data}; frames translated: {counts} ({", ".join(sorted(makers))})'

    torch.manual_seed(config.seed)
    network = initial_network(model, config.initial_checkpoint, resume)
    freeze_coarse_heads(network.decoder)  # truth is asked of the finest map alone
    return run_training(
        SupervisedTask(network, config.loss),
        dataset,
        validation_sets,
        config.loop,
        to_dict(config),
        _inputs(folders, translated, validation),
        out,
        seed=config.seed,
        command=command,
        data=data,
        resume=resume,
        cpu=cpu,
    )


def _inputs(
    folders: Sequence[Path], translated: Sequence[Path], validation: Sequence[Path]
) -> dict[str, Path]:
    """Name what a resumed run has to be given again."""
    manifests = {f'translated {n}': folder / MANIFEST for n, folder in enumerate(translated, 1)}
    return rendered_inputs(folders) | manifests | rendered_inputs(validation, 'validation')
