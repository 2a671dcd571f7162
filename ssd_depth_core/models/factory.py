"""From a config to a network: the one place that knows which parts fit together."""

from ssd_depth_core.models.decoders import PyramidDecoder
from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.encoders import TimmEncoder


def build_depth_net(config: DepthNetConfig) -> DepthNet:
    """Build a depth network with fresh weights.

    Args:
        config: What to build.

    Returns:
        The network in training mode, on the CPU.
    """
    encoder = TimmEncoder(config.encoder, config.pretrained)
    decoder = PyramidDecoder(encoder.channels, config.decoder_channels, config.fine_channels)
    return DepthNet(encoder, decoder, config.fine_channels, config)
