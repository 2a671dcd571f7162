"""How far a pseudo-label is to be trusted: as far as two networks agree on it."""

import torch


@torch.no_grad()
def agreement_weight(
    label: torch.Tensor, other: torch.Tensor, *, beta: float = 1.0, floor: float = 1.0
) -> torch.Tensor:
    """Weigh each pixel of a label by how near another network comes to it.

        w = exp(-beta |i_label - i_other| / i_label) + floor

    Where weather blinds neither the network that knows the day nor the one that has seen
    translated nights, the two say the same.

    Reference: Yan et al., 2025, arXiv 2503.20211 (Syn2Real-Depth), and their code, which has
    beta = 1 and adds 1 to the exponential.

    Args:
        label: Inverse depth that is learnt, (B, 1, H, W), positive.
        other: Inverse depth of the other network, same shape.
        beta: At least 0; with 0 all pixels count alike.
        floor: At least 0; what a pixel counts where the networks are worlds apart.

    Returns:
        Same shape, in [floor, 1 + floor], without gradient; float32 at least.

    Raises:
        ValueError: If the shapes differ or an option is below 0.
    """
    if label.shape != other.shape:
        raise ValueError(
            f'label and other must have one shape, got {tuple(label.shape)} and '
            f'{tuple(other.shape)}'
        )
    for name, value in (('beta', beta), ('floor', floor)):
        if value < 0:
            raise ValueError(f'{name} must be >= 0, got {value}')
    dtype = torch.promote_types(label.dtype, torch.float32)
    label, other = label.to(dtype), other.to(dtype)
    return torch.exp(-beta * (label - other).abs() / label) + floor
