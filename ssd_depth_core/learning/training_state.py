"""Everything that a step of training changes, in one file so that its parts belong together."""

from dataclasses import asdict, dataclass
import json
from pathlib import Path

from ssd_depth_core.learning.tensor_file import load_strictly, read_tensors, write_tensors
import torch
from torch import nn


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Say how far a training has come."""

    step: int = 0
    """Optimizer steps taken."""
    draws: int = 0
    """Samples taken, by all processes together."""
    minutes: float = 0.0
    """Wall-clock time spent, by all processes that went on one after the other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingState:
    """Hold what is trained and what trains it."""

    task: nn.Module
    """All that is trained, and what else the objective keeps."""
    average: nn.Module
    """Of the network's weights."""
    optimizer: torch.optim.Optimizer
    """Whose moments are kept; its hyper-parameters are the config's."""
    scaler: torch.amp.GradScaler | None = None
    """Of fp16's loss; None for other precisions."""

    def save(self, path: Path, progress: Progress, noise: dict[str, torch.Tensor]) -> None:
        """Write all of it, replacing the old file at once.

        Args:
            path: `.safetensors`; its folder is made if missing.
            progress: How far the training is.
            noise: States of random generators, by name.

        Raises:
            OSError: If the file cannot be written whole; the old one is as it was then.
        """
        tensors = {
            f'{name}/{key}': value
            for name, module in (('task', self.task), ('average', self.average))
            for key, value in module.state_dict().items()
        }
        for index, moments in self.optimizer.state_dict()['state'].items():
            tensors |= {f'optimizer/{index}/{key}': value for key, value in moments.items()}
        tensors |= {f'noise/{name}': value for name, value in noise.items()}
        # In the header of the same file, so that it can never belong to other tensors.
        header = {'progress': json.dumps(asdict(progress))}
        if self.scaler is not None:
            header['scaler'] = json.dumps(self.scaler.state_dict())
        path.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(path, tensors, header, 'training state')

    def load(self, path: Path) -> tuple[Progress, dict[str, torch.Tensor]]:
        """Read it back into objects built alike.

        Args:
            path: What `save` wrote.

        Returns:
            How far the training was, and the states of random generators.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is damaged or belongs to another task or optimizer.
        """
        remedy = 'start without --resume in another folder'
        tensors, header = read_tensors(path, 'training state', remedy)
        load_strictly(self.task, _below('task', tensors), f'task of {path}')
        load_strictly(self.average, _below('average', tensors), f'average of {path}')
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in _below('optimizer', tensors).items():
            index, name = key.split('/')
            moments.setdefault(int(index), {})[name] = value
        groups = self.optimizer.state_dict()['param_groups']
        self.optimizer.load_state_dict({'state': moments, 'param_groups': groups})
        if self.scaler is not None and 'scaler' in header:
            self.scaler.load_state_dict(json.loads(header['scaler']))
        return Progress(**json.loads(header['progress'])), _below('noise', tensors)


def _below(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take the tensors of one part, by their names in it."""
    prefix = f'{name}/'
    return {key.removeprefix(prefix): tensors[key] for key in tensors if key.startswith(prefix)}
