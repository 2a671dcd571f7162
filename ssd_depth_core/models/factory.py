"""From a config to a network: the one place that knows which parts fit together."""

from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.encoders import TimmEncoder
from ssd_depth_core.models.monodepth2_decoder import Monodepth2Decoder
from ssd_depth_core.models.pyramid_decoder import PyramidDecoder
from torch import nn


def build_depth_net(config: DepthNetConfig) -> DepthNet:
    """Build a depth network with fresh weights.

    Args:
        config: What to build.

    Returns:
        The network in training mode, on the CPU.
    """
    encoder = TimmEncoder(config.encoder, config.encoder_weights, config.encoder_options)
    decoder: nn.Module
    if config.decoder == 'monodepth2':
        decoder = Monodepth2Decoder(encoder.channels, config.num_outputs)
        return DepthNet(encoder, decoder, nn.Identity(), config)
    decoder = PyramidDecoder(encoder.channels, config.decoder_channels, config.fine_channels)
    head = nn.Conv2d(config.fine_channels, config.num_outputs, 3, padding=1)
    return DepthNet(encoder, decoder, head, config)
