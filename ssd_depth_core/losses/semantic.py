"""What a picture shows does not change with light and weather, so neither may its features."""

import torch
import torch.nn.functional as F


def semantic_loss(features: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Turn each patch's features towards those of the clear frame.

        L_sem = 1 - mean over patches of cos(g(I_in), f(I_clear))

    Reference: Mao et al., 2024, arXiv 2403.05056, Eq. 7. Which layer and tokens is not in the
    paper: here the patch tokens after the last block's norm, and no margin.

    Args:
        features: Of the student's encoder on its input, (B, C, h, w).
        reference: Of a frozen encoder on the clear frame, same shape.

    Returns:
        Scalar in [0, 2], float32 at least, whatever autocast says.

    Raises:
        ValueError: If the shapes differ.
    """
    if features.ndim != 4 or features.shape != reference.shape:
        raise ValueError(
            'features and reference must have one shape (B, C, h, w), '
            f'got {tuple(features.shape)} and {tuple(reference.shape)}'
        )
    dtype = torch.promote_types(features.dtype, torch.float32)
    return 1 - F.cosine_similarity(features.to(dtype), reference.to(dtype), dim=1).mean()
