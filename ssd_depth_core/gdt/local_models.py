"""One message for all the ways in which a pretrained network may not be on this machine."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
import re

HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')


@contextmanager
def loading(part: str, model: str, folder: str = '', otherwise: str = '') -> Iterator[None]:
    """Turn the many errors of loading into one that says what is missing and what to do.

    Args:
        part: What the network is called in the message.
        model: Hub id or folder.
        folder: Of the model, with a slash behind it, where not all of it is needed.
        otherwise: What does without the network; empty: nothing.

    Yields:
        Nothing; load inside.

    Raises:
        FileNotFoundError: If the network is not on this machine, or damaged.
    """
    from safetensors import SafetensorError

    try:
        yield
    # Weights of another shape are a RuntimeError.
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise FileNotFoundError(
            f'{part} {model} is not on this machine, or not whole: {str(error).splitlines()[0]} '
            f'{remedy_for(model, folder)}{f", or {otherwise}" if otherwise else ""}'
        ) from None


def require_whole(part: str, model: str, lacking: Iterable[str]) -> None:
    """Require all weights of a network of transformers, which makes up those its file lacks.

    Args:
        part: What the network is called in the message.
        model: Hub id or folder.
        lacking: Names of weights, the `missing_keys` of its loading.

    Raises:
        ValueError: If there is one.
    """
    if names := sorted(lacking):
        raise ValueError(
            f'{part} {model} lacks {len(names)} weights, such as {names[0]}; it was saved from '
            'another architecture'
        )


def remedy_for(model: str, folder: str = '') -> str:
    """Say how to get a network.

    Args:
        model: Hub id, folder or file.
        folder: Of the model, with a slash behind it, where not all of it is needed.

    Returns:
        A sentence without its full stop: the command that fetches it from the hub, where it may be
        there.
    """
    if model.endswith('.onnx'):
        return 'Export one with `python -m training.export`'
    if Path(model).is_dir() or not HUB_ID.fullmatch(model):
        return 'Name a whole folder, as save_pretrained writes it'
    # Repositories also hold pickles, and the same weights in one file and in other types.
    return (
        f"Fetch it with `hf download {model} --include '*.json' --include '*.txt' "
        f"--include '{folder}*.safetensors' --exclude '*.*.safetensors'`, or name a folder"
    )
