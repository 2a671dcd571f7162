"""A training of its own process, small enough to be killed, starved of disk and launched twice.

python small_training.py '{"out": "run", "loop": {"max_steps": 9}}'
"""

import json
import os
from pathlib import Path
import resource
import signal
import sys

from ssd_depth_core.learning.loop import LoopConfig, make_accelerator, train
from ssd_depth_core.learning.run_folder import open_run, RunFolder
from ssd_depth_core.learning.task import Validation
from ssd_depth_core.learning.tensor_file import write_tensors
from ssd_depth_core.learning.training_state import TrainingState
import torch
from torch import nn


class SmallTask(nn.Module):
    """A network, a module beside it that is trained as well, and noise."""

    def __init__(self, noise, die_at_call):
        super().__init__()
        torch.manual_seed(0)
        self.network = nn.Sequential(nn.Linear(1, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.pose_net = nn.Linear(64, 1)
        self.noise = noise
        self.die_at_call = die_at_call
        self.calls = 0

    def forward(self, batch):
        self.calls += 1
        if self.calls == self.die_at_call:
            os.kill(os.getpid(), signal.SIGKILL)
        x = batch['x'] + self.noise * torch.randn_like(batch['x'])
        error = (self.pose_net(self.network(x)) - batch['y']).square().mean()
        return {'loss': error, 'error': error}


class Points(torch.utils.data.Dataset):
    """Points of y = 3 x + 1, moved a little by the draw's seed."""

    def __len__(self):
        return 30

    def __getitem__(self, draw):
        number, seed = draw
        x = number / 30 + (seed % 100) / 1000
        return {'x': torch.tensor([x]), 'y': torch.tensor([3 * x + 1])}


def main(out, loop, resume=False, noise=0.0, die_at_call=None, die_at_state=None, max_bytes=None):
    loop = LoopConfig(**loop)
    accelerator = make_accelerator(loop, cpu=True)
    run = open_run(out, {}, {}, resume) if accelerator.is_main_process else RunFolder(out)
    if max_bytes is not None:  # of any file; Python gets an error and no signal
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, max_bytes))

    def validate(network):
        torch.rand(3)  # a validation may draw noise of its own
        return Validation({'norm': sum(p.norm().item() for p in network.parameters())})

    def save(network, step, metrics):
        tensors = network.state_dict()
        write_tensors(run.checkpoint, tensors, {'step': str(step)}, 'checkpoint')

    keep = TrainingState.save

    def keep_or_die(state, path, progress, noise):
        if progress.step == die_at_state:
            os.kill(os.getpid(), signal.SIGKILL)
        keep(state, path, progress, noise)

    TrainingState.save = keep_or_die
    task = SmallTask(noise, die_at_call)
    train(task, Points(), validate, save, loop, run, accelerator, seed=5, resume=resume)


if __name__ == '__main__':
    options = json.loads(sys.argv[1])
    main(Path(options.pop('out')), **options)
