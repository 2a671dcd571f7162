"""The depth network: an image in, canonical inverse depth and its uncertainty out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
import re
from typing import Literal

from ssd_depth_core.models.dpt_decoder import DptConfig
import torch
from torch import nn
import torch.nn.functional as F

OutputKind = Literal['log_sigmoid', 'sigmoid', 'sigmoid_depth', 'relu']
"""How logits become inverse depth; see `inverse_depth_of`."""

CONFIDENCE_RATIO = 1.25
"""Confidence is the probability of a depth within this factor of the truth: the `a1` metric."""

MIN_DEVIATION = 1e-3
"""Of a picture's normalised values: what has less shows nothing, and is not to be blown up."""

MIN_SCALE, MAX_SCALE = 0.01, 2.0
"""Laplace scale of log depth: 1 % is finer than any label; 2 says 'anything' (confidence 0.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthNetConfig:
    """Describe a network and the input that it must be given."""

    encoder: str = 'mobilenetv4_conv_small'
    """A timm architecture."""
    encoder_weights: str | None = None
    """What the encoder starts from, as `load_encoder_weights` takes it: `timm`, `hf-hub:<id>` or a
    local file; None: random weights."""
    encoder_options: dict[str, int | float] = field(default_factory=dict)
    """Passed to `timm.create_model`, e.g. `depth`, `embed_dim` and `num_heads` of a small ViT."""
    decoder: Literal['pyramid', 'monodepth2', 'dpt'] = 'pyramid'
    """What turns features into a map; `dpt` takes a ViT, the others a CNN."""
    decoder_channels: int = 64
    """Width of the pyramid decoder at strides 4 to 32."""
    fine_channels: int = 32
    """Width of the pyramid decoder at stride 2."""
    dpt: DptConfig = field(default_factory=DptConfig)
    """The dpt decoder."""
    output: OutputKind = 'log_sigmoid'
    """How the map becomes inverse depth; see `inverse_depth_of`."""
    confidence: bool = True
    """Whether the network says how sure it is; photometric losses do not teach it."""
    confidence_scale: float = 1.0
    """What the predicted Laplace scale is multiplied by; `training.calibrate` measures it."""
    input_height: int = 192
    """Pixels, a multiple of `size_multiple`."""
    input_width: int = 320
    """Pixels, a multiple of `size_multiple`."""
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """Of the RGB input in [0, 1]; ImageNet's, so that pretrained encoders fit."""
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """Of the RGB input in [0, 1]."""
    normalize_each_image: bool = False
    """Whether the network brings each picture to mean 0 and deviation 1 before all else: md4all's
    daytime normalisation in the form that nobody has to tell the time of day for."""
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
        # Reflection at the coarsest level needs two pixels there.
        multiple, smallest = self.size_multiple, 64 if self.decoder == 'monodepth2' else 1
        if min(self.input_height, self.input_width) < max(multiple, smallest) or (
            self.input_height % multiple or self.input_width % multiple
        ):
            raise ValueError(
                f'input_height and input_width must be multiples of {multiple} for {self.encoder} '
                f'and >= {max(multiple, smallest)} for decoder {self.decoder}, '
                f'got {self.input_height}x{self.input_width}'
            )
        if not 0 < self.min_depth_m < self.max_depth_m:
            raise ValueError(
                'depth range must be 0 < min_depth_m < max_depth_m, '
                f'got {self.min_depth_m} and {self.max_depth_m}'
            )
        for name in ('canonical_focal_px', 'confidence_scale'):
            if getattr(self, name) <= 0:
                raise ValueError(f'{name} must be > 0, got {getattr(self, name)}')
        if min(self.decoder_channels, self.fine_channels) < 1:
            raise ValueError(
                'decoder_channels and fine_channels must be >= 1, '
                f'got {self.decoder_channels} and {self.fine_channels}'
            )

    @property
    def size_multiple(self) -> int:
        """Give what height and width must be multiples of: a ViT's patch, a CNN's last stride."""
        patch = re.search(r'patch(\d+)', self.encoder)
        return int(patch[1]) if patch and self.decoder == 'dpt' else 32

    @property
    def num_outputs(self) -> int:
        """Give the channels of the logits: inverse depth and, with `confidence`, its scale."""
        return 2 if self.confidence else 1


@dataclass(frozen=True, slots=True)
class DepthOutput:
    """Hold what a depth network says about a batch of images."""

    inverse_depth: torch.Tensor
    """(B, 1, H, W) [1/m], canonical, in [1 / max_depth_m, 1 / min_depth_m]; with output `relu`
    relative, without unit, >= 0."""
    log_scale: torch.Tensor | None = None
    """(B, 1, H, W), natural log of the Laplace scale of log depth; None without `confidence`."""
    coarse: tuple[torch.Tensor, ...] = ()
    """Inverse depth at a half, a quarter and an eighth of the size, (B, 1, h, w), from the
    monodepth2 decoder in training mode."""

    @property
    def confidence(self) -> torch.Tensor | None:
        """Give the probability that depth is within a factor of 1.25, (B, 1, H, W) in [0, 1].

        For a Laplace distribution of scale b, P(|error| < t) = 1 - exp(-t / b).
        """
        if self.log_scale is None:
            return None
        return -torch.expm1(-math.log(CONFIDENCE_RATIO) * torch.exp(-self.log_scale))


def inverse_depth_of(
    logits: torch.Tensor, output: OutputKind, min_depth_m: float, max_depth_m: float
) -> torch.Tensor:
    """Map logits to inverse depth.

    Args:
        logits: Any shape.
        output: `log_sigmoid`: inverse depth uniform in its logarithm. The errors that count are
            relative, and in the linear form all beyond 10 m lies in the last 1 % of the sigmoid,
            where its gradient vanishes. `sigmoid`: inverse depth linear in the sigmoid, as in
            monodepth2. `sigmoid_depth`: depth linear in the sigmoid, as in the metric Depth
            Anything, but no nearer than `min_depth_m`. `relu`: relative inverse depth without
            unit or bound, as in Depth Anything.
        min_depth_m: Nearest depth.
        max_depth_m: Farthest depth.

    Returns:
        Same shape, [1/m] in [1 / max_depth_m, 1 / min_depth_m] but for `relu`.
    """
    if output == 'relu':
        return F.relu(logits)
    fraction = torch.sigmoid(logits)
    if output == 'sigmoid_depth':
        return 1 / (max_depth_m * fraction).clamp(min=min_depth_m)
    near, far = 1 / min_depth_m, 1 / max_depth_m
    if output == 'sigmoid':
        return far + (near - far) * fraction
    return torch.exp(math.log(far) + math.log(near / far) * fraction)


def metric_scale(config: DepthNetConfig, K: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Say how many metres one canonical metre is.

    Args:
        config: Of the network.
        K: (B, 3, 3), pixels at any size.
        size: (H, W) at which K holds.

    Returns:
        (B, 1, 1, 1): metric depth is canonical depth times this, f / canonical_focal_px with the
        focal length f at the network's input.
    """
    growth = config.input_height * config.input_width / (size[0] * size[1])
    focal = torch.sqrt(K[:, 0, 0] * K[:, 1, 1] * growth)
    return (focal / config.canonical_focal_px)[:, None, None, None]


class DepthNet(nn.Module):
    """Predict canonical inverse depth and, where the config asks for it, its uncertainty."""

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, config: DepthNetConfig
    ) -> None:
        """Join the parts.

        Args:
            encoder: Image to features.
            decoder: Features to one map, or to a tuple of maps, finest first.
            head: Finest map to logits, (B, num_outputs, h, w); an identity where the decoder gives
                logits already.
            config: Kept with the network, for whoever saves or exports it.
        """
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.config = config

    def forward(self, image: torch.Tensor) -> DepthOutput:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised; H and W multiples of `config.size_multiple`.

        Returns:
            Inverse depth and log scale at the size of the image, in float32.
        """
        return self.decode(self.encode(image), image.shape[2:])

    def encode(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Extract features, for whoever looks at these too.

        Args:
            image: As `forward`.

        Returns:
            Finest first, what `decode` takes.
        """
        if self.config.normalize_each_image:
            mean = image.mean((1, 2, 3), keepdim=True)
            deviation = image.std((1, 2, 3), keepdim=True, correction=0)
            image = (image - mean) / deviation.clamp(min=MIN_DEVIATION)
        features: list[torch.Tensor] = self.encoder(image)
        return features

    def decode(self, features: list[torch.Tensor], size: Sequence[int]) -> DepthOutput:
        """Predict from features.

        Args:
            features: What `encode` gave.
            size: (H, W) of the image, pixels.

        Returns:
            As `forward`.
        """
        maps = self.decoder(features)
        finest, *coarse = maps if isinstance(maps, tuple) else (maps,)
        logits = self.head(finest).float()  # float32 from the LogitsConv2d on
        if logits.shape[2:] != torch.Size(size):
            logits = F.interpolate(
                logits, list(size), mode='bilinear', align_corners=False
            )  # (B, num_outputs, H, W)
        low, high = math.log(MIN_SCALE), math.log(MAX_SCALE)
        return DepthOutput(
            inverse_depth=self._inverse_depth(logits[:, :1]),
            log_scale=low
            + (high - low) * torch.sigmoid(logits[:, 1:])
            + math.log(self.config.confidence_scale)
            if self.config.confidence
            else None,
            coarse=tuple(self._inverse_depth(logits.float()) for logits in coarse),
        )

    def _inverse_depth(self, logits: torch.Tensor) -> torch.Tensor:
        config = self.config
        return inverse_depth_of(logits, config.output, config.min_depth_m, config.max_depth_m)


class ExportedDepthNet(nn.Module):
    """Wrap a network in the form in which it leaves torch: one or two tensors, nothing else."""

    def __init__(self, network: DepthNet) -> None:
        """Wrap.

        Args:
            network: In evaluation mode.
        """
        super().__init__()
        self.network = network

    @property
    def output_names(self) -> list[str]:
        """Name the tensors in their order."""
        return ['inverse_depth', 'confidence'][: self.network.config.num_outputs]

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Predict.

        Args:
            image: (B, 3, H, W), normalised.

        Returns:
            Inverse depth (B, 1, H, W) [1/m], canonical, and, where the network has it, confidence
            (B, 1, H, W) in [0, 1].
        """
        output = self.network(image)
        if output.confidence is None:
            return (output.inverse_depth,)
        return output.inverse_depth, output.confidence
