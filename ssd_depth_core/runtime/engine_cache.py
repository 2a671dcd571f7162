"""Compiled engines on disk, found again only by exactly what they were built from.

A plan is machine code for one GPU and one library version, and loading it runs it. So an engine is
only taken from a folder that nobody else can write to, under a key that names all it depends on,
after its hash is verified; what fails any of this is built again and never crashes the robot.

One lock serves the whole folder: two nodes that start together build once, and two models do not
build at the same time, which would spoil the timings by which TensorRT chooses its kernels. The
kernel drops the lock with its holder, so a dead process blocks nobody.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
import fcntl
import hashlib
import json
import logging
import os
from pathlib import Path
import stat
import time
from typing import Any, TypeVar

Engine = TypeVar('Engine')

MAX_BYTES = 2 << 30
"""Of a cache: a dozen engines of the largest student, of the shipped one hundreds."""

_LOCK = 'lock'
_LOCK_PERIOD_S = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineKey:
    """Name all that a plan depends on; precision is in the ONNX file, and so in its hash."""

    engine: str
    """Which part of a model's work this engine does."""
    onnx_sha256: str | None
    """Of the model; None where the plan depends on none."""
    library: str
    """Name and full version of what builds and runs the plan."""
    gpu: str
    """Name of the device, as its driver gives it."""
    compute_capability: str
    """Of the device, e.g. `8.7`."""
    cuda: str
    """Version that the driver speaks."""
    shapes: dict[str, list[list[int]]]
    """Smallest, preferred and largest shape of each input."""
    options: dict[str, Any]
    """Of the builder, and all that was baked into the graph beside the weights."""

    @property
    def digest(self) -> str:
        """Give 64 hexadecimal digits that differ where any field does."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class CachedEngine:
    """Describe an engine in the cache."""

    key: dict[str, Any]
    """Fields of its `EngineKey`."""
    num_bytes: int
    """Of the plan."""
    built: str
    """When, ISO 8601, UTC."""
    last_used: float
    """When, seconds since 1970."""
    plan: Path
    """Where it lies; its side-car is the same path ending in `.json`."""


def default_folder() -> Path:
    """Tell where engines are kept unless the user says otherwise.

    Returns:
        `$XDG_CACHE_HOME/ssd_depth`, or `~/.cache/ssd_depth` where the variable is not set.

    Raises:
        ValueError: If the user has no home directory.
    """
    base = os.environ.get('XDG_CACHE_HOME', '')
    if os.path.isabs(base):  # the standard has relative ones ignored
        return Path(base) / 'ssd_depth'
    try:
        return Path.home() / '.cache' / 'ssd_depth'
    except RuntimeError:
        raise ValueError(
            'no home directory to keep engines in; set HOME or XDG_CACHE_HOME'
        ) from None


class EngineCache:
    """Keep plans in one folder, each beside a JSON side-car that says what it is."""

    def __init__(
        self, folder: Path | None = None, *, max_bytes: int = MAX_BYTES, must_store: bool = False
    ) -> None:
        """Name the folder; it is made with the first engine.

        Args:
            folder: None for `default_folder`.
            max_bytes: Of all plans together; the least recently used ones go first.
            must_store: Whether a folder that cannot be written is an error. A robot with a
                read-only disk must work without a cache; who builds ahead wants the file.

        Raises:
            ValueError: If `folder` is None and the user has no home directory.
        """
        self.folder = default_folder() if folder is None else folder
        self._max_bytes = max_bytes
        self._must_store = must_store

    def obtain(
        self,
        key: EngineKey,
        build: Callable[[], bytes],
        load: Callable[[bytes], Engine],
        waiting: Callable[[], None] = lambda: None,
    ) -> Engine:
        """Load an engine, building it only if no process has done so before.

        Args:
            key: What the plan must have been built from.
            build: Makes the plan; may take minutes.
            load: Turns a plan into an engine; raises ValueError where the library refuses it.
            waiting: Is called again and again while another process builds; what it raises ends
                the waiting.

        Returns:
            The engine.

        Raises:
            PermissionError: If others could have put a plan into the folder.
            OSError: If the folder cannot be written and `must_store`.
            ValueError: If the library refuses a plan that was built just now.
        """
        self._check_trusted()
        engine = self._load(key, load)
        if engine is not None:
            return engine
        with self._lock(waiting) as writable:
            self._check_trusted()  # again, now that it is there
            # Whoever held the lock may have built it; what is damaged now stays damaged.
            engine = self._load(key, load, complain=True)
            if engine is None:
                plan = build()
                if writable:
                    self._store(key, plan)
                engine = load(plan)
            return engine

    def entries(self) -> list[CachedEngine]:
        """List what the cache holds.

        Returns:
            The most recently used first; what has no readable side-car is left out.
        """
        found = []
        for plan in self.folder.glob('*.plan'):
            with suppress(OSError, ValueError, KeyError, TypeError):
                note = json.loads(plan.with_suffix('.json').read_text())
                found.append(
                    CachedEngine(
                        key=note['key'],
                        num_bytes=plan.stat().st_size,
                        built=note['built'],
                        last_used=plan.with_suffix('.json').stat().st_mtime,
                        plan=plan,
                    )
                )
        return sorted(found, key=lambda entry: entry.last_used, reverse=True)

    def _plan(self, key: EngineKey) -> Path:
        return self.folder / f'{key.digest}.plan'

    def _check_trusted(self) -> None:
        """Refuse a folder into which another user could have put code."""
        try:
            status = self.folder.stat()
        except (FileNotFoundError, NotADirectoryError):
            return  # made by us, or reported as not writable
        if not _is_ours(status):
            raise PermissionError(
                f'engine cache {self.folder} belongs to user {status.st_uid} with mode '
                f'{stat.S_IMODE(status.st_mode):o}; engines are code, so nobody but you may be '
                f'able to write there: `chmod go-w {self.folder}` if it is yours, else set '
                'XDG_CACHE_HOME to a folder of your own'
            )

    def _load(
        self, key: EngineKey, load: Callable[[bytes], Engine], complain: bool = False
    ) -> Engine | None:
        """Load from disk; None where there is nothing, or nothing fit to be run."""
        plan_path = self._plan(key)
        note_path = plan_path.with_suffix('.json')
        try:
            note, plan = json.loads(note_path.read_text()), plan_path.read_bytes()
            if not (_is_ours(plan_path.stat()) and _is_ours(note_path.stat())):
                raise ValueError('another user can write it')
            if note['key'] != asdict(key) or note['plan_sha256'] != _sha256(plan):
                raise ValueError('its side-car describes another plan')
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            useless: Exception = error
        else:
            try:
                engine = load(plan)  # its OSError is of the GPU, whose plan is none the worse
            except ValueError as error:
                useless = error
            else:
                with suppress(OSError):  # a read-only disk
                    os.utime(note_path)
                return engine
        if complain:
            _log.warning('engine %s is of no use (%s); building again', plan_path, useless)
        return None

    @contextmanager
    def _lock(self, waiting: Callable[[], None]) -> Iterator[bool]:
        """Hold the folder's lock; yields whether it can be written at all."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._not_stored(error)
            yield False
            return
        try:
            try:
                is_free = _try_lock(descriptor)
            except OSError as error:  # a file system without locks
                self._not_stored(error)
                yield False
                return
            if not is_free:
                _log.warning('another process is building engines in %s; waiting', self.folder)
            while not is_free:
                waiting()
                time.sleep(_LOCK_PERIOD_S)
                is_free = _try_lock(descriptor)
            yield True
        finally:
            os.close(descriptor)  # and with it the lock

    def _store(self, key: EngineKey, plan: bytes) -> None:
        """Write a plan, then its side-car; the hash there reveals whatever was cut off."""
        path = self._plan(key)
        note = {
            'key': asdict(key),
            'plan_sha256': _sha256(plan),
            'built': datetime.now(timezone.utc).isoformat(timespec='seconds'),
        }
        try:
            _replace(path, plan)
            _replace(path.with_suffix('.json'), json.dumps(note, indent=2).encode())
        except OSError as error:  # e.g. the disk is full
            self._not_stored(error)
            return
        try:
            self._evict(keep=path)
        except OSError as error:
            _log.warning('engine cache %s cannot be brought to its size (%s)', self.folder, error)

    def _evict(self, keep: Path) -> None:
        """Bring the folder to its size, and sweep up after processes that died while writing."""
        entries = self.entries()
        used = {entry.plan for entry in entries}
        for path in [*self.folder.glob('*.part'), *self.folder.glob('*.plan')]:
            if path not in used:
                path.unlink()
        total = sum(entry.num_bytes for entry in entries)
        for entry in reversed(entries):
            if total > self._max_bytes and entry.plan != keep:
                entry.plan.with_suffix('.json').unlink()
                entry.plan.unlink()
                total -= entry.num_bytes

    def _not_stored(self, error: OSError) -> None:
        message = (
            f'engine cache {self.folder} cannot be written ({error}); set XDG_CACHE_HOME to a '
            'folder that can, or every start builds again'
        )
        if self._must_store:
            raise OSError(message) from error
        _log.warning(message)


def _is_ours(status: os.stat_result) -> bool:
    """Say whether only this user, or root who may do anything anyway, can have written it."""
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid in (os.geteuid(), 0) and not others_write


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _replace(path: Path, contents: bytes) -> None:
    part = path.with_name(f'{path.name}.part')
    part.touch(mode=0o600)
    part.write_bytes(contents)
    os.replace(part, path)


def _sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()
