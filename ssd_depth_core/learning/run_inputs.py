"""What a run is given beside its config, known by what is in it and not by where it lies.

Half a run on one teacher, or on one set of frames, and half on another is a run on neither.
Pictures themselves are not looked at: the list of frames stands for them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import hashlib
import json
import logging
from pathlib import Path

from ssd_depth_core.checks import sha256_of
from ssd_depth_core.config import from_dict, to_dict

logger = logging.getLogger(__name__)

Inputs = Mapping[str, Path]
"""By name, the file that tells an input from another: a list of frames, a network's checkpoint."""

GROWING = frozenset({'frames.jsonl', 'manifest.jsonl'})
"""Names of lists that a rendering or a translation may be adding to while a run goes on. What the
run has seen must still be there; all other files must be the same as a whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InputRecord:
    """Hold what is known of an input."""

    path: str
    """Where it lay; it may be moved."""
    num_bytes: int
    """Of the file, or of the complete lines of a growing list."""
    sha256: str
    """Of these bytes."""


def rendered_inputs(folders: Sequence[Path], kind: str = 'data') -> dict[str, Path]:
    """Name the inputs that rendered sets are; their order is that of the samples.

    Args:
        folders: Of the sets.
        kind: What they are to the training.

    Returns:
        The list of frames of each, as `data 1`, `data 2`, ...
    """
    return {
        f'{kind} {number}': folder / 'frames.jsonl' for number, folder in enumerate(folders, 1)
    }


def record_inputs(inputs: Inputs) -> str:
    """Write down what inputs are now.

    Args:
        inputs: Files that are there.

    Returns:
        JSON that `check_same_inputs` reads.
    """
    records = {name: to_dict(_record(path)) for name, path in inputs.items()}
    return json.dumps(records, indent=2) + '\n'


def check_same_inputs(record: Path, inputs: Inputs) -> None:
    """Require that a run goes on with the inputs that it began with, or with grown ones.

    Args:
        record: File with what `record_inputs` gave; runs of older code have none, and go on
            uncompared.
        inputs: What it is given now.

    Raises:
        ValueError: If one differs, is missing, or was not there when the run began; or the record
            is damaged.
    """
    if not record.exists():
        logger.warning('%s is not there, as in runs of older code: no input is compared', record)
        return
    remedy = 'or start without --resume in another folder'
    try:
        held = dict(json.loads(record.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(
            f'{record} is no JSON object ({error}); delete it to compare no input, {remedy}'
        ) from None
    begun = {
        name: from_dict(InputRecord, values, f'{record}: {name}') for name, values in held.items()
    }
    for name in sorted(begun.keys() | inputs.keys()):
        if name not in begun:
            raise ValueError(
                f'input {name} must be left out, as when the run began (see {record}), got '
                f'{inputs[name]}; leave it out, {remedy}'
            )
        before, path = begun[name], inputs.get(name)
        now = None if path is None else _record(path, before.num_bytes)
        if now is None or (now.num_bytes, now.sha256) != (before.num_bytes, before.sha256):
            raise ValueError(
                f'input {name} must be {before.path} as it was when the run began (see {record}), '
                f'got {"nothing" if path is None else f"{path}, which holds something else"}; '
                f'give the former, {remedy}'
            )


def _record(path: Path, num_bytes: int | None = None) -> InputRecord:
    """Look at a file; of a growing list at its beginning alone, where that is given."""
    if path.name not in GROWING:
        return InputRecord(path=str(path), num_bytes=path.stat().st_size, sha256=sha256_of(path))
    contents = path.read_bytes()
    # A last line without end is being written.
    end = contents.rfind(b'\n') + 1 if num_bytes is None else num_bytes
    seen = contents[:end]
    return InputRecord(
        path=str(path), num_bytes=len(seen), sha256=hashlib.sha256(seen).hexdigest()
    )
