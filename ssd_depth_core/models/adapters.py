"""Low-rank adapters: a large encoder learns one robot's camera with 1 % of its weights or less.

    W x  becomes  W x + (alpha / rank) B A x,    A (rank, in) random, B (out, rank) zero at first

Only A and B are trained. Afterwards the product is added to W, so that a checkpoint, its export
and whatever runs it never know.

Reference: Hu et al., 2021, arXiv 2106.09685 (LoRA), Eq. 3.
"""

import copy
from dataclasses import dataclass

from ssd_depth_core.models.depth_net import DepthNet
from ssd_depth_core.models.vit_encoder import VitEncoder


@dataclass(frozen=True, kw_only=True, slots=True)
class AdapterConfig:
    """Say how much of a network may change."""

    rank: int = 8
    """Of each change of a matrix."""
    alpha: int = 16
    """The change is scaled by alpha / rank, so that the rank leaves the learning rate alone."""
    targets: tuple[str, ...] = ('attn.qkv', 'attn.proj')
    """Ends of the names of the encoder's layers that get one; the usual ones are all of the
    attention, `mlp.fc1` and `mlp.fc2` are the others of a block."""
    train_decoder: bool = False
    """Whether the decoder's weights are trained as well, all of them. Its batch norms follow the
    new pictures in either case."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If the rank or alpha is not positive, or there is no target.
        """
        for name in ('rank', 'alpha'):
            if getattr(self, name) <= 0:
                raise ValueError(f'{name} must be > 0, got {getattr(self, name)}')
        if not self.targets:
            raise ValueError('targets must name one layer or more, got none')


def add_adapters(network: DepthNet, config: AdapterConfig) -> None:
    """Put adapters into a network's encoder and freeze the rest; what it says does not change yet.

    Args:
        network: With a vision transformer; changed in place.
        config: Which, and how large.

    Raises:
        ValueError: If the encoder is no vision transformer, a target is none of its layers, or
            peft is not installed.
    """
    if not isinstance(network.encoder, VitEncoder):
        raise ValueError(
            f'adapters need a vision transformer (decoder: dpt), got {network.config.encoder}; '
            'set adapters to null to train all weights, of which a CNN has few'
        )
    names = [name for name, _ in network.encoder.named_modules()]
    for target in config.targets:
        if not any(f'.{name}'.endswith(f'.{target}') for name in names):
            raise ValueError(
                f'adapters.targets must be ends of layer names of {network.config.encoder}, such '
                f'as attn.qkv, attn.proj, mlp.fc1 and mlp.fc2, got {target}'
            )
    try:
        from peft import inject_adapter_in_model, LoraConfig
    except ImportError:
        raise ValueError(
            'adapters need peft, which is not installed: pip install peft; or set adapters to null'
        ) from None
    lora = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules=list(config.targets))
    inject_adapter_in_model(lora, network.encoder)  # which freezes all else in the encoder
    for part in (network.decoder, network.head):
        part.requires_grad_(config.train_decoder)


def without_adapters(network: DepthNet) -> DepthNet:
    """Add what adapters have learnt to the weights that they adapt.

    Args:
        network: With adapters; left as it is.

    Returns:
        A copy that says the same, a plain network again.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    plain = copy.deepcopy(network)
    for name, module in list(plain.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            plain.set_submodule(name, module.get_base_layer())
    return plain
