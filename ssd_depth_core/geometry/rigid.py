"""Rigid motions on tensors, differentiable: what `pose` does on plain arrays."""

import math

import torch
import torch.nn.functional as F

# Products are written out element by element: a matrix product would run in half precision under
# autocast, and a rotation of 16 bits bends a street by pixels.


def transform_from_axis_angle(axis_angle: torch.Tensor, translation: torch.Tensor) -> torch.Tensor:
    """Build rigid transforms, by Rodrigues' formula.

    Args:
        axis_angle: Rotation axis times angle [rad], (..., 3).
        translation: (..., 3).

    Returns:
        (..., 4, 4), with finite gradients at the identity too.
    """
    angle = torch.linalg.vector_norm(axis_angle, dim=-1)[..., None, None]
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).unflatten(-1, (3, 3))
    outer = axis_angle[..., :, None] * axis_angle[..., None, :]
    identity = torch.eye(3, dtype=axis_angle.dtype, device=axis_angle.device)
    # sinc instead of the quotients sin(a) / a and (1 - cos(a)) / a^2, which are 0 / 0 at rest.
    R = (
        torch.cos(angle) * identity
        + torch.sinc(angle / math.pi) * cross
        + 0.5 * torch.sinc(angle / (2 * math.pi)) ** 2 * outer
    )
    return rigid_transform(R, translation)


def invert(T: torch.Tensor) -> torch.Tensor:
    """Invert rigid transforms.

    Args:
        T: (..., 4, 4).

    Returns:
        Same shape.
    """
    R, t = T[..., :3, :3], T[..., :3, 3]
    return rigid_transform(R.mT, -(R * t[..., :, None]).sum(-2))


def rigid_transform(R: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Join a rotation and a translation.

    Args:
        R: (..., 3, 3).
        t: (..., 3).

    Returns:
        (..., 4, 4).
    """
    T = F.pad(torch.cat((R, t[..., None]), -1), (0, 0, 0, 1))  # (..., 4, 4)
    T[..., 3, 3] = 1.0
    return T
