"""The encoder: any timm network that gives a pyramid of features."""

from typing import Any

import timm
import torch
from torch import nn


class TimmEncoder(nn.Module):
    """Turn an image into features at strides 2, 4, 8, 16 and 32 with a timm network."""

    def __init__(self, name: str, pretrained: bool = False) -> None:
        """Build the network.

        Args:
            name: A timm architecture that supports `features_only`, e.g. `mobilenetv4_conv_small`.
            pretrained: Whether timm loads the weights it knows for it (needs a network).

        Raises:
            ValueError: If timm does not know the name or its features are not at the five strides.
        """
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(
                f'encoder must be a timm architecture, got {name!r}; see timm.list_models()'
            )
        self.backbone = timm.create_model(name, features_only=True, pretrained=pretrained)
        pyramid: Any = self.backbone.feature_info  # which torch types as a tensor or a module
        strides = pyramid.reduction()
        if strides != [2, 4, 8, 16, 32]:
            raise ValueError(f'encoder {name} must have strides 2, 4, 8, 16, 32, got {strides}')
        self.channels: tuple[int, ...] = tuple(pyramid.channels())
        """Of each feature, finest first."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Extract the pyramid.

        Args:
            image: (B, 3, H, W), normalised; H and W divisible by 32.

        Returns:
            Five features, (B, channels[i], H / 2**(i + 1), W / 2**(i + 1)).
        """
        features: list[torch.Tensor] = self.backbone(image)
        return features
