"""Rays against the ground: roads over hills, and pavements a kerb's height above them."""

from dataclasses import dataclass

from ssd_depth_core.synthdrive.primitives import Material, Primitives, Shape
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.world import CityStyle, PAVEMENT_HEIGHT_M
import torch

GROUND = -1
"""Index of the road where a solid's index stands."""
FAR_M = 2000.0
"""Hills end here: a pixel below the horizon of a camera in a car."""
TOUCH_M = 2e-4
"""A ray this near above the ground meets it after one more step."""
KERB_TOP_M = 0.003
"""What lies this far below a pavement is the face of its kerb."""
_STEPS = 64
_HALVINGS = 12
"""Of the stretch in which a ray meets a kerb, a few metres long far away."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Hold the terrain and which draped solid covers which block of the city, I x J blocks.

    On flat ground pavements are boxes like any other solid, and the tables are not asked.
    """

    terrain: Terrain
    pitch: tuple[float, float]
    half_road: tuple[float, float]
    """As in `CityStyle`."""
    first: tuple[int, int]
    """Which block the tables begin with, along u and v."""
    pavement: torch.Tensor
    """(I, J) int64 index of the block's pavement, -1 where there is none."""
    lawn: torch.Tensor
    """(I, J) int64 index of the block's lawn."""
    lawn_inset: torch.Tensor
    """(I, J) how far from the kerb the lawn begins [m]; inf where there is none."""

    def meet(
        self, origin: torch.Tensor, rays: torch.Tensor, limit: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Find where rays meet the ground.

        Args:
            origin: (3,) above it [m].
            rays: (T, R, 3).
            limit: (T, R) distance beyond which nothing counts.

        Returns:
            Distance (T, R), inf for a miss, and index (T, R): `GROUND` or a draped solid's.
        """
        if self.terrain.flat:
            down = rays[..., 2]
            distance = torch.where(down < -1e-6, -origin[2] / down, torch.inf)
            distance = torch.where((distance > 0) & (distance < limit), distance, torch.inf)
            return distance, torch.full_like(distance, GROUND, dtype=torch.int64)
        distance = torch.full_like(limit, torch.inf).view(-1)
        index = torch.full_like(distance, GROUND, dtype=torch.int64)
        level = rays[..., :2].norm(dim=-1)
        steepest = sum(wave.amplitude * wave.k for wave in self.terrain.relief)
        asked = (rays[..., 2] < steepest * level).view(-1).nonzero()[:, 0]
        ray = rays.view(-1, 3)[asked]
        end = torch.minimum(limit, FAR_M / level.clamp(min=1e-6)).view(-1)[asked]
        top = self._descend(origin, ray, torch.zeros_like(end), end, PAVEMENT_HEIGHT_M)
        reached = ~top.isinf()
        asked, ray, top, end = asked[reached], ray[reached], top[reached], end[reached]
        cover, from_kerb = self._cover(origin[:2] + ray[:, :2] * top[:, None])
        paved = cover >= 0
        distance[asked[paved]], index[asked[paved]] = top[paved], cover[paved]
        open_ = (~paved).nonzero()[:, 0]
        asked, ray, top, from_kerb = asked[open_], ray[open_], top[open_], from_kerb[open_]
        # Behind a kerb may stand the foot of a pole, which must not hide it: no limit but the far.
        end = FAR_M / ray[:, :2].norm(dim=-1).clamp(min=1e-6)
        road = self._descend(origin, ray, top, end, 0.0)
        distance[asked] = road
        # Between the two heights a ray may meet the face of a kerb.
        gap = (road - top).nan_to_num(posinf=0.0) * ray[:, :2].norm(dim=-1)
        close = (from_kerb.abs() < 1.2 * gap + 0.01).nonzero()[:, 0]
        asked, ray, top, road = asked[close], ray[close], top[close], road[close]
        hit, met, which = self._kerb(origin, ray, top, road)
        distance[asked[hit]], index[asked[hit]] = met, which
        return torch.where(distance.view_as(limit) < limit, distance.view_as(limit), torch.inf), (
            index.view_as(limit)
        )

    def above(self, position: torch.Tensor) -> torch.Tensor:
        """Give heights above the road.

        Args:
            position: (..., 3) in the world [m].

        Returns:
            (...) [m].
        """
        x, y, z = position.unbind(-1)
        return z if self.terrain.flat else z - self.terrain.height(x, y)

    def surface(
        self, position: torch.Tensor, paved: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Describe points on the ground.

        Args:
            position: (n, 3) in the world [m].
            paved: (n,) bool: on a pavement or its kerb, not on the road.

        Returns:
            Street coordinates and height above the road, unit normals in the world, and the
            normals on the sheet, (n, 3) each.
        """
        x, y, z = position.unbind(-1)
        u, v = self.terrain.to_street(x, y)
        slope_x, slope_y = self.terrain.gradient(x, y)
        above = z - self.terrain.height(x, y)
        one, zero = torch.ones_like(x), torch.zeros_like(x)
        normal = torch.stack([-slope_x, -slope_y, one], -1)
        face = torch.stack([zero, zero, one], -1)
        kerb = (paved & (above < PAVEMENT_HEIGHT_M - KERB_TOP_M)).nonzero()[:, 0]
        inside = [
            (place / pitch - (place / pitch).floor() - 0.5)[kerb]
            for place, pitch in ((u, self.pitch[0]), (v, self.pitch[1]))
        ]
        # The nearer pair of the block's sides, and of those the nearer one.
        depth = [
            (0.5 - middle.abs()) * pitch - half
            for middle, pitch, half in zip(inside, self.pitch, self.half_road[::-1], strict=True)
        ]
        u_x, u_y, v_x, v_y = self.terrain.jacobian(x[kerb], y[kerb])
        along_u = (depth[0] < depth[1])[:, None]
        none = zero[kerb]
        by_u = torch.stack([u_x, u_y, none], -1) * inside[0].sign()[:, None]
        by_v = torch.stack([v_x, v_y, none], -1) * inside[1].sign()[:, None]
        normal[kerb] = torch.where(along_u, by_u, by_v)
        side_u = torch.stack([inside[0].sign(), none, none], -1)
        side_v = torch.stack([none, inside[1].sign(), none], -1)
        face[kerb] = torch.where(along_u, side_u, side_v)
        return torch.stack([u, v, above], -1), normal / normal.norm(dim=-1, keepdim=True), face

    def _descend(
        self,
        origin: torch.Tensor,
        rays: torch.Tensor,
        start: torch.Tensor,
        limit: torch.Tensor,
        lift: float,
    ) -> torch.Tensor:
        """Find the first meeting of rays (n, 3) with the relief lifted by `lift`, (n,), or inf.

        The relief bends along a ray no faster than the sum of its waves does at their crests, so
        a parabola of that bend stays above it: stepping to where the ray meets the parabola never
        oversteps a hill and ends as Newton's method does.
        """
        relief = self.terrain.relief
        table = rays.new_tensor([[w.amplitude, w.kx, w.ky, w.phase] for w in relief])[..., None]
        amplitude, kx, ky, phase = table.unbind(1)  # (K, 1)
        phase = phase + kx * origin[0] + ky * origin[1]
        rate = kx * rays[:, 0] + ky * rays[:, 1]  # (K, n)
        fall, bend = rays[:, 2], (amplitude * rate * rate).sum(0).clamp(min=1e-9)
        highest = sum(wave.amplitude for wave in relief) + lift
        found = torch.full_like(start, torch.inf)
        left, t = torch.arange(len(start), device=start.device), start
        for _ in range(_STEPS):
            angle = phase + rate * t
            gap = origin[2] - lift + fall * t - (amplitude * angle.sin()).sum(0)
            slope = fall - (amplitude * rate * angle.cos()).sum(0)
            gap = gap.clamp(min=0)
            root = (slope * slope + 2 * bend * gap).sqrt()
            falls = slope < 0
            t = t + torch.where(falls, 2 * gap / (root - slope), (slope + root) / bend)
            met = falls & (gap < TOUCH_M)
            found[left[met]] = t[met]
            lost = (t > limit) | ((fall >= 0) & (origin[2] + fall * t > highest))
            live = (~(met | lost)).nonzero()[:, 0]
            if len(live) == 0:
                break
            if len(live) < len(t):
                left, t, limit, fall, bend = (a[live] for a in (left, t, limit, fall, bend))
                rate = rate[:, live]
        return found

    def _cover(self, xy: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Give what covers places (n, 2), -1 for the road, and how far inside a kerb they lie."""
        u, v = self.terrain.to_street(xy[:, 0], xy[:, 1])
        cell_u, cell_v = u / self.pitch[0], v / self.pitch[1]
        i, j = cell_u.floor(), cell_v.floor()
        depth_u = (0.5 - (cell_u - i - 0.5).abs()) * self.pitch[0] - self.half_road[1]
        depth_v = (0.5 - (cell_v - j - 0.5).abs()) * self.pitch[1] - self.half_road[0]
        inside = torch.minimum(depth_u, depth_v)
        i, j = i.long() - self.first[0], j.long() - self.first[1]
        rows, columns = self.pavement.shape
        known = (i >= 0) & (j >= 0) & (i < rows) & (j < columns) & (inside > 0)
        block = i.clamp(0, rows - 1), j.clamp(0, columns - 1)
        cover = torch.where(
            inside > self.lawn_inset[block], self.lawn[block], self.pavement[block]
        )
        return torch.where(known, cover, -1), inside

    def _kerb(
        self, origin: torch.Tensor, rays: torch.Tensor, top: torch.Tensor, road: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Find kerbs between the heights of pavement and road: which rays, how far, of what."""

        def solid(rays: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            position = origin + rays * t[:, None]
            cover, _ = self._cover(position[:, :2])
            return (cover >= 0) & (self.above(position) < PAVEMENT_HEIGHT_M), cover

        inside, which = road, torch.full_like(top, -1, dtype=torch.int64)
        for share in (1.0, 0.75, 0.5, 0.25):  # the first of a few places that lies inside
            t = top + share * (road - top)
            within, cover = solid(rays, t)
            inside, which = torch.where(within, t, inside), torch.where(within, cover, which)
        hit = (which >= 0).nonzero()[:, 0]
        rays, inside = rays[hit], inside[hit]
        outside = inside - 0.25 * (road - top)[hit]
        for _ in range(_HALVINGS):
            middle = (outside + inside) / 2
            within, _ = solid(rays, middle)
            outside = torch.where(within, outside, middle)
            inside = torch.where(within, middle, inside)
        return hit, inside, which[hit]


def ground_of(solids: Primitives, terrain: Terrain, style: CityStyle) -> Ground:
    """Find the blocks that are covered.

    Args:
        solids: Of a scene.
        terrain: That they stand on.
        style: Of their city.

    Returns:
        The ground of the scene, on its device.
    """
    draped = (solids.shape == Shape.DRAPED).nonzero()[:, 0]
    pitch = solids.center.new_tensor(style.pitch)
    block = (solids.center[draped, :2] / pitch).floor().long()
    if len(draped) == 0:
        block = block.new_zeros(1, 2)
    first, last = block.amin(0), block.amax(0)
    size = (last - first + 1).tolist()
    pavement = block.new_full(size, -1)
    lawn, inset = pavement.clone(), solids.center.new_full(size, torch.inf)
    for name, table in ((Material.PAVEMENT, pavement), (Material.GRASS, lawn)):
        chosen = solids.material[draped] == name
        i, j = (block[: len(draped)][chosen] - first).unbind(1)
        table[i, j] = draped[chosen]
        if name == Material.GRASS:
            inset[i, j] = pitch[0] / 2 - style.half_road[1] - solids.half_size[draped[chosen], 0]
    return Ground(
        terrain=terrain, pitch=style.pitch, half_road=style.half_road,
        first=(int(first[0]), int(first[1])), pavement=pavement, lawn=lawn, lawn_inset=inset,
    )  # fmt: skip


_NONE = torch.full((1, 1), -1)
LEVEL = Ground(
    terrain=FLAT, pitch=(1.0, 1.0), half_road=(0.0, 0.0), first=(0, 0),
    pavement=_NONE, lawn=_NONE, lawn_inset=torch.full((1, 1), torch.inf),
)  # fmt: skip
"""The plane z = 0."""
