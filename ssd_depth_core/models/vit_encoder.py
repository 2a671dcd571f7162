"""The ViT encoder: any plain vision transformer of timm, DINOv2's first of all."""

from collections.abc import Mapping
from typing import Any

from ssd_depth_core.models.pretrained import load_encoder_weights
import timm
from timm.models.vision_transformer import VisionTransformer
import torch
from torch import nn


class VitEncoder(nn.Module):
    """Turn an image into four maps of patch tokens, shallow to deep.

    The grid of patches is fixed when the network is built, so that the position embedding is a
    plain parameter of that grid and an exported network interpolates nothing.
    """

    def __init__(
        self,
        name: str,
        weights: str | None = None,
        *,
        image_size: tuple[int, int],
        taps: tuple[int, ...] | None = None,
        options: Mapping[str, int | float] | None = None,
    ) -> None:
        """Build the network.

        Args:
            name: A timm architecture, e.g. `vit_small_patch14_dinov2`, with or without registers.
            weights: As `load_encoder_weights` takes them; None: random.
            image_size: Height and width of every image, pixels; multiples of the patch size.
            taps: The four blocks whose tokens are given, counted from 1, rising; the last is the
                network's last, since nothing would train a block behind it. None: the last four.
            options: Passed to `timm.create_model`, e.g. `depth`, `embed_dim` and `num_heads`.

        Raises:
            ValueError: If timm does not know the name, it is no plain vision transformer, an
                option is not one of its, or size or taps do not fit it.
        """
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(
                f'encoder must be a timm architecture, got {name!r}; see timm.list_models()'
            )
        arguments: dict[str, Any] = {'img_size': image_size, 'num_classes': 0, **(options or {})}
        try:
            vit = timm.create_model(name, dynamic_img_size=False, **arguments)
        except TypeError as error:
            raise ValueError(
                f'encoder {name} must be a vision transformer that takes the options '
                f'{sorted(options or {})}: {error}'
            ) from None
        if not isinstance(vit, VisionTransformer) or isinstance(vit.norm, nn.Identity):
            raise ValueError(
                f'encoder must be a plain vision transformer whose tokens are normalised, got '
                f'{name}; take e.g. vit_small_patch14_dinov2'
            )
        (patch_size, _) = vit.patch_embed.patch_size
        if any(side < patch_size or side % patch_size for side in image_size):
            raise ValueError(
                f'image size must be multiples of the {patch_size} px patch of {name}, '
                f'got {image_size[0]}x{image_size[1]}'
            )
        depth = len(vit.blocks)
        taps = tuple(range(depth - 3, depth + 1)) if taps is None else taps
        if len(taps) != 4 or list(taps) != sorted(set(taps)) or taps[0] < 1 or taps[-1] != depth:
            raise ValueError(
                f'taps must be four rising block numbers from 1 to the last, which is {depth} in '
                f'{name}, got {taps}'
            )
        if weights is not None:
            load_encoder_weights(vit, weights, name, options)
        self.backbone = vit
        self.taps = taps
        self.patch_size: int = patch_size
        """Pixels that one token stands for, on either side."""
        self.channels: tuple[int, ...] = (vit.embed_dim,) * len(taps)
        """Of each map."""

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Extract the tokens.

        Args:
            image: (B, 3, H, W), normalised; of the size that the network was built for.

        Returns:
            Four maps, (B, channels[i], H / patch_size, W / patch_size), after the final norm and
            without class and register tokens.
        """
        indices = [tap - 1 for tap in self.taps]
        tokens: Any = self.backbone.forward_intermediates(
            image, indices=indices, norm=True, intermediates_only=True
        )
        return list(tokens)
