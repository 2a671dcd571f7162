"""Records that cross a file: one frozen dataclass a kind of file, read strictly."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
import json
import os
from pathlib import Path
import platform
import subprocess
from typing import Any, TypedDict

from ssd_depth_core.config import from_dict, to_dict


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """Hold measured figures together with what made them (`docs/results/<name>.json`)."""

    title: str
    """One line above the table."""
    command: str
    """The exact command that measured."""
    seed: int | None
    """Of everything random in the command; None where nothing is random."""
    commit: str
    """Git commit of the code, as `code_commit` gives it."""
    machine: str
    """Processor, cores and accelerator, in words, without host names."""
    date: str
    """ISO day."""
    data: str
    """What was measured on; synthetic data is called synthetic."""
    rows: tuple[dict[str, Any], ...]
    """One mapping a line of the table; every row has the same keys in the same order."""
    notes: str = ''
    """What the reader must know, as one Markdown paragraph."""
    table: str = ''
    """Markdown to show instead of the rows, where these are too many to read; empty: the rows."""
    further: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """Rows with other keys, by what they tell; alike among themselves as `rows` are."""

    def __post_init__(self) -> None:
        """Hold the table's form.

        Raises:
            ValueError: If there is no row or the rows' keys differ.
        """
        for name, rows in {'rows': self.rows, **self.further}.items():
            if not rows:
                raise ValueError(f'result {self.title!r} has no {name}; measure something first')
            for row in rows:
                if list(row) != list(rows[0]):
                    raise ValueError(
                        f'{name} must share their keys, got {list(row)} and {list(rows[0])}'
                    )


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON.

    Args:
        result: What was measured.
        path: `docs/results/<name>.json`; parents are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(to_dict(result), indent=2) + '\n')


def read_result(path: Path) -> Result:
    """Read a result.

    Args:
        path: A file that `write_result` wrote.

    Returns:
        The record.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not such a record.
    """
    try:
        values = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'result {path} is no JSON ({error}); measure it again') from None
    return from_dict(Result, values, str(path))


def code_commit() -> str:
    """Say which version of this code runs.

    Returns:
        Git commit, 10 digits, with `-dirty` appended where tracked files outside `docs/` were
        changed; `unknown` where this package does not lie in its repository.
    """
    root = Path(__file__).parents[1]

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ['git', '-C', str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    try:
        # Installed into an environment, the package may lie in somebody else's repository.
        if git('ls-files', '--error-unmatch', 'package.xml', 'setup.py').returncode:
            return 'unknown'
        commit = git('rev-parse', '--short=10', 'HEAD').stdout.strip()
        # Results lie in docs/: measuring one must not make the next one's commit dirty.
        changed = git('diff', '--quiet', 'HEAD', '--', '.', ':!docs').returncode
    except OSError:
        return 'unknown'
    return f'{commit}-dirty' if changed else commit


class Provenance(TypedDict):
    """Hold where and when something was measured."""

    commit: str
    machine: str
    date: str


def provenance(accelerator: str | None = None) -> Provenance:
    """Say where and when this process runs, for a `Result`.

    Args:
        accelerator: What the caller measured on besides the processor, e.g. `NVIDIA L4`; None
            where there was nothing else.

    Returns:
        `commit`, `machine` and `date`.
    """
    return {
        'commit': code_commit(),
        'machine': f'{_processor()}, {accelerator or "no accelerator used"}',
        'date': f'{datetime.now(timezone.utc):%F}',
    }


def _processor() -> str:
    model = platform.machine()
    cpuinfo = Path('/proc/cpuinfo')
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith('model name'):
                model = line.partition(':')[2].strip()
                break
    return f'{model}, {os.cpu_count()} CPU cores'
