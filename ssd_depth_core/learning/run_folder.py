"""What a training run leaves on disk.

config.yaml              resolved
metrics.jsonl            a line at each log and each validation
checkpoint.safetensors   averaged weights, with how they were made inside
state/                   everything that resuming needs
"""

from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Name the parts of a run folder."""

    path: Path
    """The folder."""

    @property
    def config(self) -> Path:
        """Tell where the resolved config lies."""
        return self.path / 'config.yaml'

    @property
    def metrics(self) -> Path:
        """Tell where the log of numbers lies."""
        return self.path / 'metrics.jsonl'

    @property
    def checkpoint(self) -> Path:
        """Tell where the averaged weights lie."""
        return self.path / 'checkpoint.safetensors'

    @property
    def state(self) -> Path:
        """Tell where the state to resume from lies."""
        return self.path / 'state'

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a line to the log of numbers.

        Args:
            row: What JSON can hold.
        """
        with self.metrics.open('a') as file:
            file.write(json.dumps(row) + '\n')


def open_run(path: Path, config: dict[str, Any], resume: bool) -> RunFolder:
    """Make a run folder, or enter one to go on in it.

    Args:
        path: The folder.
        config: Resolved, plain values; written into the folder.
        resume: Whether the folder must hold a run already, or must not.

    Returns:
        The folder.

    Raises:
        FileExistsError: If a run is there and `resume` is not asked for.
        FileNotFoundError: If there is no state to resume from.
    """
    run = RunFolder(path)
    if resume and not run.state.is_dir():
        raise FileNotFoundError(f'no state to resume from in {path}; start without --resume')
    if not resume and run.config.exists():
        raise FileExistsError(f'{path} holds a run already; choose another --out, or --resume it')
    path.mkdir(parents=True, exist_ok=True)
    run.config.write_text(yaml.safe_dump(config, sort_keys=False))
    return run
