"""Rays against unit shapes: where they enter, and which way the surface faces there."""

from ssd_depth_core.synthdrive.primitives import Primitives, Shape
import torch


def enter_distance(
    shape: Shape, o: torch.Tensor, d: torch.Tensor, taper: torch.Tensor
) -> torch.Tensor:
    """Find where rays enter a unit shape.

    Args:
        shape: Which one.
        o: Starts, (p, R, 3), in the shape's own scaled axes.
        d: Directions, likewise; any length.
        taper: (p,) in [0, 1], of boxes.

    Returns:
        (p, R) distance in units of the direction; inf for a miss. Negative where the ray starts
        inside.
    """
    safe = torch.where(d.abs() < 1e-9, torch.full_like(d, 1e-9), d)
    if shape == Shape.ELLIPSOID:
        a, b, c = _dot(d, d), _dot(o, d), _dot(o, o) - 1.0
        root = b * b - a * c
        return torch.where(root > 0, (-b - root.clamp(min=0).sqrt()) / a, torch.inf)
    slab_a, slab_b = (-1.0 - o) / safe, (1.0 - o) / safe
    enter, leave = torch.minimum(slab_a, slab_b), torch.maximum(slab_a, slab_b)
    if shape == Shape.CYLINDER:
        across, along = o[..., :2], d[..., :2]
        a = _dot(along, along).clamp(min=1e-12)
        b, c = _dot(across, along), _dot(across, across) - 1.0
        root = b * b - a * c
        wide = root.clamp(min=0).sqrt()
        first = torch.maximum(enter[..., 2], (-b - wide) / a)
        end = torch.minimum(leave[..., 2], (-b + wide) / a)
        return torch.where((root > 0) & (first < end), first, torch.inf)
    first = torch.maximum(enter[..., 1], enter[..., 2])
    end = torch.minimum(leave[..., 1], leave[..., 2])
    k = taper[:, None]
    for sign in (-1.0, 1.0):  # the half-spaces sign * x + k (z + 1) / 2 <= 1
        slope = sign * d[..., 0] + 0.5 * k * d[..., 2]
        gap = 1.0 - sign * o[..., 0] - 0.5 * k * (o[..., 2] + 1.0)
        slope = torch.where(slope.abs() < 1e-9, torch.full_like(slope, 1e-9), slope)
        cross = gap / slope
        first = torch.where(slope < 0, torch.maximum(first, cross), first)
        end = torch.where(slope > 0, torch.minimum(end, cross), end)
    return torch.where(first < end, first, torch.inf)


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Multiply (..., 2 or 3) vectors: `sum` over so short a dimension takes thrice as long."""
    total = a[..., 0] * b[..., 0]
    for axis in range(1, a.shape[-1]):
        total = total + a[..., axis] * b[..., axis]
    return total


def unit_normal(solids: Primitives, which: torch.Tensor, unit: torch.Tensor) -> torch.Tensor:
    """Give the outward gradient of a unit shape's surface at a point on it.

    Args:
        solids: Whose shapes.
        which: (T, R) int64, the solid of each point.
        unit: (T, R, 3), the point in the shape's own scaled axes.

    Returns:
        (T, R, 3) in the same axes, any length.
    """
    shape = solids.shape[which]
    x, y, z = unit.unbind(-1)
    k = solids.taper[which]
    slope = x.abs() + k * (z + 1.0) / 2.0  # 1 on the two sloping sides
    zero = torch.zeros_like(x)
    sides = torch.stack([slope, y.abs(), z.abs()], -1)
    largest = sides.argmax(-1)
    box = torch.where(
        (largest == 0)[..., None],
        torch.stack([x.sign(), zero, k / 2.0], -1),
        torch.where(
            (largest == 1)[..., None],
            torch.stack([zero, y.sign(), zero], -1),
            torch.stack([zero, zero, z.sign()], -1),
        ),
    )
    radius = (x * x + y * y).sqrt()
    on_cap = z.abs() > radius
    cylinder = torch.where(
        on_cap[..., None],
        torch.stack([zero, zero, z.sign()], -1),
        torch.stack([x, y, zero], -1),
    )
    choice = shape[..., None]
    return torch.where(choice == 0, box, torch.where(choice == 1, cylinder, unit))


def ragged(
    solids: Primitives, s: torch.Tensor, o: torch.Tensor, d: torch.Tensor, enter: torch.Tensor
) -> torch.Tensor:
    """Tear holes into the rims of leaf balls, for no tree has a smooth outline.

    Args:
        solids: All of them.
        s: (p,) the balls' indices.
        o: Starts, (p, R or 1, 3), in the balls' own scaled axes.
        d: Directions, (p, R, 3), likewise.
        enter: (p, R) where the rays enter.

    Returns:
        (p, R), inf where a ray slips through.
    """
    unit = o + d * enter.nan_to_num(posinf=0.0)[..., None]
    half = solids.half_size[s][:, None]
    # A cheap lattice hash at 12 cm: leaves, not noise that swims with the camera.
    cell = ((unit * half) / 0.12).floor()
    mixed = (cell * cell.new_tensor([12.9898, 78.233, 37.719])).sum(-1) + s[:, None] * 0.37
    noise = (mixed.sin() * 43758.547).frac().abs()
    grazing = 1.0 - ((unit * d).sum(-1).abs() / d.norm(dim=-1)).clamp(0, 1)
    return torch.where(noise < 1.1 * grazing**1.5 - 0.1, torch.inf, enter)
