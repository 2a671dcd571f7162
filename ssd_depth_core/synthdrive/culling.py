"""Which solids may be seen in which tiles: everything else is never intersected."""

from dataclasses import dataclass

from ssd_depth_core.synthdrive.camera import Camera, TILE
from ssd_depth_core.synthdrive.primitives import Primitives, Shape
import torch

MIRROR_M = 120.0
"""Wet hills mirror nothing that is farther from the camera: it is lost in the rain."""
NEAR_M = 0.05
"""Solids are cut here to be projected; the camera must not be nearer to one."""
_CORNERS = torch.tensor(
    [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
)  # (8, 3)
_EDGES = torch.tensor(
    [[a, b] for a in range(8) for b in range(a) if bin(a ^ b).count('1') == 1]
)  # (12, 2): corners that differ in one coordinate


def world_corners(solids: Primitives) -> torch.Tensor:
    """Give the corners of bounding boxes.

    Args:
        solids: N of them.

    Returns:
        (N, 8, 3) in the world [m].
    """
    corners = _CORNERS.to(solids.center.device) * solids.half_size[:, None]
    return corners @ solids.rotation.transpose(1, 2) + solids.center[:, None]


def pairs_in_view(solids: Primitives, camera: Camera) -> tuple[torch.Tensor, torch.Tensor]:
    """List the solids and tiles whose bounding boxes overlap in a picture.

    Args:
        solids: In the world.
        camera: Whose picture is cut into tiles.

    Returns:
        Index of the solid and of the tile of each pair, (P,).
    """
    R, origin = camera.T_world_camera[:3, :3], camera.T_world_camera[:3, 3]
    kept = _around_view(solids, camera).nonzero()[:, 0]
    corners = (world_corners(solids.select(kept)) - origin) @ R  # (n, 8, 3) in the camera
    ahead = corners[..., 2].amax(1) > NEAR_M
    kept, corners = kept[ahead], corners[ahead]
    a, b = corners[:, _EDGES[:, 0]], corners[:, _EDGES[:, 1]]  # (n, 12, 3)
    # An edge through the near plane is cut there, so that its image does not wrap around.
    cut_a = ((NEAR_M - a[..., 2]) / (b[..., 2] - a[..., 2])).clamp(0, 1)[..., None]
    cut_b = ((NEAR_M - b[..., 2]) / (a[..., 2] - b[..., 2])).clamp(0, 1)[..., None]
    behind = (a[..., 2] < NEAR_M) & (b[..., 2] < NEAR_M)
    ends = torch.cat(
        [
            torch.where((a[..., 2] < NEAR_M)[..., None], a + cut_a * (b - a), a),
            torch.where((b[..., 2] < NEAR_M)[..., None], b + cut_b * (a - b), b),
        ],
        1,
    )  # (n, 24, 3)
    image = ends[..., :2] / ends[..., 2:].clamp(min=NEAR_M)
    focal = torch.stack([camera.K[0, 0], camera.K[1, 1]])
    image = image * focal + torch.stack([camera.K[0, 2], camera.K[1, 2]])
    image = torch.where(behind.repeat(1, 2)[..., None], torch.nan, image)
    low = image.nan_to_num(nan=torch.inf).amin(1)
    high = image.nan_to_num(nan=-torch.inf).amax(1)
    rows, columns = -(-camera.height // TILE), -(-camera.width // TILE)
    limit = torch.tensor([columns - 1, rows - 1], device=low.device)
    first = (low.clamp(-1e6, 1e6) / TILE).floor().long()
    last = (high.clamp(-1e6, 1e6) / TILE).floor().long()
    seen = ((last >= 0) & (first <= limit)).all(1)
    kept, first, last = kept[seen], first[seen].clamp(min=0), last[seen]
    last = torch.minimum(last, limit)
    span = last - first + 1  # (n, 2) tiles across and down
    count = span[:, 0] * span[:, 1]
    pair = torch.repeat_interleave(torch.arange(len(kept), device=low.device), count)
    begin = torch.cumsum(count, 0) - count
    rank = torch.arange(len(pair), device=low.device) - begin[pair]
    across = span[pair, 0]
    tile = (first[pair, 1] + rank // across) * columns + first[pair, 0] + rank % across
    return kept[pair], tile


def _around_view(solids: Primitives, camera: Camera) -> torch.Tensor:
    """Find the solids whose bounding spheres reach into the view, (N,) bool: most do not."""
    center = (solids.center - camera.T_world_camera[:3, 3]) @ camera.T_world_camera[:3, :3]
    radius = solids.half_size.norm(dim=1)
    around = (solids.shape != Shape.DRAPED) & (center[:, 2] + radius > NEAR_M)
    for axis, size in enumerate((camera.width, camera.height)):
        middle = camera.K[axis, 2]
        # The last tile may reach over the picture's edge.
        slope = (torch.maximum(middle, size - middle) + TILE) / camera.K[axis, axis]
        outside = center[:, axis].abs() - slope * center[:, 2]
        around &= outside <= radius * (1 + slope * slope).sqrt()
    return around


def pairs_in_mirror(
    solids: Primitives,
    eye: torch.Tensor,
    origin: torch.Tensor,
    rays: torch.Tensor,
    start: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """List the solids and tiles that may meet by way of the ground.

    The rays of a tile come from mirrored eyes close to each other and stay in a blunt cone.

    Args:
        solids: In the world.
        eye: (3,) not mirrored [m].
        origin: (T, R, 3) mirrored eyes, one for each ray [m].
        rays: (T, R, 3) from there.
        start: (T, R) distance of the ground along the rays; inf where nothing is mirrored.

    Returns:
        Index of the solid and of the tile of each pair, (P,).
    """
    tiles = (~start.isinf()).any(1).nonzero()[:, 0]
    if len(tiles) == 0:
        return tiles, tiles
    wanted, length = ~start[tiles].isinf(), rays[tiles].norm(dim=-1)
    eyes, unit = origin[tiles] - eye, rays[tiles] / length[..., None]
    first = (start[tiles] * length).amin(1)
    center, radius = solids.center - eye, solids.half_size.norm(dim=1)
    near = (solids.shape != Shape.DRAPED) & (center.norm(dim=1) - radius < MIRROR_M)
    near = near.nonzero()[:, 0]
    everything = _Cones.around(eyes.view(1, -1, 3), unit.view(1, -1, 3), wanted.view(1, -1))
    near = near[everything.meet(center[near], radius[near], first.amin()[None])[:, 0]]
    cones = _Cones.around(eyes, unit, wanted)
    solid, tile = cones.meet(center[near], radius[near], first).nonzero(as_tuple=True)
    # Most things are slender: their boxes tell more than balls, seen across the cone.
    solid, axis = near[solid], cones.axis[tile]
    away = center[solid] - cones.apex[tile]
    along = (away * axis).sum(1, keepdim=True)
    across = away - along * axis
    aside = across.norm(dim=1, keepdim=True).clamp(min=1e-3)
    sides = torch.cat([across / aside, axis], 1).view(-1, 2, 3) @ solids.rotation[solid]
    half = (sides.abs() * solids.half_size[solid][:, None]).sum(-1)  # (P, 2)
    kept = aside[:, 0] < cones.reach(along[:, 0] + half[:, 1], tile) + half[:, 0]
    return solid[kept], tiles[tile[kept]]


@dataclass(frozen=True, slots=True)
class _Cones:
    """Hold t blunt cones; rays in one start within `blunt` of its apex."""

    apex: torch.Tensor
    """(t, 3) [m]."""
    axis: torch.Tensor
    """(t, 3) unit."""
    blunt: torch.Tensor
    """(t,) [m]."""
    cosine: torch.Tensor
    """(t,) of the angle between the axis and the farthest ray."""

    @classmethod
    def around(cls, origin: torch.Tensor, unit: torch.Tensor, wanted: torch.Tensor) -> '_Cones':
        """Enclose rays (t, R, 3), of which those `wanted` (t, R) count."""
        mask = wanted[..., None]
        apex = (origin * mask).sum(1) / mask.sum(1)
        axis = (unit * mask).sum(1)
        axis = axis / axis.norm(dim=1, keepdim=True)
        blunt = ((origin - apex[:, None]) * mask).norm(dim=-1).amax(1)
        cosine = torch.where(wanted, (unit * axis[:, None]).sum(-1), 1.0).amin(1)
        # A camera's rays, mirrored or not, never fill half of all directions.
        return cls(apex, axis, blunt, cosine.clamp(min=0.1))

    def reach(self, along: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
        """Give how far rays get aside, `along` (P,) the axes of cones `which` (P,), [m]."""
        tangent = (1 - self.cosine**2).sqrt() / self.cosine
        return along.clamp(min=0) * tangent[which] + (self.blunt / self.cosine)[which]

    def meet(
        self, center: torch.Tensor, radius: torch.Tensor, start: torch.Tensor
    ) -> torch.Tensor:
        """Say which of n balls the rays may meet beyond `start` (t,), (n, t)."""
        tangent = (1 - self.cosine**2).sqrt() / self.cosine
        along = torch.addmm(-(self.apex * self.axis).sum(1), center, self.axis.T)
        square = torch.addmm((self.apex * self.apex).sum(1), center, self.apex.T, alpha=-2.0)
        square += (center * center).sum(1)[:, None]
        reach = along.clamp(min=0).mul_(tangent).add_((radius[:, None] + self.blunt) / self.cosine)
        from_start = self.cosine * start - self.blunt
        return (square < reach * reach + along * along) & (along > from_start - radius[:, None])
