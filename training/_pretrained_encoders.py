"""Encoders that an experiment pre-trains itself, the same for every row."""

from dataclasses import dataclass
from typing import Any

from ssd_depth_core.config import from_dict
from ssd_depth_core.models.depth_net import DepthNetConfig
from ssd_depth_core.models.pose_net import PoseNetConfig

PRETRAINED = 'pretrained'
"""What a row writes for the `encoder_weights` of a network that begins with such an encoder."""

NETWORKS: dict[str, type[DepthNetConfig | PoseNetConfig]] = {
    'model': DepthNetConfig,
    'pose': PoseNetConfig,
}
"""Parts of a training's config that have an encoder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoder:
    """Say which encoder is pre-trained; fields as in the config of a network."""

    encoder: str
    """A timm architecture."""
    encoder_options: dict[str, int | float]
    """Passed to `timm.create_model`."""

    @property
    def name(self) -> str:
        """Tell it from the others, in the name of a folder too."""
        options = (f'{option}{value}' for option, value in sorted(self.encoder_options.items()))
        return '-'.join([self.encoder, *options])


def pretrained_encoders(training: dict[str, Any], where: str) -> dict[str, Encoder]:
    """Find which encoders a training wants pre-trained.

    Args:
        training: Its config, plain values.
        where: Place of the config for the messages.

    Returns:
        By the network that they are of: `model` or `pose`.

    Raises:
        ValueError: If the config of such a network is wrong.
    """
    encoders = {}
    for network, kind in NETWORKS.items():
        values = training.get(network, {})
        if values.get('encoder_weights') == PRETRAINED:
            config = from_dict(kind, values, f'{where}: {network}')
            encoders[network] = Encoder(
                encoder=config.encoder, encoder_options=config.encoder_options
            )
    return encoders
