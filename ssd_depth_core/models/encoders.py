"""The encoder: any timm network that gives a pyramid of features."""

from collections.abc import Mapping
from typing import Any

import timm
import torch
from torch import nn

STRIDES = (2, 4, 8, 16, 32)
"""Of the pyramid; some networks have nothing at the first."""


class TimmEncoder(nn.Module):
    """Turn an image into features at strides 2 or 4 to 32 with a timm network."""

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        options: Mapping[str, int | float] | None = None,
    ) -> None:
        """Build the network.

        Args:
            name: A timm architecture that supports `features_only`, e.g. `mobilenetv4_conv_small`.
            weights: `timm` for those that timm knows for it (needs a network); None: random ones.
            options: Passed to `timm.create_model`, e.g. `in_chans`.

        Raises:
            ValueError: If timm does not know the name, its features are not at the strides of a
                pyramid, or the weights are of an unknown kind.
        """
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(
                f'encoder must be a timm architecture, got {name!r}; see timm.list_models()'
            )
        if weights not in (None, 'timm'):
            raise ValueError(f'encoder_weights must be timm or none, got {weights!r}')
        self.backbone = timm.create_model(
            name, features_only=True, pretrained=weights == 'timm', **(options or {})
        )
        pyramid: Any = self.backbone.feature_info  # which torch types as a tensor or a module
        strides = tuple(pyramid.reduction())
        if strides not in (STRIDES, STRIDES[1:]):
            raise ValueError(
                f'encoder {name} must have features at strides (2,) 4, 8, 16, 32, got {strides}; '
                'a ViT goes with decoder: dpt'
            )
        self.channels: tuple[int, ...] = tuple(pyramid.channels())
        """Of each feature, finest first."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Extract the pyramid.

        Args:
            image: (B, 3, H, W), normalised; H and W divisible by 32.

        Returns:
            Four or five features, finest first, the last (B, channels[-1], H / 32, W / 32), each
            twice as large as the next.
        """
        features: list[torch.Tensor] = self.backbone(image)
        return features
