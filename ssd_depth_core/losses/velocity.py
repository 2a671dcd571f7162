"""Metres from the odometer: without it, depth and motion are known up to a common factor only."""

import torch


def velocity_loss(T_source_target: torch.Tensor, distance_m: torch.Tensor) -> torch.Tensor:
    """Average how far the predicted motions are from the distances driven.

        L = mean | |t| - distance |

    Reference: Guizilini et al., 2020, arXiv 1905.02693; Gasperini et al., 2023,
    arXiv 2308.09711.

    Args:
        T_source_target: Predicted, (B, S, 4, 4), metres.
        distance_m: How far the camera went between target and source, (B, S), at least 0.

    Returns:
        Scalar [m], in float32 at least, whatever autocast says. Its gradient is zero where no
        motion at all is predicted, which has no direction to grow in.

    Raises:
        ValueError: If the shapes do not fit.
    """
    if T_source_target.shape != (*distance_m.shape, 4, 4) or distance_m.ndim != 2:
        raise ValueError(
            'T_source_target must be (B, S, 4, 4) and distance_m (B, S), '
            f'got {tuple(T_source_target.shape)} and {tuple(distance_m.shape)}'
        )
    dtype = torch.promote_types(T_source_target.dtype, torch.float32)
    translation = T_source_target[..., :3, 3].to(dtype)
    return (torch.linalg.vector_norm(translation, dim=-1) - distance_m.to(dtype)).abs().mean()
