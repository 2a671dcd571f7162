"""The depth network: an image in, canonical inverse depth and its uncertainty out."""

from dataclasses import dataclass
import math

import torch
from torch import nn
import torch.nn.functional as F

CONFIDENCE_RATIO = 1.25
"""Confidence is the probability of a depth within this factor of the truth: the `a1` metric."""

MIN_SCALE, MAX_SCALE = 0.01, 2.0
"""Laplace scale of log depth: 1 % is finer than any label; 2 says 'anything' (confidence 0.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthNetConfig:
    """Describe a network and the input that it must be given."""

    encoder: str = 'mobilenetv4_conv_small'
    """A timm architecture."""
    pretrained: bool = False
    """Whether the encoder starts from timm's weights instead of random ones."""
    decoder_channels: int = 64
    """Width of the decoder at strides 4 to 32."""
    fine_channels: int = 32
    """Width of the decoder at stride 2."""
    input_height: int = 192
    """Pixels, divisible by 32."""
    input_width: int = 320
    """Pixels, divisible by 32."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of the RGB input in [0, 1]; ImageNet's, so that pretrained encoders fit."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Of the RGB input in [0, 1]."""
    min_depth_m: float = 0.1
    """Canonical depth at the largest output."""
    max_depth_m: float = 80.0
    """Canonical depth at the smallest output; sky is trained towards it."""
    canonical_focal_px: float = 240.0
    """Focal length at the input size for which the output is metric; 0.75 widths see 67 deg."""

    def __post_init__(self) -> None:
        """Validate sizes and ranges.

        Raises:
            ValueError: If a value is out of its range.
        """
        if min(self.input_height, self.input_width) < 32 or (
            self.input_height % 32 or self.input_width % 32
        ):
            raise ValueError(
                'input_height and input_width must be multiples of 32, '
                f'got {self.input_height}x{self.input_width}'
            )
        if not 0 < self.min_depth_m < self.max_depth_m:
            raise ValueError(
                'depth range must be 0 < min_depth_m < max_depth_m, '
                f'got {self.min_depth_m} and {self.max_depth_m}'
            )
        if self.canonical_focal_px <= 0:
            raise ValueError(f'canonical_focal_px must be > 0, got {self.canonical_focal_px}')
        if min(self.decoder_channels, self.fine_channels) < 1:
            raise ValueError(
                'decoder_channels and fine_channels must be >= 1, '
                f'got {self.decoder_channels} and {self.fine_channels}'
            )


@dataclass(frozen=True, slots=True)
class DepthOutput:
    """Hold what a depth network says about a batch of images."""

    inverse_depth: torch.Tensor
    """(B, 1, H, W) [1/m], canonical, in [1 / max_depth_m, 1 / min_depth_m]."""
    log_scale: torch.Tensor
    """(B, 1, H, W), natural log of the Laplace scale of log depth."""

    @property
    def confidence(self) -> torch.Tensor:
        """Give the probability that depth is within a factor of 1.25, (B, 1, H, W) in [0, 1].

        For a Laplace distribution of scale b, P(|error| < t) = 1 - exp(-t / b).
        """
        return -torch.expm1(-math.log(CONFIDENCE_RATIO) * torch.exp(-self.log_scale))


class DepthNet(nn.Module):
    """Predict canonical inverse depth with its uncertainty."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, fine_channels: int, config: DepthNetConfig
    ) -> None:
        """Join the parts.

        Args:
            encoder: Image to features.
            decoder: Features to one feature at stride 2.
            fine_channels: Channels of that feature.
            config: Kept with the network, for whoever saves or exports it.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = nn.Conv2d(fine_channels, 2, 3, padding=1)
        self.config = config

    def forward(self, image: torch.Tensor) -> DepthOutput:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised; H and W divisible by 32.

        Returns:
            Inverse depth and log scale at the size of the image.
        """
        logits = self.head(self.decoder(self.encoder(image))).float()  # (B, 2, H/2, W/2)
        logits = F.interpolate(logits, scale_factor=2.0, mode='bilinear', align_corners=False)
        # Uniform in the log of inverse depth, unlike monodepth2's linear disparity: the errors
        # that count are relative, and in the linear form all beyond 10 m lies in the last 1 % of
        # the sigmoid, where its gradient vanishes.
        fraction = torch.sigmoid(logits)
        near, far = -math.log(self.config.min_depth_m), -math.log(self.config.max_depth_m)
        low, high = math.log(MIN_SCALE), math.log(MAX_SCALE)
        return DepthOutput(
            inverse_depth=torch.exp(far + (near - far) * fraction[:, :1]),
            log_scale=low + (high - low) * fraction[:, 1:],
        )


class ExportedDepthNet(nn.Module):
    """Wrap a network in the form in which it leaves torch: two tensors, nothing else."""

    def __init__(self, network: DepthNet) -> None:
        """Wrap.

        Args:
            network: In evaluation mode.
        """
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Inverse depth (B, 1, H, W) [1/m], canonical, and confidence (B, 1, H, W) in [0, 1].
        """
        output = self.network(image)
        return output.inverse_depth, output.confidence
