"""The network of a pre-training: an encoder, and as little as can name surfaces from it."""

from collections.abc import Mapping, Sequence

from ssd_depth_core.models.encoders import TimmEncoder
from ssd_depth_core.models.vit_encoder import VitEncoder
from timm.models import is_model_in_modules
import torch
from torch import nn
import torch.nn.functional as F

FINEST_STRIDE = 4
"""Pixels between two logits, about: at stride 2 a CNN has seen little but edges."""


class SurfaceNet(nn.Module):
    """Say what a picture shows where, by linear layers alone on an encoder's last four maps.

    What is learnt thus lies in the encoder. A CNN's maps are added up at stride 4. The tokens of
    a ViT, which are coarser, say the classes of several cells of their patch each.

    Reference: Long et al., 2015, arXiv 1411.4038 (fully convolutional networks).
    """

    def __init__(self, encoder: TimmEncoder | VitEncoder, num_classes: int) -> None:
        """Join the parts.

        Args:
            encoder: Image to features.
            num_classes: Of the surfaces.
        """
        super().__init__()
        self.encoder = encoder
        stride = encoder.patch_size if isinstance(encoder, VitEncoder) else FINEST_STRIDE
        self.num_cells: int = max(1, stride // FINEST_STRIDE)
        """Logits along either side of a feature."""
        self.head = nn.ModuleList(
            nn.Conv2d(channels, num_classes * self.num_cells**2, 1)
            for channels in encoder.channels[-4:]
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised; a ViT's of the size that it was built for.

        Returns:
            Logits (B, num_classes, h, w), float32, on the head's own grid, about H / 4 by W / 4.
        """
        maps = [
            F.pixel_shuffle(convolution(feature), self.num_cells).float()
            for convolution, feature in zip(self.head, self.encoder(image)[-4:], strict=True)
        ]
        finest = maps[0].shape[2:]
        return torch.stack([enlarge(each, finest) for each in maps]).sum(0)


def build_surface_net(
    encoder: str, options: Mapping[str, int | float], size: int, num_classes: int
) -> SurfaceNet:
    """Build a network of random weights.

    Args:
        encoder: A timm architecture: a plain vision transformer, or a CNN with a pyramid of
            features.
        options: Passed to `timm.create_model`.
        size: Side of the input, pixels; a ViT's a multiple of its patch.
        num_classes: Of the surfaces.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        ValueError: If the encoder is unknown, gives no pyramid, or does not fit the size.
    """
    if is_model_in_modules(encoder, ['vision_transformer']):
        vit = VitEncoder(encoder, image_size=(size, size), options=options)
        return SurfaceNet(vit, num_classes)
    return SurfaceNet(TimmEncoder(encoder, options=options), num_classes)


def enlarge(logits: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Interpolate logits bilinearly.

    Args:
        logits: (B, C, h, w).
        size: (H, W), pixels.

    Returns:
        (B, C, H, W).
    """
    return F.interpolate(logits, list(size), mode='bilinear', align_corners=False)
