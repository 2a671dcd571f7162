"""What a training run leaves on disk.

config.yaml              resolved
inputs.json              what was given beside it: digests of lists of frames and of networks
metrics.jsonl            a line at each log and each validation
tensorboard/             the same, to look at with `tensorboard --logdir`
pictures/                of each validation
checkpoint.safetensors   averaged weights, with how they were made inside
pose_net.safetensors     of a teacher: the network that told the motion
state/                   everything that resuming needs
"""

from dataclasses import dataclass
import json
import os
from pathlib import Path
from typing import Any

from ssd_depth_core.checks import check_file
from ssd_depth_core.config import flattened
from ssd_depth_core.learning.run_inputs import check_same_inputs, Inputs, record_inputs
import yaml

MAY_CHANGE = frozenset(
    {
        'num_validation_frames',
        'loop.max_steps',
        'loop.max_minutes',
        'loop.max_epochs',
        'loop.batch_size',
        'loop.gradient_accumulation',
        'loop.num_workers',
        'loop.log_every_steps',
        'loop.validate_every_steps',
    }
)
"""What a resumed run may be given anew: budget, cadence, and how its machine is used."""


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
    def inputs(self) -> Path:
        """Tell where the record of what was given beside the config lies."""
        return self.path / 'inputs.json'

    @property
    def metrics(self) -> Path:
        """Tell where the log of numbers lies."""
        return self.path / 'metrics.jsonl'

    @property
    def tensorboard(self) -> Path:
        """Tell where TensorBoard finds its events."""
        return self.path / 'tensorboard'

    @property
    def pictures(self) -> Path:
        """Tell where the pictures of validations lie."""
        return self.path / 'pictures'

    @property
    def checkpoint(self) -> Path:
        """Tell where the averaged weights lie."""
        return self.path / 'checkpoint.safetensors'

    @property
    def pose_net(self) -> Path:
        """Tell where the network that told the motion lies, if the training had one."""
        return self.path / 'pose_net.safetensors'

    @property
    def state(self) -> Path:
        """Tell where the state to resume from lies."""
        return self.path / 'state' / 'state.safetensors'

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a line to the log of numbers.

        Args:
            row: What JSON can hold.
        """
        with self.metrics.open('a') as file:
            file.write(json.dumps(row) + '\n')

    def cut_metrics(self, last_step: int) -> None:
        """Take lines of later steps back, and one that a kill left unfinished.

        Args:
            last_step: The last whose lines stay.
        """
        if self.metrics.exists():
            lines = self.metrics.read_text().splitlines(keepends=True)
            whole = (line for line in lines if line.endswith('\n'))
            kept = [line for line in whole if json.loads(line)['step'] <= last_step]
            _replace(self.metrics, ''.join(kept))


def open_run(path: Path, config: dict[str, Any], inputs: Inputs, resume: bool) -> RunFolder:
    """Make a run folder, or enter one to go on in it.

    Args:
        path: The folder.
        config: Resolved, plain values; written into the folder. That of a resumed run may differ
            in `MAY_CHANGE` alone.
        inputs: What is given beside the config; of a resumed run the same, or grown.
        resume: Whether the folder must hold a run already, or must not.

    Returns:
        The folder.

    Raises:
        FileExistsError: If a run is there and `resume` is not asked for.
        FileNotFoundError: If there is no state to resume from, or no config beside it.
        ValueError: If the run to resume was made with another config or other inputs.
    """
    run = RunFolder(path)
    if resume and not run.state.exists():
        raise FileNotFoundError(f'no state to resume from in {path}; start without --resume')
    # A run that failed before its first state has nothing to lose, and nothing to go on from.
    if not resume and (run.state.exists() or run.checkpoint.exists()):
        raise FileExistsError(f'{path} holds a run already; choose another --out, or --resume it')
    if resume:
        _check_same(run.config, config)
        check_same_inputs(run.inputs, inputs)
    path.mkdir(parents=True, exist_ok=True)
    _replace(run.config, yaml.safe_dump(config, sort_keys=False))
    _replace(run.inputs, record_inputs(inputs))
    return run


def _replace(path: Path, text: str) -> None:
    """Write a file at once, so that neither a kill nor a full disk loses the old one."""
    part = path.with_suffix('.part')
    try:
        part.write_text(text)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _check_same(path: Path, config: dict[str, Any]) -> None:
    """Require that a run goes on with the config that it began with."""
    check_file(path, 'config of the run', 'start without --resume in another folder')
    before, now = flattened(yaml.safe_load(path.read_text())), flattened(config)
    for name in sorted((before.keys() | now.keys()) - MAY_CHANGE):
        if before.get(name) != now.get(name):
            raise ValueError(
                f'{name} must stay {before.get(name)!r} as in {path}, got {now.get(name)!r}; '
                'set it back, or start without --resume in another folder'
            )


def checkpoint_of(path: str | Path) -> Path:
    """Find a network's checkpoint.

    Args:
        path: Its run folder, or the checkpoint itself.

    Returns:
        The checkpoint; need not be there.
    """
    path = Path(path)
    return RunFolder(path).checkpoint if path.is_dir() else path
