"""Depth Anything V2 into our DINOv2 with a DPT head: strictly, key by key.

Reference: Yang et al., 2024, arXiv 2406.09414.
"""

import json
from typing import Any

from ssd_depth_core.models.depth_net import DepthNet
from ssd_depth_core.models.dpt_decoder import DptDecoder
from ssd_depth_core.models.pretrained import (
    dinov2_official_keys,
    dinov2_transformers_keys,
    resample_position,
)
from ssd_depth_core.models.vit_encoder import VitEncoder
from ssd_depth_core.models.weight_files import (
    beside,
    fill,
    find_file,
    KeyMap,
    read_tensors,
    rename,
)

TAPS = {12: (3, 6, 9, 12), 24: (5, 12, 18, 24)}
"""Blocks that the authors' head reads, by the number of blocks: of Small and Base, of Large."""

OUTPUTS = {'relative': 'relu', 'metric': 'sigmoid_depth'}
"""Our output that equals theirs."""


def load_depth_anything(network: DepthNet, checkpoint: str, *, last_layer: bool = True) -> None:
    """Fill a DINOv2 with a DPT head.

    Args:
        network: Of the checkpoint's architecture: encoder, taps, widths, no batch norm.
        checkpoint: As `find_file` takes it; of transformers, with its `config.json` beside it, or
            of the authors, whose files do not say whether they are metric.
        last_layer: Whether the network's output means what the checkpoint's does, `relu` for a
            relative one and `sigmoid_depth` for a metric one, so that all is taken over. False:
            the last convolution stays as it is, to be trained for another output.

    Raises:
        FileNotFoundError: If the checkpoint or its `config.json` cannot be had.
        ValueError: If the network is no ViT with a DPT head without batch norm, the checkpoint is
            not of its architecture, or, with `last_layer`, the output is another.
    """
    encoder, decoder = network.encoder, network.decoder
    if not isinstance(encoder, VitEncoder) or not isinstance(decoder, DptDecoder):
        raise ValueError(
            'Depth Anything needs decoder: dpt and a DINOv2 encoder, got '
            f'{network.config.decoder} and {network.config.encoder}'
        )
    if network.config.dpt.batch_norm:
        raise ValueError('Depth Anything has no batch norm; set dpt.batch_norm: false')
    if last_layer and network.config.confidence:
        raise ValueError('Depth Anything gives no confidence; set confidence: false')
    tensors = read_tensors(find_file(checkpoint))
    where = f'weights {checkpoint} for Depth Anything with {network.config.encoder}'
    if 'backbone.embeddings.cls_token' in tensors:
        _check_config(network, encoder, checkpoint, last_layer, where)
        encoder_keys, encoder_unused = dinov2_transformers_keys(encoder.backbone, 'backbone.')
        decoder_keys, decoder_unused = transformers_head_keys()
    else:
        _check('dpt.taps', encoder.taps, TAPS.get(len(encoder.backbone.blocks)), where)
        encoder_keys, encoder_unused = dinov2_official_keys(encoder.backbone, 'pretrained.')
        decoder_keys, decoder_unused = official_head_keys()
    keys = {f'encoder.backbone.{ours}': theirs for ours, theirs in encoder_keys.items()}
    keys |= {f'decoder.{ours}': theirs for ours, theirs in decoder_keys.items()}
    renamed = rename(tensors, keys, encoder_unused | decoder_unused, where)
    kept = () if last_layer else ('decoder.head.2.weight', 'decoder.head.2.bias')
    renamed = {key: tensor for key, tensor in renamed.items() if key not in kept}
    position = 'encoder.backbone.pos_embed'
    renamed[position] = resample_position(
        renamed[position], encoder.backbone.patch_embed.grid_size, 1, where
    )
    fill(network, renamed, where, kept)


def transformers_head_keys() -> tuple[KeyMap, set[str]]:
    """List the keys of the head in a file of transformers.

    Returns:
        Keys of our DptDecoder to the file's, and the file's that nothing reads.
    """
    return _head_keys(
        projection='neck.reassemble_stage.layers.{level}.projection',
        resize='neck.reassemble_stage.layers.{level}.resize',
        lateral='neck.convs.{level}',
        unit='neck.fusion_stage.layers.{depth}.residual_layer{unit}.convolution{conv}',
        fusion='neck.fusion_stage.layers.{depth}.projection',
        convs=('head.conv1', 'head.conv2', 'head.conv3'),
    )


def official_head_keys() -> tuple[KeyMap, set[str]]:
    """List the keys of the head in a file of the authors.

    Returns:
        Keys of our DptDecoder to the file's, and the file's that nothing reads.
    """
    scratch = 'depth_head.scratch'
    return _head_keys(
        projection='depth_head.projects.{level}',
        resize='depth_head.resize_layers.{level}',
        lateral=scratch + '.layer{number}_rn',
        unit=scratch + '.refinenet{number}.resConfUnit{unit}.conv{conv}',
        fusion=scratch + '.refinenet{number}.out_conv',
        convs=(
            f'{scratch}.output_conv1',
            f'{scratch}.output_conv2.0',
            f'{scratch}.output_conv2.2',
        ),
    )


def _head_keys(
    *,
    projection: str,
    resize: str,
    lateral: str,
    unit: str,
    fusion: str,
    convs: tuple[str, str, str],
) -> tuple[KeyMap, set[str]]:
    """Spell out the layers; `level` counts from the finest, `depth` from the coarsest."""
    layers = dict(zip(('narrow', 'head.0', 'head.2'), convs, strict=True))
    unused: set[str] = set()
    for level in range(4):
        place = {'level': level, 'number': level + 1, 'depth': 3 - level}
        layers[f'projections.{level}'] = projection.format(**place)
        if level != 2:  # which keeps its size
            layers[f'resizes.{level}'] = resize.format(**place)
        layers[f'fusions.{level}.project'] = fusion.format(**place)
        for number, ours in ((1, 'level_unit'), (2, 'unit')):
            for conv in (1, 2):
                theirs = unit.format(**place, unit=number, conv=conv)
                if level == 3 and ours == 'level_unit':
                    # The coarsest block merges nothing, yet its first unit is in the files.
                    unused |= {f'{theirs}.weight', f'{theirs}.bias'}
                else:
                    layers[f'fusions.{level}.{ours}.conv{conv}'] = theirs
    keys = {
        f'{ours}.{kind}': (f'{theirs}.{kind}',)
        for ours, theirs in layers.items()
        for kind in ('weight', 'bias')
    }
    keys |= {
        f'laterals.{level}.weight': (f'{lateral.format(level=level, number=level + 1)}.weight',)
        for level in range(4)
    }
    return keys, unused


def _check_config(
    network: DepthNet, encoder: VitEncoder, checkpoint: str, last_layer: bool, where: str
) -> None:
    """Compare what shapes cannot tell; a field left out has the default of transformers."""
    path = find_file(beside(checkpoint, 'config.json'))
    config = json.loads(path.read_text())
    backbone = config['backbone_config']
    _check('dpt.taps', encoder.taps, tuple(backbone['out_indices']), where)
    block: Any = encoder.backbone.blocks[0]  # which torch types as a module
    _check('num_heads', block.attn.num_heads, backbone.get('num_attention_heads', 12), where)
    if not last_layer:
        return
    kind = config.get('depth_estimation_type', 'relative')
    _check('output', network.config.output, OUTPUTS[kind], where)
    max_depth = config.get('max_depth', 1)
    if kind == 'metric':
        _check('max_depth_m', network.config.max_depth_m, max_depth, where)
    elif max_depth != 1:
        raise ValueError(f'{where}: max_depth must be 1 in a relative one, got {max_depth}')


def _check(field: str, ours: Any, theirs: Any, where: str) -> None:
    if theirs is not None and ours != theirs:
        raise ValueError(f'{where}: {field} must be {theirs}, as in the checkpoint, got {ours}')
