"""Files of weights that others made: where they lie, how they are read, how they are named."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
import pickle

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError
from safetensors.torch import load_file
from ssd_depth_core.checks import check_file
import torch

HUB_PREFIX = 'hf-hub:'

KeyMap = Mapping[str, tuple[str, ...]]
"""From each of our keys to the file's; several are put together along the first axis."""


def find_file(source: str) -> Path:
    """Find a file, downloading it where it lies on the Hugging Face hub.

    Args:
        source: Path of a local file, `hf-hub:<owner>/<name>` for the `model.safetensors` of a hub
            repository, or `hf-hub:<owner>/<name>/<file>` for another of its files.

    Returns:
        A local path.

    Raises:
        FileNotFoundError: If there is no such local file, or the hub cannot be reached or does
            not have it.
        ValueError: If the source is no hub repository's name, or the file is empty.
    """
    if not source.startswith(HUB_PREFIX):
        check_file(Path(source), 'weights', f'name a local file or {HUB_PREFIX}<owner>/<name>')
        return Path(source)
    owner, _, rest = source.removeprefix(HUB_PREFIX).partition('/')
    name, _, file = rest.partition('/')
    if not owner or not name:
        raise ValueError(f'weights must be {HUB_PREFIX}<owner>/<name>[/<file>], got {source!r}')
    try:
        return Path(hf_hub_download(f'{owner}/{name}', file or 'model.safetensors'))
    except (HfHubHTTPError, OSError) as error:
        raise FileNotFoundError(
            f'weights {source} cannot be had from the Hugging Face hub: {_reason(error)}; check '
            'the name and the connection, or download the file elsewhere and give its path'
        ) from None


def beside(source: str, name: str) -> str:
    """Name another file of the same folder or hub repository.

    Args:
        source: As `find_file` takes it.
        name: Of the other file.

    Returns:
        Its source.
    """
    if source.startswith(HUB_PREFIX):
        return '/'.join([*source.split('/')[:2], name])
    return str(Path(source).with_name(name))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict.

    Args:
        path: `.safetensors`, or what `torch.save` wrote; of the latter only tensors are read,
            nothing is run.

    Returns:
        Tensors by name, on the CPU.

    Raises:
        ValueError: If the file is neither, or holds anything but tensors.
    """
    try:
        if path.suffix == '.safetensors':
            return load_file(path)
        tensors = torch.load(path, map_location='cpu', weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f'weights {path} are damaged or neither safetensors nor a state dict: '
            f'{_reason(error)}; download them again'
        ) from None
    if not isinstance(tensors, dict) or not all(
        isinstance(value, torch.Tensor) for value in tensors.values()
    ):
        raise ValueError(f'weights {path} must be a state dict of tensors alone; save only that')
    return tensors


def rename(
    tensors: Mapping[str, torch.Tensor], keys: KeyMap, unused: Iterable[str], where: str
) -> dict[str, torch.Tensor]:
    """Give tensors our names, every one of them accounted for.

    Args:
        tensors: By the file's names.
        keys: Ours to the file's.
        unused: Of the file's names, those that we have no use for; they may be absent.
        where: File and network, for the message.

    Returns:
        Tensors by our names.

    Raises:
        ValueError: If a key is missing or one is left over.
    """
    wanted = {theirs for names in keys.values() for theirs in names}
    missing = sorted(wanted - set(tensors))
    unexpected = sorted(set(tensors) - wanted - set(unused))
    if missing or unexpected:
        raise ValueError(
            f'{where}: another architecture; {_listed("missing", missing)}, '
            f'{_listed("unexpected", unexpected)}'
        )
    return {
        ours: torch.cat([tensors[name] for name in names]) if len(names) > 1 else tensors[names[0]]
        for ours, names in keys.items()
    }


def fill(
    module: torch.nn.Module,
    tensors: Mapping[str, torch.Tensor],
    where: str,
    kept: Collection[str] = (),
) -> None:
    """Copy tensors into the parameters and buffers of the same names.

    Args:
        module: To be filled; unchanged where this fails.
        tensors: By the module's own names.
        where: File and network, for the message.
        kept: The module's names that stay as they are.

    Raises:
        ValueError: If a name is the module's or the tensors' alone, or a shape differs.
    """
    own = module.state_dict()
    strangers = sorted(set(tensors) - set(own))
    unfilled = sorted(set(own) - set(tensors) - set(kept))
    if strangers or unfilled:
        raise ValueError(
            f'{where}: another architecture; {_listed("without a place", strangers)}, '
            f'{_listed("left empty", unfilled)}'
        )
    wrong = [
        f'{key} is {tuple(value.shape)}, not {tuple(own[key].shape)}'
        for key, value in tensors.items()
        if value.shape != own[key].shape
    ]
    if wrong:
        raise ValueError(f'{where}: another architecture; {_listed("wrong shapes", wrong)}')
    module.load_state_dict(own | dict(tensors))


def _reason(error: Exception) -> str:
    """Take the first line, since the rest explains the library; some errors have none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')


def _listed(what: str, names: list[str], most: int = 4) -> str:
    """Name the first few; a whole encoder's keys would hide what is wrong."""
    rest = f' and {len(names) - most} more' if len(names) > most else ''
    return f'{what}: {", ".join(names[:most]) or "none"}{rest}'
