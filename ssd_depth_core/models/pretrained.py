"""Encoders that others trained, into ours: strictly, key by key."""

from collections.abc import Mapping
import math
from typing import Any

from ssd_depth_core.models.weight_files import (
    fill,
    find_file,
    HUB_PREFIX,
    KeyMap,
    read_tensors,
    rename,
)
import timm
from timm.models.vision_transformer import VisionTransformer
import torch
from torch import nn
import torch.nn.functional as F


def load_encoder_weights(
    backbone: nn.Module,
    weights: str,
    name: str,
    options: Mapping[str, int | float] | None = None,
) -> None:
    """Fill a timm network with what somebody trained it to.

    A vision transformer's position embedding is resampled to the network's grid, see
    `resample_position`. A classifier in the file is left out.

    Args:
        backbone: What `timm.create_model` made, whole or as `features_only`.
        weights: `timm` for the weights that timm knows for the name, or as `find_file` takes it: a
            file of timm, or of DINOv2 (with or without registers) as published by its authors or
            by transformers.
        name: The architecture that it was made from.
        options: That it was made with.

    Raises:
        FileNotFoundError: If the weights cannot be had.
        ValueError: If timm knows none for the name, the file cannot be read, or a key or shape is
            not the network's.
    """
    source = _hub_source(name) if weights == 'timm' else weights
    tensors = read_tensors(find_file(source))
    where = f'weights {source} for encoder {name}'
    vit = backbone if isinstance(backbone, VisionTransformer) else None
    if vit is not None and 'embeddings.cls_token' in tensors:
        keys, unused = dinov2_transformers_keys(vit)
    elif vit is not None and 'mask_token' in tensors:
        keys, unused = dinov2_official_keys(vit)
    else:
        keys, unused = timm_keys(backbone, name, options)
    # A count of batches is no weight, and old files lack it.
    kept = {
        ours
        for ours, theirs in keys.items()
        if ours.endswith('num_batches_tracked') and theirs[0] not in tensors
    }
    keys = {ours: theirs for ours, theirs in keys.items() if ours not in kept}
    renamed = rename(tensors, keys, unused, where)
    if vit is not None:
        renamed |= _fit_position(renamed['cls_token'], renamed['pos_embed'], vit, where)
    fill(backbone, renamed, where, kept)


def _fit_position(
    token: torch.Tensor, position: torch.Tensor, vit: VisionTransformer, where: str
) -> dict[str, torch.Tensor]:
    """Bring class token and position embedding into the form of a network."""
    num_prefix = 0 if vit.no_embed_class else vit.num_prefix_tokens
    if vit.no_embed_class and math.isqrt(position.shape[1]) ** 2 != position.shape[1]:
        # The file, not being timm's, keeps a position of the class token, which no picture
        # changes; timm has it added to the token.
        token, position = token + position[:, :1], position[:, 1:]
    grid, antialias = vit.patch_embed.grid_size, vit.reg_token is not None
    position = resample_position(position, grid, num_prefix, where, antialias=antialias)
    return {'cls_token': token, 'pos_embed': position}


def resample_position(
    position: torch.Tensor,
    grid: tuple[int, int],
    num_prefix: int,
    where: str,
    *,
    antialias: bool = False,
) -> torch.Tensor:
    """Bring a position embedding to another grid, once, when weights are loaded.

    Bicubic, corners not aligned, as transformers does it at every image: Dinov2Model without
    anti-aliasing, Dinov2WithRegistersModel with it, as they were trained. Differs: DINOv2's own
    code passes a scale factor of (side + 0.1) / old side instead of the size where there are no
    registers, which samples up to 0.1 of a patch away; timm always filters against aliasing.

    Args:
        position: (1, num_prefix + s * s, C).
        grid: Rows and columns wanted.
        num_prefix: Tokens in front that have no place in the picture.
        where: File and network, for the message.
        antialias: Whether a coarser grid averages; DINOv2 does so where it has registers.

    Returns:
        (1, num_prefix + rows * columns, C).

    Raises:
        ValueError: If the places do not form a square.
    """
    prefix, places = position[:, :num_prefix], position[:, num_prefix:]
    side = math.isqrt(places.shape[1])
    if side * side != places.shape[1]:
        raise ValueError(
            f'{where}: position embedding must be on a square grid, got {places.shape[1]} places'
        )
    if (side, side) == tuple(grid):
        return position
    square = places.reshape(1, side, side, -1).permute(0, 3, 1, 2)  # (1, C, s, s)
    resampled = F.interpolate(
        square.float(), size=grid, mode='bicubic', align_corners=False, antialias=antialias
    )
    places = resampled.permute(0, 2, 3, 1).flatten(1, 2).to(position)  # (1, rows * columns, C)
    return torch.cat([prefix, places], 1)


def timm_keys(
    backbone: nn.Module, name: str, options: Mapping[str, int | float] | None
) -> tuple[KeyMap, set[str]]:
    """List the keys of timm's own file for a network.

    Args:
        backbone: Whole, or as `features_only`, which writes some dots of a name as underscores.
        name: The architecture.
        options: That it was made with.

    Returns:
        Our keys to the file's, and the file's that belong to the classifier.
    """
    arguments: dict[str, Any] = dict(options or {})
    with torch.device('meta'):  # names alone: no memory, no time for random weights
        whole = timm.create_model(name, **arguments).state_dict()
    flat = {key.replace('.', '_'): key for key in whole}
    keys = {key: (flat[key.replace('.', '_')],) for key in backbone.state_dict()}
    return keys, set(whole) - {theirs for (theirs,) in keys.values()}


def dinov2_official_keys(vit: VisionTransformer, prefix: str = '') -> tuple[KeyMap, set[str]]:
    """List the keys of the file that DINOv2's authors publish.

    Args:
        vit: Our network.
        prefix: In front of every key of the file.

    Returns:
        Our keys to the file's, and the file's that only its pre-training used.
    """
    names = {'reg_token': 'register_tokens'}
    return (
        {key: (prefix + names.get(key, key),) for key in vit.state_dict()},
        {f'{prefix}mask_token'},
    )


def dinov2_transformers_keys(vit: VisionTransformer, prefix: str = '') -> tuple[KeyMap, set[str]]:
    """List the keys of a file that transformers' Dinov2Model wrote.

    Args:
        vit: Our network.
        prefix: In front of every key of the file.

    Returns:
        Our keys to the file's, and the file's that only its pre-training used.
    """
    keys: dict[str, tuple[str, ...]] = {
        'cls_token': ('embeddings.cls_token',),
        'pos_embed': ('embeddings.position_embeddings',),
    }
    if vit.reg_token is not None:
        keys['reg_token'] = ('embeddings.register_tokens',)
    for kind in ('weight', 'bias'):
        keys[f'patch_embed.proj.{kind}'] = (f'embeddings.patch_embeddings.projection.{kind}',)
        keys[f'norm.{kind}'] = (f'layernorm.{kind}',)
    for index in range(len(vit.blocks)):
        ours, theirs = f'blocks.{index}', f'encoder.layer.{index}'
        for kind in ('weight', 'bias'):
            for layer in ('norm1', 'norm2', 'mlp.fc1', 'mlp.fc2'):
                keys[f'{ours}.{layer}.{kind}'] = (f'{theirs}.{layer}.{kind}',)
            keys[f'{ours}.attn.qkv.{kind}'] = tuple(
                f'{theirs}.attention.attention.{part}.{kind}' for part in ('query', 'key', 'value')
            )
            keys[f'{ours}.attn.proj.{kind}'] = (f'{theirs}.attention.output.dense.{kind}',)
        for scale in (1, 2):
            keys[f'{ours}.ls{scale}.gamma'] = (f'{theirs}.layer_scale{scale}.lambda1',)
    return (
        {ours: tuple(prefix + name for name in names) for ours, names in keys.items()},
        {f'{prefix}embeddings.mask_token'},
    )


def _hub_source(name: str) -> str:
    """Say where timm keeps its weights; its own loader would not check every key."""
    config = timm.get_pretrained_cfg(name)
    if config is None or not config.hf_hub_id:
        raise ValueError(
            f'encoder_weights timm: timm knows no weights on the hub for {name}; name a file, or '
            f'{HUB_PREFIX}<owner>/<name>'
        )
    return HUB_PREFIX + config.hf_hub_id
