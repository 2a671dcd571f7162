"""From a config to a network: the one place that knows which parts fit together."""

from ssd_depth_core.models.depth_net import DepthNet, DepthNetConfig
from ssd_depth_core.models.dpt_decoder import DptDecoder
from ssd_depth_core.models.encoders import TimmEncoder
from ssd_depth_core.models.logits_conv import LogitsConv2d
from ssd_depth_core.models.monodepth2_decoder import Monodepth2Decoder
from ssd_depth_core.models.pyramid_decoder import PyramidDecoder
from ssd_depth_core.models.vit_encoder import VitEncoder
from torch import nn


def build_depth_net(config: DepthNetConfig) -> DepthNet:
    """Build a depth network, its weights random but for what the encoder starts from.

    Args:
        config: What to build.

    Returns:
        The network in training mode, on the CPU.

    Raises:
        FileNotFoundError: If the encoder's weights are a file that is not there.
        ValueError: If the encoder is unknown, does not go with the decoder or the input size, or
            its weights do not fit.
    """
    decoder: nn.Module
    if config.decoder == 'dpt':
        vit = VitEncoder(
            config.encoder,
            config.encoder_weights,
            image_size=(config.input_height, config.input_width),
            taps=config.dpt.taps,
            options=config.encoder_options,
        )
        decoder = DptDecoder(vit.channels, config.dpt, vit.patch_size, config.num_outputs)
        return DepthNet(vit, decoder, nn.Identity(), config)
    cnn = TimmEncoder(config.encoder, config.encoder_weights, config.encoder_options)
    if config.decoder == 'monodepth2':
        decoder = Monodepth2Decoder(cnn.channels, config.num_outputs)
        return DepthNet(cnn, decoder, nn.Identity(), config)
    decoder = PyramidDecoder(cnn.channels, config.decoder_channels, config.fine_channels)
    head = LogitsConv2d(config.fine_channels, config.num_outputs, 3, padding=1)
    return DepthNet(cnn, decoder, head, config)
