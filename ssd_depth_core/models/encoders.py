"""The encoder: any timm network that gives a pyramid of features."""

from collections.abc import Mapping
from typing import Any

from ssd_depth_core.models.pretrained import load_encoder_weights
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
        *,
        num_images: int = 1,
    ) -> None:
        """Build the network.

        Args:
            name: A timm architecture that supports `features_only`, e.g. `mobilenetv4_conv_small`.
            weights: As `load_encoder_weights` takes them; None: random ones.
            options: Passed to `timm.create_model`.
            num_images: Images of 3 channels that are seen at once. Loaded weights of the first
                layer are repeated for each and divided by their number, so that equal images give
                what one gave.

        Raises:
            FileNotFoundError: If the weights cannot be had.
            ValueError: If timm does not know the name, its features are not at the strides of a
                pyramid, or the weights do not fit.
        """
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(
                f'encoder must be a timm architecture, got {name!r}; see timm.list_models()'
            )
        # Random weights tell the images apart from the first step; repeated ones learn to.
        in_chans = 3 * num_images if weights is None else 3
        arguments: dict[str, Any] = {**(options or {}), 'in_chans': in_chans}
        self.backbone = timm.create_model(name, features_only=True, **arguments)
        if weights is not None:
            load_encoder_weights(self.backbone, weights, name, options)
            _repeat_first_layer(self.backbone, num_images)
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
            image: (B, 3 * num_images, H, W), normalised; H and W divisible by 32.

        Returns:
            Four or five features, finest first, the last (B, channels[-1], H / 32, W / 32), each
            twice as large as the next.
        """
        features: list[torch.Tensor] = self.backbone(image)
        return features


def _repeat_first_layer(backbone: nn.Module, num_images: int) -> None:
    first = next(module for module in backbone.modules() if isinstance(module, nn.Conv2d))
    first.in_channels *= num_images
    first.weight = nn.Parameter(first.weight.detach().repeat(1, num_images, 1, 1) / num_images)
