"""The DPT head: tokens of a vision transformer reassembled into a picture.

Reference: Ranftl et al., 2021, arXiv 2103.13413. The defaults are the head that the authors of SSD
published with DINO-SD; Depth Anything V2 uses the same one without batch norm, other widths and
other blocks.
"""

from dataclasses import dataclass

from ssd_depth_core.models.logits_conv import LogitsConv2d
import torch
from torch import nn
import torch.nn.functional as F


@dataclass(frozen=True, kw_only=True, slots=True)
class DptConfig:
    """Describe a DPT head."""

    taps: tuple[int, ...] | None = None
    """The four encoder blocks that it reads, counted from 1; None: the last four."""
    channels: tuple[int, ...] = (256, 512, 1024, 1024)
    """Width of the four maps after their projection, finest first."""
    features: int = 256
    """Width of the fusion blocks; even."""
    batch_norm: bool = True
    """Whether the fusion blocks normalise; Depth Anything's do not."""

    def __post_init__(self) -> None:
        """Validate the widths.

        Raises:
            ValueError: If a width or the number of maps is wrong.
        """
        if len(self.channels) != 4 or min(self.channels) < 1:
            raise ValueError(f'channels must be four widths >= 1, got {self.channels}')
        if self.features < 2 or self.features % 2:
            raise ValueError(f'features must be even and >= 2, got {self.features}')


class DptDecoder(nn.Module):
    """Turn four maps of tokens into logits at the size of the image."""

    def __init__(
        self,
        in_channels: tuple[int, ...],
        config: DptConfig,
        patch_size: int,
        out_channels: int = 1,
    ) -> None:
        """Build the head.

        Args:
            in_channels: Of the four maps.
            config: Widths and norm.
            patch_size: Pixels that one token stands for.
            out_channels: Of the logits.
        """
        super().__init__()
        self.patch_size = patch_size
        self.projections = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(in_channels, config.channels, strict=True)
        )
        # From one grid of tokens to strides 4, 8, 16 and 32 of a network with patches of 16.
        c0, c1, _, c3 = config.channels
        self.resizes = nn.ModuleList(
            (
                nn.ConvTranspose2d(c0, c0, 4, stride=4),
                nn.ConvTranspose2d(c1, c1, 2, stride=2),
                nn.Identity(),
                nn.Conv2d(c3, c3, 3, stride=2, padding=1),
            )
        )
        features = config.features
        self.laterals = nn.ModuleList(
            nn.Conv2d(c, features, 3, padding=1, bias=False) for c in config.channels
        )
        self.fusions = nn.ModuleList(
            FusionBlock(features, config.batch_norm, merges=level < 3) for level in range(4)
        )
        self.narrow = nn.Conv2d(features, features // 2, 3, padding=1)
        self.head = nn.Sequential(
            nn.Conv2d(features // 2, 32, 3, padding=1),
            nn.ReLU(),
            LogitsConv2d(32, out_channels, 1),
        )

    def forward(self, tokens: list[torch.Tensor]) -> torch.Tensor:
        """Decode.

        Args:
            tokens: Four maps, shallow to deep, (B, in_channels[i], h, w).

        Returns:
            (B, out_channels, h * patch_size, w * patch_size).
        """
        h, w = tokens[0].shape[2:]
        levels = [
            lateral(resize(project(x)))
            for x, project, resize, lateral in zip(
                tokens, self.projections, self.resizes, self.laterals, strict=True
            )
        ]
        sizes = [(8 * h, 8 * w), *(level.shape[2:] for level in levels[:3])]
        x = self.fusions[3](levels[3], None, sizes[3])
        for level in (2, 1, 0):
            x = self.fusions[level](x, levels[level], sizes[level])
        x = _resize(self.narrow(x), (h * self.patch_size, w * self.patch_size))
        return self.head(x)


class FusionBlock(nn.Module):
    """Merge what comes from a coarser level with a level, and bring it to a finer grid.

    Reference: Lin et al., 2017, arXiv 1611.06612 (RefineNet), as DPT simplified it.
    """

    def __init__(self, features: int, batch_norm: bool, merges: bool) -> None:
        """Build the block.

        Args:
            features: Channels, in and out.
            batch_norm: Whether its convolutions are normalised.
            merges: Whether a level is merged; False at the coarsest, which has nothing above it.
        """
        super().__init__()
        self.level_unit = ResidualUnit(features, batch_norm) if merges else None
        self.unit = ResidualUnit(features, batch_norm)
        self.project = nn.Conv2d(features, features, 1)

    def forward(
        self, x: torch.Tensor, level: torch.Tensor | None, size: tuple[int, int]
    ) -> torch.Tensor:
        """Merge.

        Args:
            x: From the coarser level, (B, features, h, w).
            level: Of the same shape; None exactly where the block merges nothing.
            size: Of the finer grid.

        Returns:
            (B, features, *size).
        """
        if self.level_unit is not None:
            x = x + self.level_unit(level)
        return self.project(_resize(self.unit(x), size))


class ResidualUnit(nn.Module):
    """Add two convolutions of the activation to the input."""

    def __init__(self, features: int, batch_norm: bool) -> None:
        """Build the unit.

        Args:
            features: Channels, in and out.
            batch_norm: Whether each convolution is followed by a norm, and has no bias then.
        """
        super().__init__()
        norm = nn.BatchNorm2d if batch_norm else nn.Identity
        self.conv1 = nn.Conv2d(features, features, 3, padding=1, bias=not batch_norm)
        self.norm1 = norm(features)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=not batch_norm)
        self.norm2 = norm(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the residual.

        Args:
            x: (B, features, h, w).

        Returns:
            Same shape.
        """
        residual = self.norm1(self.conv1(F.relu(x)))
        return x + self.norm2(self.conv2(F.relu(residual)))


def _resize(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(x, size=size, mode='bilinear', align_corners=True)
