"""The decoder of monodepth2: a U-Net with a depth map at each of its four finest scales.

Reference: Godard et al., 2019, arXiv 1806.01260, supplementary material, table "Depth Decoder".
"""

from ssd_depth_core.models.logits_conv import LogitsConv2d
import torch
from torch import nn
import torch.nn.functional as F

WIDTHS = (16, 32, 64, 128, 256)
"""Channels at strides 1, 2, 4, 8 and 16."""

NUM_SCALES = 4
"""Depth maps in training, at strides 1, 2, 4 and 8."""


class Monodepth2Decoder(nn.Module):
    """Turn five features into logits at full size and, in training, at 1/2, 1/4 and 1/8."""

    def __init__(self, in_channels: tuple[int, ...], num_outputs: int = 1) -> None:
        """Build the stages.

        Args:
            in_channels: Of the features at strides 2, 4, 8, 16, 32.
            num_outputs: Channels of the finest map; the coarse ones have 1.

        Raises:
            ValueError: If there are not five features.
        """
        super().__init__()
        if len(in_channels) != len(WIDTHS):
            raise ValueError(
                'decoder monodepth2 needs features at strides 2, 4, 8, 16, 32, got '
                f'{len(in_channels)} features; use another encoder or decoder: pyramid'
            )
        incoming = (*WIDTHS[1:], in_channels[-1])
        skips = (0, *in_channels[:-1])
        self.narrow = nn.ModuleList(_conv_elu(i, w) for i, w in zip(incoming, WIDTHS, strict=True))
        self.merge = nn.ModuleList(_conv_elu(w + s, w) for w, s in zip(WIDTHS, skips, strict=True))
        self.heads = nn.ModuleList(
            _conv(width, 1 if scale else num_outputs, LogitsConv2d)
            for scale, width in enumerate(WIDTHS[:NUM_SCALES])
        )

    def forward(self, features: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """Decode.

        Args:
            features: Finest first, (B, in_channels[i], H / 2**(i + 1), W / 2**(i + 1)).

        Returns:
            Logits, finest first: (B, num_outputs, H, W), and in training mode (B, 1, h, w) at a
            half, a quarter and an eighth of the size.
        """
        x = features[-1]
        maps = []
        for level in (4, 3, 2, 1, 0):
            x = F.interpolate(self.narrow[level](x), scale_factor=2.0, mode='nearest')
            if level > 0:
                x = torch.cat((x, features[level - 1]), 1)
            x = self.merge[level](x)
            if level == 0 or (self.training and level < NUM_SCALES):
                maps.append(self.heads[level](x))
        return tuple(reversed(maps))


def freeze_coarse_heads(decoder: nn.Module) -> None:
    """Have an objective that looks at the finest map alone ask nothing of what makes the others.

    They would get no gradient, for which several processes that train together wait in vain.

    Args:
        decoder: Of any kind; changed in place where it is a `Monodepth2Decoder`.
    """
    if isinstance(decoder, Monodepth2Decoder):
        decoder.heads[1:].requires_grad_(False)


def _conv(in_channels: int, out_channels: int, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    # Reflected, because a border of zeros draws its own edge into the depth map.
    return kind(in_channels, out_channels, 3, padding=1, padding_mode='reflect')


def _conv_elu(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(_conv(in_channels, out_channels), nn.ELU(inplace=True))
