"""Depth changes where the picture does, and is smooth elsewhere."""

import torch


def edge_aware_smoothness(inverse_depth: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Average the slope of relative inverse depth, forgiven at edges of the picture.

        L = mean |dx d| exp(-|dx I|) + mean |dy d| exp(-|dy I|),    d = inverse depth / its mean

    with |dx I| averaged over the channels. The division by each picture's mean takes away the
    reward for shrinking inverse depth, that is for pushing everything to infinity.

    Reference: Godard et al., 2019, arXiv 1806.01260, Eq. 3; Wang et al., 2018, arXiv 1712.00175
    (the division).

    Args:
        inverse_depth: (B, 1, h, w), positive, any unit.
        image: (B, C, h, w) in [0, 1], of the same size.

    Returns:
        Scalar, in float32 at least, whatever autocast says.

    Raises:
        ValueError: If the shapes do not fit.
    """
    batch, _, height, width = image.shape
    if inverse_depth.shape != (batch, 1, height, width):
        raise ValueError(
            f'inverse_depth must be {(batch, 1, height, width)} for an image of '
            f'{tuple(image.shape)}, got {tuple(inverse_depth.shape)}; resize one of them'
        )
    dtype = torch.promote_types(inverse_depth.dtype, torch.float32)
    inverse_depth, image = inverse_depth.to(dtype), image.to(dtype)
    d = inverse_depth / inverse_depth.mean((2, 3), keepdim=True)
    total = d.new_zeros(())
    for axis in (2, 3):
        edges = image.diff(dim=axis).abs().mean(1, keepdim=True)
        total = total + (d.diff(dim=axis).abs() * torch.exp(-edges)).mean()
    return total
