"""The pyramid decoder: coarse features carried down to half resolution, as in an FPN.

Reference: Lin et al., 2017, arXiv 1612.03144. Differs: one output at the finest level, a global
context at the coarsest, and separable convolutions where the grid is large.
"""

import torch
from torch import nn
import torch.nn.functional as F


class GlobalContext(nn.Module):
    """Add what the whole picture says to every place of it.

    Scale, horizon and weather are properties of the picture; a convolution at stride 32 sees only
    part of it, and this costs one pooled vector.
    """

    def __init__(self, channels: int) -> None:
        """Build the projection.

        Args:
            channels: Of input and output.
        """
        super().__init__()
        self.project = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the context.

        Args:
            x: (B, C, h, w).

        Returns:
            Same shape.
        """
        return x + self.project(x.mean((2, 3)))[:, :, None, None]


class PyramidDecoder(nn.Module):
    """Merge four or five features, coarsest first, into one at stride 2."""

    def __init__(self, in_channels: tuple[int, ...], channels: int, fine_channels: int) -> None:
        """Build the levels.

        Args:
            in_channels: Of the features at strides 2 (where the encoder has one), 4, 8, 16, 32.
            channels: Width at strides 4 to 32.
            fine_channels: Width at stride 2, where a channel costs most.
        """
        super().__init__()
        widths = (fine_channels, *[channels] * 4)
        self.laterals = nn.ModuleList(
            nn.Conv2d(i, o, 1)
            for i, o in zip(in_channels, widths[-len(in_channels) :], strict=True)
        )
        self.context = GlobalContext(channels)
        self.narrow = nn.Conv2d(channels, fine_channels, 1)
        # A dense 3x3 is the better use of a CPU while the grid is small; a separable one after.
        blocks = (_separable, _separable, _dense, _dense, _dense)
        self.merges = nn.ModuleList(b(w) for b, w in zip(blocks, widths, strict=True))

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        """Merge the pyramid.

        Args:
            features: Finest first, (B, in_channels[i], h, w), each twice as large as the next.

        Returns:
            (B, fine_channels, H / 2, W / 2).
        """
        x = self.merges[-1](self.context(self.laterals[-1](features[-1])))
        for level in (-2, -3, -4, -5):  # strides 16, 8, 4, 2
            if level == -5:
                x = self.narrow(x)
            x = F.interpolate(x, scale_factor=2.0, mode='nearest')
            if level >= -len(features):
                x = x + self.laterals[level](features[level])
            x = self.merges[level](x)
        return x


def _dense(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )


def _separable(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
