"""The pose network: how the camera moved between neighbouring frames, for training alone.

Reference: Godard et al., 2019, arXiv 1806.01260 (the separate pose network).
"""

from dataclasses import dataclass, field

from ssd_depth_core.geometry.rigid import invert, rigid_transform, transform_from_axis_angle
from ssd_depth_core.models.encoders import TimmEncoder
import torch
from torch import nn

MOTION_SCALE = 0.01
"""Of the raw outputs: training starts near rest, where warped and raw frames still overlap."""

MIN_LENGTH_M = 1e-6
"""A predicted way that is shorter has no direction, and stays short whatever length is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseNetConfig:
    """Describe a pose network."""

    encoder: str = 'resnet18'
    """A timm architecture with features at stride 32."""
    encoder_weights: str | None = None
    """As `DepthNetConfig.encoder_weights`; of one image, shared out to two."""
    encoder_options: dict[str, int | float] = field(default_factory=dict)
    """Passed to `timm.create_model`."""
    translation_scale: float = MOTION_SCALE
    """Of the raw translation; the papers': 0.01."""
    expected_translation_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Added to the translation that takes points from the earlier frame to the later one: where
    training starts. The papers start at rest, which costs a short training most of its steps; a
    car that drives straight on at 6 m/s, seen at 12 Hz, has (0, 0, -0.5)."""


class PoseNet(nn.Module):
    """Predict the motion from a target frame to the frames before and after it."""

    expected_translation: torch.Tensor

    def __init__(self, config: PoseNetConfig) -> None:
        """Build the network.

        Args:
            config: What to build.
        """
        super().__init__()
        self.config = config
        # A buffer lies on the device already; it belongs to the config, not to the weights.
        expected = torch.tensor(config.expected_translation_m)
        self.register_buffer('expected_translation', expected, persistent=False)
        self.encoder = TimmEncoder(
            config.encoder, config.encoder_weights, config.encoder_options, num_images=2
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(self.encoder.channels[-1], 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 6, 1),
        )

    def forward(
        self,
        pose_images: torch.Tensor,
        R_source_target: torch.Tensor | None = None,
        distance_m: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predict.

        Both pairs are shown in the order of time, so that the network always sees the same kind
        of motion; the first answer is inverted.

        Args:
            pose_images: (B, 3, 3, H, W), before, target, after, normalised.
            R_source_target: (B, 2, 3, 3), rotations where they are known; the way alone is
                predicted then.
            distance_m: (B, 2), lengths of the ways where they are known; their directions alone
                are predicted then.

        Returns:
            T_source_target, (B, 2, 4, 4), sources in the order before, after; float32.
        """
        pairs = torch.cat((pose_images[:, :2], pose_images[:, 1:]))  # (2B, 2, 3, H, W)
        features = self.encoder(pairs.flatten(1, 2))
        motion = self.decoder(features[-1]).float().mean((2, 3))  # (2B, 6)
        translation = self.expected_translation + self.config.translation_scale * motion[:, 3:]
        if distance_m is not None:
            length = torch.linalg.vector_norm(translation, dim=1, keepdim=True)
            distance = torch.cat((distance_m[:, 0], distance_m[:, 1]))[:, None]
            translation = translation * (distance / length.clamp(min=MIN_LENGTH_M))
        if R_source_target is None:
            T_second_first = transform_from_axis_angle(MOTION_SCALE * motion[:, :3], translation)
        else:
            R_before, R_after = R_source_target.unbind(1)
            T_second_first = rigid_transform(torch.cat((R_before.mT, R_after)), translation)
        T_target_before, T_after_target = T_second_first.chunk(2)
        return torch.stack((invert(T_target_before), T_after_target), 1)
