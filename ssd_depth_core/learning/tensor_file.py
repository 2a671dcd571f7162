"""Tensors on disk: safetensors with JSON inside, whole or not at all, and read strictly."""

from collections.abc import Mapping
import os
from pathlib import Path

from safetensors import safe_open, SafetensorError
from safetensors.torch import load_file, save_file
from ssd_depth_core.checks import check_file
import torch
from torch import nn


def write_tensors(
    path: Path, tensors: Mapping[str, torch.Tensor], header: dict[str, str], name: str
) -> None:
    """Write a file, replacing the old one at once.

    Args:
        path: `.safetensors`; its folder is there.
        tensors: By key, on any device.
        header: Text by key.
        name: What the file is called in messages.

    Raises:
        OSError: If it cannot be written whole; the old file is as it was then.
    """
    # safetensors refuses the strides of channels_last.
    contiguous = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    part = path.with_suffix('.part')
    try:
        save_file(contiguous, part, header)
        with part.open('rb+') as file:
            os.fsync(file.fileno())  # some file systems tell only here that they are full
        part.chmod(0o644)  # safetensors makes files that only their owner may read
        os.replace(part, path)
    except (SafetensorError, OSError) as error:
        size = sum(value.nbytes for value in contiguous.values())
        kept = 'the old one is kept' if path.exists() else 'there was none before'
        raise OSError(
            f'{name} {path} cannot be written ({error}); {kept}; free {size / 1e6:.1f} MB, or '
            'go on with a copy of the folder elsewhere'
        ) from None
    finally:
        part.unlink(missing_ok=True)


def read_tensors(
    path: Path, name: str, remedy: str
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Read what `write_tensors` wrote.

    Args:
        path: The file.
        name: What the file is called in messages.
        remedy: What the user can do without it.

    Returns:
        Tensors by key, on the CPU, and the header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no safetensors.
    """
    check_file(path, name, remedy)
    try:
        with safe_open(path, framework='pt') as file:
            header = file.metadata() or {}
        return load_file(path), header
    except SafetensorError as error:
        raise ValueError(
            f'{name} {path} is damaged or no safetensors ({error}); copy it again, or {remedy}'
        ) from None


def load_strictly(module: nn.Module, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Give a module its weights, all of them and no others.

    Args:
        module: Written to.
        tensors: By the module's own keys.
        where: Whose weights they are, for the message.

    Raises:
        ValueError: If the two differ, saying how many keys and which is the first of them.
    """
    own = module.state_dict()
    differences = [
        f'{len(keys)} {what}, first {keys[0]}'
        for keys, what in (
            (sorted(own.keys() - tensors.keys()), 'weights are missing'),
            (sorted(tensors.keys() - own.keys()), 'weights have no place'),
            (
                [
                    f'{key} {tuple(tensors[key].shape)} for {tuple(own[key].shape)}'
                    for key in own
                    if key in tensors and tensors[key].shape != own[key].shape
                ],
                'weights have another shape',
            ),
        )
        if keys
    ]
    if differences:
        raise ValueError(f'{where} is of another architecture: {"; ".join(differences)}')
    module.load_state_dict(dict(tensors), strict=True)
