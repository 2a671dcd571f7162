"""What is nearer than what: the order of depths, where their values cannot be had."""

import math

import torch
import torch.nn.functional as F


def ranking_loss(
    inverse_depth: torch.Tensor,
    target: torch.Tensor,
    *,
    ratio: float = 1.15,
    global_fraction: float = 0.01,
    local_fraction: float = 0.05,
    disagreement_fraction: float = 0.05,
    generator: torch.Generator | None = None,
) -> torch.Tensor:
    """Average how badly pairs of pixels are put in the teacher's order.

        L = mean over pairs of ln(1 + exp(-o (d_a - d_b)))

    with depths d of the student, and o = +1 where the teacher says that a is farther than b by
    more than `ratio`, -1 where it says so of b; pairs in between have no order and do not count.
    Global pairs are drawn from all pixels. Local ones join a pixel in which student and teacher
    disagree, by |d_S - d_T| / (d_S + d_T), to one in which they do not.

    Reference: Jiang et al., 2025, arXiv 2505.12199 (ACDepth), and their code. Differs: one target
    says both where they disagree and who is farther, where theirs are the teacher and Depth
    Anything V2; global pairs are drawn at random, not in the order of rows, and, like the local
    ones, with replacement.

    Args:
        inverse_depth: Of the student, (B, 1, H, W) [1/m], positive; at least two pixels.
        target: Of the teacher, same shape; no gradient goes through it.
        ratio: At least 1, between two depths that are told apart.
        global_fraction: Global pairs, as a share of the pixels, in [0, 1].
        local_fraction: Local pairs, as a share of the pixels that disagree, in [0, 1].
        disagreement_fraction: Share of an image's pixels that are taken to disagree, in (0, 1).
        generator: Of the draw, on the device of the images; None: torch's own.

    Returns:
        Scalar, in float32 at least, whatever autocast says; zero where nothing has an order.

    Raises:
        ValueError: If the shapes differ, there are less than two pixels, or an option is out of
            range.
    """
    _check(inverse_depth, target, ratio, global_fraction, local_fraction, disagreement_fraction)
    dtype = torch.promote_types(inverse_depth.dtype, torch.float32)
    inverse_depth, target = (
        x.to(dtype).flatten(1) for x in (inverse_depth, target.detach())
    )  # (B, H*W)
    num_pixels = target.shape[1]
    everything = torch.arange(num_pixels, device=target.device).expand_as(target)
    # |d_S - d_T| / (d_S + d_T) is the same of inverse depths.
    disagreement = ((inverse_depth - target).abs() / (inverse_depth + target)).detach()
    num_disagreeing = max(1, int(disagreement_fraction * num_pixels))
    disagreeing, agreeing = disagreement.argsort(dim=1, descending=True).split(
        [num_disagreeing, num_pixels - num_disagreeing], dim=1
    )
    num_global = math.ceil(global_fraction * num_pixels)
    num_local = math.ceil(local_fraction * num_disagreeing)
    a, b = (
        torch.cat(
            [
                _drawn(everything, num_global, generator),
                # ACDepth first takes 5 % of those that agree; to draw from all comes to the same.
                _drawn(some, num_local, generator),
            ],
            dim=1,
        )
        for some in (disagreeing, agreeing)
    )  # (B, num_global + num_local) each

    target_a, target_b = target.gather(1, a), target.gather(1, b)
    order = (target_b > ratio * target_a).to(dtype) - (target_a > ratio * target_b).to(dtype)
    ranked = order != 0
    farther = 1 / inverse_depth.gather(1, a) - 1 / inverse_depth.gather(1, b)
    return F.softplus(-order * farther)[ranked].sum() / ranked.sum().clamp(min=1)


def _drawn(pixels: torch.Tensor, count: int, generator: torch.Generator | None) -> torch.Tensor:
    """Draw from the pixels of each image, (B, N), with replacement; (B, count)."""
    places = torch.randint(
        pixels.shape[1], (len(pixels), count), generator=generator, device=pixels.device
    )
    return pixels.gather(1, places)


def _check(
    inverse_depth: torch.Tensor,
    target: torch.Tensor,
    ratio: float,
    global_fraction: float,
    local_fraction: float,
    disagreement_fraction: float,
) -> None:
    shape = tuple(inverse_depth.shape)
    if len(shape) != 4 or shape[1] != 1 or shape[2] * shape[3] < 2:
        raise ValueError(
            f'inverse_depth must be (B, 1, H, W) with at least two pixels, got {shape}'
        )
    if target.shape != inverse_depth.shape:
        raise ValueError(
            f'target must have the shape of inverse_depth, {shape}, got {tuple(target.shape)}'
        )
    if ratio < 1:
        raise ValueError(f'ratio must be >= 1, got {ratio}')
    fractions = {'global_fraction': global_fraction, 'local_fraction': local_fraction}
    for name, value in fractions.items():
        if not 0 <= value <= 1:
            raise ValueError(f'{name} must be in [0, 1], got {value}')
    if not 0 < disagreement_fraction < 1:
        raise ValueError(f'disagreement_fraction must be in (0, 1), got {disagreement_fraction}')
