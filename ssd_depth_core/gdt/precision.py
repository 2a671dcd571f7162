"""The precision in which networks compute."""

from typing import Any, Literal

Precision = Literal['auto', 'float32', 'float16', 'bfloat16']
"""`auto`: float16 on a GPU, float32 on a CPU."""


def dtype_of(precision: Precision, device: str) -> Any:
    """Give torch's name of a precision.

    Args:
        precision: As a config says it.
        device: Where the network runs, e.g. `cpu` or `cuda:0`.

    Returns:
        A `torch.dtype`.
    """
    import torch  # here, so that recipes are read without waiting for it

    if precision == 'auto':
        return torch.float32 if torch.device(device).type == 'cpu' else torch.float16
    return getattr(torch, precision)
