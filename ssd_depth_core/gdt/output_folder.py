"""The folder of translated pictures: one writer, and at no instant anything that half counts.

<out>/config.yaml           what all pictures in it were made with, and from which data set and
                            photographs; of the fields in `MAY_CHANGE` the last run's
<out>/manifest.jsonl        see `data/manifest.py`
<out>/<condition>/*.png     the pictures; one without a line in the manifest counts for nothing
<out>/failures.jsonl        what could not be made, and why; none: all was made
"""

from collections.abc import Iterator, Sequence
import contextlib
import fcntl
import json
import logging
import os
from pathlib import Path
from typing import Any, BinaryIO

from ssd_depth_core.checks import check_file
from ssd_depth_core.config import flattened, from_dict, read_yaml, to_dict
from ssd_depth_core.data.manifest import append_manifest, ManifestLine, NAME, read_manifest
from ssd_depth_core.gdt.image_prompts import BROKEN
from ssd_depth_core.gdt.pipeline import Failure, Made
import yaml

LOG = logging.getLogger(__name__)

CONFIG = 'config.yaml'
FAILURES = 'failures.jsonl'
PARTIAL = '.partial'
"""Ending of a file that is being written."""
MAY_CHANGE = frozenset(
    {
        'captioner.batch_size',
        'depth.batch_size',
        'diffusion.attention_slicing',
        'diffusion.cpu_offload',
        'diffusion.vae_slicing',
        'diffusion.vae_tiling',
    }
)
"""What a run may be given anew, as a run out of memory asks for it: the same pictures up to
rounding, and up to the seams of `vae_tiling`."""
_BATCH_SIZE = (
    'batch_size says which frames share a batch, and every picture hangs on its batch; to save '
    f'memory change {", ".join(sorted(MAY_CHANGE))}'
)


class OutputFolder:
    """Write pictures and their lines; `open_output` gives one."""

    def __init__(
        self, path: Path, lines: Sequence[ManifestLine], unusable: frozenset[str]
    ) -> None:
        """Hold the folder.

        Args:
            path: The folder, locked.
            lines: Its manifest.
            unusable: Paths of the pictures that would come out of no use again.
        """
        self.path = path
        self.lines = lines
        self.unusable = unusable

    def add(self, made: Sequence[Made]) -> None:
        """Write pictures, then their lines; both are on the disk when this returns.

        Args:
            made: In the order of the lines.

        Raises:
            OSError: If the disk is full; what was added before is whole, and counts.
        """
        with _writing_to(self.path):
            for picture in made:
                _write(self.path / picture.line.path, picture.png)
            for folder in {(self.path / picture.line.path).parent for picture in made}:
                _sync(folder)  # the names too, or a power cut leaves lines without pictures
            _sync(self.path)
            append_manifest(self.path, [picture.line for picture in made])
            _sync(self.path)  # the manifest's own name, which the first lines make

    def note(self, failures: Sequence[Failure]) -> None:
        """List what could not be made.

        Args:
            failures: Of a batch; possibly none.

        Raises:
            OSError: If the disk is full; what was added before is whole, and counts.
        """
        if failures:
            with _writing_to(self.path), (self.path / FAILURES).open('a') as file:
                file.writelines(map(_line_of, failures))


@contextlib.contextmanager
def open_output(
    path: Path, config: dict[str, Any], *, retry_failures: bool = False
) -> Iterator[OutputFolder]:
    """Enter a folder that nobody else writes to, new or begun by the same config.

    Args:
        path: Made where missing.
        config: Resolved, plain values; of the data set too.
        retry_failures: Whether to forget which pictures came out unusable.

    Yields:
        The folder, locked as long as the context lasts.

    Raises:
        BlockingIOError: If another run writes to it.
        FileNotFoundError: If a picture of the manifest is gone.
        OSError: If the disk is full.
        ValueError: If its pictures are of another config or data set.
    """
    path.mkdir(parents=True, exist_ok=True)
    with (path / '.lock').open('ab') as lock:
        _lock(lock, path)
        lines = made_so_far(path, config)
        for left in path.glob(f'*/.*{PARTIAL}'):
            left.unlink()
        unusable = [] if retry_failures else unusable_so_far(path, lines)
        with _writing_to(path):
            if unusable:
                _write(path / FAILURES, ''.join(map(_line_of, unusable)).encode())
            else:
                (path / FAILURES).unlink(missing_ok=True)
            _write(path / CONFIG, yaml.safe_dump(config, sort_keys=False).encode())
            _sync(path)  # before there are pictures, which no run would take without a config
        yield OutputFolder(path, lines, frozenset(failure.path for failure in unusable))


def made_so_far(path: Path, config: dict[str, Any]) -> list[ManifestLine]:
    """Read what a folder holds, without writing to it.

    Args:
        path: The folder; need not be there.
        config: Resolved, plain values, that a run is to go on with.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: If a picture of the manifest is gone.
        ValueError: If the manifest breaks the form, or is of another config or data set.
    """
    manifest = path / NAME
    if not manifest.exists() or not manifest.stat().st_size:  # killed before its first line
        return []
    lines = read_manifest(path)
    if lines:
        _check_same(path / CONFIG, config)
    there = {str(file.relative_to(path)) for file in path.glob('*/*.png')}
    for line in lines:
        if line.path not in there:
            raise FileNotFoundError(
                f'{path / line.path} is gone, and the manifest still lists it; put it back, or '
                'take its line out of the manifest to have it made again'
            )
    return lines


def unusable_so_far(path: Path, lines: Sequence[ManifestLine]) -> list[Failure]:
    """Read which pictures came out unusable, as they would again.

    Args:
        path: The folder; need not be there.
        lines: Its manifest.

    Returns:
        What `failures.jsonl` holds, but for unreadable files, which somebody may have mended.
    """
    file = path / FAILURES
    if not lines or not file.exists():  # without pictures, another config may have failed
        return []
    whole, _, _ = file.read_text().rpartition('\n')  # a killed run leaves a line without end
    failures = [from_dict(Failure, json.loads(line), str(file)) for line in whole.splitlines()]
    return [failure for failure in failures if not is_of_unreadable_file(failure)]


def is_of_unreadable_file(failure: Failure) -> bool:
    """Tell whether the next run should try again.

    Args:
        failure: Of one picture.

    Returns:
        Whether its source or its photograph could not be read, which somebody may mend; else what
        was made was of no use, and would be so again.
    """
    return failure.unreadable or failure.reason.startswith(BROKEN)


def _line_of(failure: Failure) -> str:
    return json.dumps(to_dict(failure)) + '\n'


def _check_same(path: Path, config: dict[str, Any]) -> None:
    """Require that pictures are added with the config of those there.

    Conditions may be added, and what `MAY_CHANGE` names may change.
    """
    check_file(path, 'config of the pictures', 'choose another --out')
    before = read_yaml(path)
    had, has = before.get('conditions', {}).keys(), config['conditions'].keys()
    # Of a condition that is added nothing is changed; of one that is left out, its name says all.
    apart = tuple(
        f'{part}.{condition}.'
        for part in ('conditions', 'data.image_prompts')
        for condition in had ^ has
    )
    old, now = flattened(before), flattened(config)
    changes = {
        name: f'{name} {old.get(name)!r} -> {now.get(name)!r}'
        for name in sorted(old.keys() | now.keys())
        if old.get(name) != now.get(name) and not name.startswith(apart)
    }
    other = [f'conditions lack {", ".join(sorted(had - has))}'] if had - has else []
    other += [change for name, change in changes.items() if name not in MAY_CHANGE]
    if other:
        reason = f' ({_BATCH_SIZE})' if 'batch_size' in changes else ''
        raise ValueError(
            f'{path.parent} holds pictures of another config or data set: {"; ".join(other)}; set '
            f'that back, or choose another --out{reason}'
        )
    if changes:
        LOG.warning(
            'going on with %s; last bits may differ from the pictures there',
            '; '.join(changes.values()),
        )


def _lock(lock: BinaryIO, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a killed process loses it
    except BlockingIOError:
        raise BlockingIOError(
            f'another run is writing to {path}; wait for it, or choose another --out'
        ) from None


@contextlib.contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    """Say where a disk is full, and what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            f'nothing can be written to {path} ({error.strerror}); make room and run the same '
            'command again, which goes on from here'
        ) from error


def _write(path: Path, data: bytes) -> None:
    """Write a file at once: under its name it is whole, whenever the process or the power goes."""
    path.parent.mkdir(exist_ok=True)
    partial = path.with_name(f'.{path.name}{PARTIAL}')
    try:
        with partial.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
