"""States of the processes' random generators, so that a resumed training draws the same noise."""

from accelerate import Accelerator
import torch


def gather_noise(accelerator: Accelerator) -> dict[str, torch.Tensor]:
    """Collect the states of all processes; every process must call it.

    Args:
        accelerator: Knows the others.

    Returns:
        By kind of device, uint8 (num_processes, num_bytes).
    """
    states = {'cpu': torch.get_rng_state()}
    if accelerator.device.type == 'cuda':
        states['cuda'] = torch.cuda.get_rng_state()
    return {
        kind: accelerator.gather(state[None].to(accelerator.device)).cpu()
        for kind, state in states.items()
    }


def restore_noise(noise: dict[str, torch.Tensor], rank: int) -> None:
    """Put this process's generators back into the state that they were in.

    Args:
        noise: From `gather_noise`.
        rank: Of this process; one that the noise knows nothing of keeps what it has.
    """
    setters = {'cpu': torch.set_rng_state, 'cuda': torch.cuda.set_rng_state}
    for kind, states in noise.items():
        if rank < len(states) and (kind == 'cpu' or torch.cuda.is_available()):
            # A copy: the CPU's setter reads from the storage's beginning, whatever the row.
            setters[kind](states[rank].clone())
