"""Learning night and rain from a teacher that knows the day: SSD's student and md4all-DD.

The student sees a clear frame, or the same frame translated to night or rain; the teacher always
sees the clear one, and says how deep it is. The two methods are one objective under two configs:
md4all-DD follows the teacher everywhere, SSD only where the teacher explains the neighbouring
frames better than the student does, and it holds the encoder's features to those of the clear
frame.

Reference: Mao et al., 2024, arXiv 2403.05056 (SSD), Eq. 4 to 7; Gasperini et al., 2023,
arXiv 2308.09711 (md4all-DD).
"""

from dataclasses import dataclass
from typing import Literal

from ssd_depth_core.learning.frozen import Frozen
from ssd_depth_core.learning.maps import resized, unflipped
from ssd_depth_core.losses.distillation import (
    MaskRule,
    relative_difference,
    reliability_mask,
    segment_mean,
)
from ssd_depth_core.losses.photometric import reprojection_error
from ssd_depth_core.losses.ranking import ranking_loss
from ssd_depth_core.losses.semantic import semantic_loss
from ssd_depth_core.losses.supervised import laplace_nll
from ssd_depth_core.models.depth_net import DepthNet, metric_scale
from ssd_depth_core.models.pose_net import PoseNet
import torch
from torch import nn
import torch.nn.functional as F


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillationLossConfig:
    """Weigh the parts of the objective; the defaults are SSD's."""

    target: Literal['teacher', 'truth'] = 'teacher'
    """What is learnt from. `truth` makes the supervised bound: exact depth of a rendered set, or
    LiDAR's, of the clear frame."""
    mask_rule: MaskRule = 'prose'
    """Where the teacher counts; `off`, as in md4all, needs no neighbouring frames."""
    reliability: Literal['pixel', 'segment'] = 'pixel'
    """What is judged as a whole: each pixel, as in the paper, or each patch of one look."""
    motion: Literal['teacher', 'poses'] = 'teacher'
    """How the camera moved between the frames that judge the teacher: as the teacher's own pose
    network says, as in the paper, or as the data set's poses do."""
    ssim_weight: float = 0.85
    """Of 1 - SSIM in the photometric error, against the absolute difference; in [0, 1]."""
    padding: Literal['zeros', 'border'] = 'zeros'
    """What lies outside a source frame."""
    semantic_weight: float = 0.1
    """Of the features' distance, of all pictures alike. The paper does not say; with this both
    terms are of one order when a training begins."""
    semantic_weights: str | None = None
    """What the frozen encoder on the clear frame has, of the student's own architecture, as
    `DepthNetConfig.encoder_weights` takes it; the paper: DINOv2. None: the teacher's encoder."""
    ranking_weight: float = 0.0
    """Of the order of depths where teacher and student disagree, whatever mask and gate say;
    ACDepth: 0.01."""
    confidence_weight: float = 0.0
    """Of the likelihood of the student's residual, which alone teaches its confidence."""

    def __post_init__(self) -> None:
        """Validate the ranges.

        Raises:
            ValueError: If a weight is outside its range, or the truth is treated as a teacher.
        """
        if not 0 <= self.ssim_weight <= 1:
            raise ValueError(f'ssim_weight must be in [0, 1], got {self.ssim_weight}')
        for name in ('semantic_weight', 'ranking_weight', 'confidence_weight'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} must be >= 0, got {getattr(self, name)}')
        if self.target == 'truth' and (self.mask_rule != 'off' or self.ranking_weight):
            raise ValueError(
                f'mask_rule must be off and ranking_weight 0 where target is truth, got '
                f"{self.mask_rule} and {self.ranking_weight}: both are remedies for a teacher's "
                'errors'
            )


@dataclass(frozen=True, slots=True)
class Teacher:
    """Hold what a student learns from."""

    network: DepthNet
    """Says depth."""
    pose_net: PoseNet | None = None
    """Says how the camera moved; None where nobody asks."""
    knows_rotation: bool = False
    """Whether the pose network was trained with the rotation of the data set's poses."""
    knows_distance: bool = False
    """Whether it was trained with the length of the way."""


class DistillationTask(nn.Module):
    """Learn depth of translated pictures from a teacher's of clear ones; a `Task`."""

    def __init__(
        self,
        network: DepthNet,
        loss: DistillationLossConfig,
        teacher: Teacher | None,
        semantic_encoder: nn.Module | None = None,
    ) -> None:
        """Take the networks.

        Args:
            network: The student.
            loss: Weights of the parts.
            teacher: Not changed; None where only the truth is learnt from.
            semantic_encoder: Not changed; None: the teacher's.
        """
        super().__init__()
        # NHWC is faster on a CPU, and what tensor cores want.
        self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = loss
        self.knows_rotation = teacher is not None and teacher.knows_rotation
        self.knows_distance = teacher is not None and teacher.knows_distance
        self.teacher = _frozen(None if teacher is None else teacher.network)
        self.pose_net = _frozen(None if teacher is None else teacher.pose_net)
        self.semantic_encoder = _frozen(semantic_encoder)

    def forward(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Compute the objective.

        Args:
            batch: Of `TranslatedDataset`; B samples.

        Returns:
            `loss`; its parts before their weights, where they count: `distillation`, `semantic`,
            `ranking`, `nll`; `reliable`, the share of known pixels at which the target counts.
        """
        image = batch['image'].contiguous(memory_format=torch.channels_last)
        features = self.network.encode(image)
        output = self.network.decode(features, image.shape[2:])

        # From here on inverse depth is metric, not mirrored, and at the size of the losses; an
        # objective of several scales keeps its coarse ones.
        size, flip = batch['target'].shape[2:], batch['flip']
        scale = metric_scale(self.network.config, batch['K'], size)
        maps = (resized(output.inverse_depth, size), *output.coarse)
        student, *coarse = [unflipped(inverse_depth, flip) / scale for inverse_depth in maps]
        target, reference = self._targets(batch, scale)
        known = ~torch.isnan(target)
        reliable = known & self._reliable(batch, student.detach(), target)

        weight = batch['weight'][:, None, None, None]
        terms = [_distillation(x, target, known, weight * reliable) for x in (student, *coarse)]
        parts = {'distillation': torch.stack(terms).mean()}
        loss = parts['distillation']
        if self.loss.semantic_weight:
            assert reference is not None  # of the teacher, or of the encoder in its place
            parts['semantic'] = semantic_loss(features[-1], reference)
            loss = loss + self.loss.semantic_weight * parts['semantic']
        if self.loss.ranking_weight:
            parts['ranking'] = ranking_loss(student, target)
            loss = loss + self.loss.ranking_weight * parts['ranking']
        if self.loss.confidence_weight:
            assert output.log_scale is not None  # the config holds it
            residual = torch.log(target) - torch.log(student.detach())
            log_scale = unflipped(resized(output.log_scale, size), flip)
            # The plain likelihood: it does not move depth, so no pixel needs a smaller say.
            parts['nll'] = laplace_nll(residual, log_scale, reliable, beta=0.0)
            loss = loss + self.loss.confidence_weight * parts['nll']
        return {
            'loss': loss,
            **{name: part.detach() for name, part in parts.items()},
            'reliable': reliable.sum() / known.sum().clamp(min=1),
        }

    @torch.no_grad()
    def _targets(
        self, batch: dict[str, torch.Tensor], scale: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Give the inverse depth to be learnt, (B, 1, H, W), NaN where unknown; and features."""
        size, features, target = batch['target'].shape[2:], None, None
        clear = batch['clear_image'].contiguous(memory_format=torch.channels_last)
        if self.teacher is not None:
            network = self.teacher.module
            assert isinstance(network, DepthNet)
            maps = network.encode(clear)
            features = maps[-1]
            said = resized(network.decode(maps, clear.shape[2:]).inverse_depth, size)
            target = unflipped(said, batch['flip']) / metric_scale(
                network.config, batch['K'], size
            )
        if self.semantic_encoder is not None:
            features = self.semantic_encoder.module(clear)[-1]
        if self.loss.target == 'truth':
            # What lies beyond the network's range is learnt as its end.
            farthest = 1 / self.network.config.max_depth_m
            target = (scale / batch['depth']).clamp(min=farthest) / scale
        assert target is not None  # the driver gives a teacher where it is asked
        return target, features

    @torch.no_grad()
    def _reliable(
        self, batch: dict[str, torch.Tensor], student: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Say at which pixels the target counts, (B, 1, H, W) bool."""
        if self.loss.mask_rule == 'off':
            return torch.ones_like(target, dtype=torch.bool)
        motion = self._motion(batch)

        def error_of(inverse_depth: torch.Tensor) -> torch.Tensor:
            error = reprojection_error(
                batch['target'],
                batch['sources'],
                1 / inverse_depth,
                batch['K'],
                motion,
                ssim_weight=self.loss.ssim_weight,
                padding=self.loss.padding,
            )
            if self.loss.reliability == 'segment':
                error = segment_mean(error, batch['segments'])
            return error

        return reliability_mask(error_of(target), error_of(student), self.loss.mask_rule)

    def _motion(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Say how the camera moved, (B, 2, 4, 4)."""
        if self.pose_net is None:
            return batch['T_source_target']
        T_source_target: torch.Tensor = self.pose_net.module(
            batch['pose_images'],
            batch['T_source_target'][..., :3, :3] if self.knows_rotation else None,
            batch['distance_m'] if self.knows_distance else None,
        )
        return T_source_target


def _distillation(
    student: torch.Tensor, target: torch.Tensor, known: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """Average L_day over the known pixels, at the student's own size.

    SSD's Eq. 6 is a mean over all pixels too, also of those that its mask sets to zero.
    """
    size = student.shape[2:]
    # The nearest, for a mean across an edge is a depth at which nothing is. The exact form takes
    # it at the centres of pixels, so that a mirrored sample asks for the same.
    target, known, weight = (
        x if x.shape[2:] == size else F.interpolate(x.float(), size, mode='nearest-exact')
        for x in (target, known, weight)
    )
    error = relative_difference(student, torch.where(known > 0, target, student.detach()))
    return (weight * error).sum() / known.sum().clamp(min=1)


def _frozen(module: nn.Module | None) -> Frozen | None:
    return None if module is None else Frozen(module)
