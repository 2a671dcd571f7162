"""Which parameters are trained how fast, and which decay."""

from collections.abc import Mapping
from typing import Any

from torch import nn

UNDECAYED = ('pos_embed', 'cls_token', 'reg_token')
"""Ends of the names of a timm ViT's parameters that are shaped like matrices and are none."""


def parameter_groups(
    module: nn.Module, weight_decay: float, factors: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Sort parameters that require gradients by their learning rate and weight decay.

    Args:
        module: Whose parameters.
        weight_decay: Of matrices and kernels; vectors (biases, norms) and a ViT's tokens and
            position embedding do not decay, as is usual.
        factors: On the learning rate, by prefix of a parameter's name up to a dot; the longest
            prefix that fits counts, and 1 where none does.

    Returns:
        What a torch optimizer takes; each group says its `factor`.

    Raises:
        ValueError: If a prefix is that of no parameter.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    used = set()
    for name, parameter in module.named_parameters():
        prefixes = [prefix for prefix in factors if f'{name}.'.startswith(f'{prefix}.')]
        used.update(prefixes)
        if parameter.requires_grad:
            factor = factors[max(prefixes, key=len)] if prefixes else 1.0
            decays = parameter.ndim > 1 and not name.endswith(UNDECAYED)
            groups.setdefault((factor, decays), []).append(parameter)
    if unknown := sorted(factors.keys() - used):
        parts = sorted({name.rpartition('.')[0] for name, _ in module.named_parameters()})
        tops = sorted({'.'.join(part.split('.')[:2]) for part in parts if part})
        raise ValueError(
            f'learning_rate_factors must name parts of the task, got {", ".join(unknown)}; '
            f'known are {", ".join(tops)} and what lies below them'
        )
    return [
        {'params': group, 'weight_decay': weight_decay * decays, 'factor': factor}
        for (factor, decays), group in sorted(groups.items(), key=lambda item: item[0])
    ]
