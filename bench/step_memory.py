"""Count the memory that a step of training needs, tensor by tensor, on any device or on none."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
import weakref

from ssd_depth_core.learning.loop import LoopConfig
from ssd_depth_core.learning.self_supervised import SelfSupervisedTask
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Batch = dict[str, torch.Tensor]

MOMENTS = 2
"""Of AdamW, each as large as what is trained."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepMemory:
    """Hold what a step needs, bytes."""

    weights: int
    """Of all networks, buffers such as batch norm's statistics included."""
    gradients: int
    """Of what is trained."""
    moments: int
    """Of AdamW."""
    average: int
    """Of the depth network's weights."""
    activations: int
    """What the networks' forward passes leave for the backward pass: all that they made and that
    still lives when the last of them has ended."""
    peak: int
    """Most that lives at any time of a step beside the above and the batch."""

    @property
    def total(self) -> int:
        """Add up what there must be room for, at most: gradients grow while activations go."""
        return self.weights + self.gradients + self.moments + self.average + self.peak


class LiveTensors(TorchDispatchMode):
    """Add up the memory of tensors that operators make while the mode is on, as long as they live.

    What an operator holds for itself while it runs is not seen, nor is an allocator's rounding.
    """

    def __init__(self) -> None:
        """Start at nothing: what there is already does not count."""
        super().__init__()
        self.now = 0
        """Bytes."""
        self.peak = 0
        """Bytes, the most so far."""
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operator and count what it made.

        Args:
            function: The operator.
            types: Not looked at.
            args: Of the operator.
            kwargs: Of the operator.

        Returns:
            What the operator gives.
        """
        kwargs = kwargs or {}
        made = function(*args, **kwargs)
        # Views and results written in place share the storage of an argument.
        old = {storage._cdata for storage in _storages((args, kwargs))}
        for storage in _storages(made):
            if storage._cdata not in old and storage._cdata not in self._sizes:
                self._sizes[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                weakref.finalize(storage, self._forget, storage._cdata)
        self.peak = max(self.peak, self.now)
        return made

    def leave_out(self, tensor: torch.Tensor) -> None:
        """Count a tensor no more, although it lives on.

        Args:
            tensor: Any.
        """
        self._forget(tensor.untyped_storage()._cdata)

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)


def count_step(task: SelfSupervisedTask, batch: Batch, config: LoopConfig) -> StepMemory:
    """Compute a loss and its gradient, and count.

    Args:
        task: On the device of the batch; its gradients must be None, and are left behind.
        batch: Of its dataset.
        config: Gives the precision.

    Returns:
        What a step needs.
    """
    live = LiveTensors()
    activations = 0

    def networks_ended(*_: object) -> None:
        nonlocal activations
        activations = live.now

    trained = [parameter for parameter in task.parameters() if parameter.requires_grad]
    hooks = [
        task.pose_net.register_forward_hook(networks_ended),
        *(
            parameter.register_post_accumulate_grad_hook(_leave_out_gradient(live))
            for parameter in trained
        ),
    ]
    device = batch['target'].device.type
    dtype = {'fp32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}[config.precision]
    with live:
        with torch.autocast(device, dtype, enabled=dtype is not None):
            loss = task(batch)['loss']
        loss.backward()
    for hook in hooks:
        hook.remove()
    gradients = _num_bytes(trained)
    return StepMemory(
        weights=_num_bytes(task.state_dict().values()),
        gradients=gradients,
        moments=MOMENTS * gradients,
        average=_num_bytes(task.network.state_dict().values()),
        activations=activations,
        peak=live.peak,
    )


def count_step_uncomputed(
    task: SelfSupervisedTask, batch: Batch, config: LoopConfig
) -> StepMemory:
    """Count as `count_step` does, with tensors that have a size and no values.

    Args:
        task: On the CPU; loses its weights.
        batch: Of its dataset.
        config: Gives the precision.

    Returns:
        What a step needs.
    """
    with FakeTensorMode() as fake:
        for module in task.modules():
            for own in (module.named_parameters, module.named_buffers):
                for name, tensor in list(own(recurse=False)):
                    setattr(module, name, fake.from_tensor(tensor))
        unreal: Batch = {name: fake.from_tensor(tensor) for name, tensor in batch.items()}
        return count_step(task, unreal, config)


def _leave_out_gradient(live: LiveTensors) -> Callable[[torch.Tensor], None]:
    def leave_out(parameter: torch.Tensor) -> None:
        assert parameter.grad is not None  # it has just come
        live.leave_out(parameter.grad)

    return leave_out


def _storages(values: object) -> Iterator[torch.UntypedStorage]:
    for value in tree_leaves(values):
        if isinstance(value, torch.Tensor):
            yield value.untyped_storage()


def _num_bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
