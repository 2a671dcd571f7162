"""One message for all the ways in which a pretrained network may not be on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import re

HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')


@contextmanager
def loading(part: str, model: str, subfolder: str | None = None) -> Iterator[None]:
    """Turn the many errors of loading into one that says what is missing and what to do.

    Args:
        part: What the network is called in the message.
        model: Hub id or folder.
        subfolder: Of the model, where not all of it is needed.

    Yields:
        Nothing; load inside.

    Raises:
        FileNotFoundError: If the network is not on this machine, or damaged.
    """
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, SafetensorError) as error:
        if Path(model).is_dir() or not HUB_ID.fullmatch(model):
            remedy = 'Name a whole folder, as save_pretrained writes it'
        else:
            # Repositories also hold pickles and other frameworks' copies of the same weights.
            include = f'{subfolder}/*' if subfolder else '*'
            remedy = (
                f"Fetch it with `hf download {model} --include '{include}.json' "
                f"--include '{include}.txt' --include '{include}.safetensors'`, or name a folder"
            )
        raise FileNotFoundError(
            f'{part} {model} is not on this machine, or not whole: {str(error).splitlines()[0]} '
            f'{remedy}'
        ) from None
