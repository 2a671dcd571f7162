"""What surfaces look like before light falls on them: procedural, anti-aliased by footprint."""

from dataclasses import dataclass

from ssd_depth_core.synthdrive.ground import GROUND
from ssd_depth_core.synthdrive.primitives import Material, Primitives
from ssd_depth_core.synthdrive.renderer import Surface
from ssd_depth_core.synthdrive.world import CityStyle, LANE_WIDTH_M
import torch
from torch.nn import functional

_SIZE = 256
_SPECTRA = (0.6, 0.9, 1.2, 1.5, 1.8, 2.2)  # amplitude falls as frequency^-e: sand ... clouds


class NoiseBank:
    """Hold tileable fractal noise with its mip levels, looked up by many pixels at once."""

    def __init__(self, seed: int = 0, device: torch.device | None = None) -> None:
        """Make the noise.

        Args:
            seed: Of the noise; one bank serves all streets, which shift and scale it.
            device: Where lookups will happen.
        """
        generator = torch.Generator().manual_seed(seed)
        fy, fx = torch.fft.fftfreq(_SIZE), torch.fft.rfftfreq(_SIZE)
        radius = (fy[:, None] ** 2 + fx[None] ** 2).sqrt().clamp(min=1.0 / _SIZE)
        layers = []
        for exponent in _SPECTRA:
            white = torch.randn(_SIZE, _SIZE, generator=generator)
            image = torch.fft.irfft2(torch.fft.rfft2(white) / radius**exponent, s=(_SIZE, _SIZE))
            layers.append((image - image.mean()) / image.std())
        level = torch.stack(layers)[None].clamp(-2.5, 2.5)  # (1, C, 256, 256)
        flat, offsets, sizes, size = [], [], [], _SIZE
        total = 0
        while size >= 2:
            flat.append(level.reshape(len(_SPECTRA), -1))
            offsets.append(total)
            sizes.append(size)
            total += size * size
            level, size = functional.avg_pool2d(level, 2), size // 2
        self._flat = torch.cat(flat, 1).reshape(-1).to(device)
        self._stride = total
        self._offsets = torch.tensor(offsets, device=device)
        self._sizes = torch.tensor(sizes, device=device)

    def __call__(
        self,
        u: torch.Tensor,
        v: torch.Tensor,
        period_m: torch.Tensor | float,
        footprint_m: torch.Tensor,
        layer: torch.Tensor | int = 2,
    ) -> torch.Tensor:
        """Look noise up.

        Args:
            u: Any shape, along the surface [m].
            v: Same shape [m].
            period_m: After which the noise repeats [m]; broadcast with `u`.
            footprint_m: Width of a pixel on the surface [m]; broadcast with `u`.
            layer: Which spectrum, 0 (sand) to 5 (clouds).

        Returns:
            Zero mean, about unit spread where the footprint is small; where it is wider than the
            period, only a slow remainder of at most 0.4.
        """
        texel = footprint_m / period_m * _SIZE
        levels = len(self._sizes)
        level = texel.clamp(min=1.0).log2().ceil().long().clamp(max=levels - 1)
        size = self._sizes[level]
        x, y = u / period_m * size, v / period_m * size
        x0, y0 = x.floor(), y.floor()
        fx, fy = x - x0, y - y0
        x0, y0 = x0.long() & (size - 1), y0.long() & (size - 1)
        x1, y1 = (x0 + 1) & (size - 1), (y0 + 1) & (size - 1)
        base = self._offsets[level] + torch.as_tensor(layer, device=u.device) * self._stride

        def texels(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            return self._flat[base + row * size + column]

        top = texels(y0, x0) * (1 - fx) + texels(y0, x1) * fx
        bottom = texels(y1, x0) * (1 - fx) + texels(y1, x1) * fx
        return top * (1 - fy) + bottom * fy


@dataclass(frozen=True, slots=True)
class Appearance:
    """Hold how each point reflects and shines."""

    albedo: torch.Tensor
    """(T, R, 3) linear RGB in [0, 1]."""
    emission: torch.Tensor
    """(T, R, 3) linear RGB radiance at night."""
    gloss: torch.Tensor
    """(T, R) in [0, 1]: how much of a mirror the surface is."""
    normal: torch.Tensor
    """(T, R, 3) unit, with the surface's small relief."""


def appearance(
    surface: Surface, solids: Primitives, style: CityStyle, noise: NoiseBank
) -> Appearance:
    """Paint every point.

    Args:
        surface: What the rays met.
        solids: That the surface indexes.
        style: Of the city: the ground's marks and colours.
        noise: Texture source.

    Returns:
        Albedo, night-time emission, gloss and normal of each point; the sky's are meaningless.
    """
    which = surface.index.clamp(min=0)
    material = torch.where(surface.index == GROUND, -1, solids.material[which])
    pattern = solids.pattern[which]
    u, v = _wall_coordinates(surface)
    foot = surface.footprint
    shift = pattern[..., 3] * 977.0
    layer = (pattern[..., 3] * 6007.0).long() % len(_SPECTRA)
    coarse = noise(u + shift, v + shift, 3.0 + 14.0 * pattern[..., 3], foot, layer)
    fine = noise(u - shift, v, 1.1 + 1.3 * pattern[..., 3], foot, (layer + 2) % len(_SPECTRA))
    base, second = solids.albedo[which], solids.second_albedo[which]
    emission = solids.emission[which].clone()
    gloss = torch.zeros_like(foot)
    albedo = base.clone()

    def put(kind: Material, colour: torch.Tensor) -> None:
        mask = material == kind
        albedo[mask] = colour[mask]

    upward = surface.face[..., 2].abs() > 0.7
    # Windows: cells of pattern width x height, counted from the wall's foot.
    height = surface.local[..., 2] + solids.half_size[which][..., 2]
    cell_u, cell_v = u / pattern[..., 0], height / pattern[..., 1]
    wide = 0.22 + 0.2 * (pattern[..., 3] * 31.0).frac()
    tall = 0.22 + 0.22 * (pattern[..., 3] * 57.0).frac()
    window = _stripe(cell_u, wide, foot / pattern[..., 0])
    window = window * _stripe(cell_v, tall, foot / pattern[..., 1])
    window = torch.where(upward, 0.0, window)
    lottery = _lattice(cell_u.floor(), cell_v.floor(), pattern[..., 3])
    glass = 0.02 + 0.13 * lottery[..., None] ** 3 + 0.25 * second * lottery[..., None]
    frame = window[..., None] * glass + (1 - window[..., None]) * base
    put(Material.FACADE, frame)
    facade = material == Material.FACADE
    lit = facade & (_lattice(cell_u.floor(), cell_v.floor(), shift) < pattern[..., 2])
    warm = torch.stack([1.0 + 0 * lottery, 0.62 + 0.3 * lottery, 0.3 + 0.5 * lottery], -1)
    glow = (window * (0.15 + 0.9 * lottery))[..., None] * warm
    emission = torch.where(lit[..., None], emission + glow, emission)
    gloss = torch.where(facade, 0.5 * window, gloss)
    # Bricks, tiles and panels: dark joints.
    joint_u, joint_v = 0.3 + pattern[..., 3] * 1.5, 0.12 + pattern[..., 3] * 0.8
    joint = 1 - _stripe(u / joint_u, 0.46, foot / joint_u) * _stripe(
        v / joint_v, 0.44, foot / joint_v
    )
    put(Material.BRICK, base * (1 - 0.45 * joint[..., None]))
    # Signs: blocks of the second colour, as letters from afar.
    block = _lattice((u / pattern[..., 0]).floor(), (v / pattern[..., 1]).floor(), shift) > 0.55
    put(Material.SIGN, torch.where(block[..., None], second, base))
    # Cars: dark sill; a cabin is glass but for its roof and pillars.
    unit = surface.local / solids.half_size[which]
    sill = (unit[..., 2] < -0.55)[..., None]
    put(Material.CAR_BODY, torch.where(sill, 0.03 + 0.1 * base, base))
    pillar = (unit[..., 2] > 0.86) | (unit[..., 2] < -0.85) | (surface.face[..., 2] > 0.93)
    pillar |= (unit[..., 0].abs() % 0.5 < 0.05) & (surface.face[..., 1].abs() > 0.7)
    put(Material.CAR_CABIN, torch.where(pillar[..., None], base, second))
    gloss = torch.where(material == Material.CAR_BODY, 0.7, gloss)
    gloss = torch.where(material == Material.CAR_CABIN, 1.0, gloss)
    # Paving stones.
    slab = 1 - _stripe(u / 0.9, 0.475, foot / 0.9) * _stripe(v / 0.9, 0.475, foot / 0.9)
    put(Material.PAVEMENT, base * (1 - 0.3 * slab[..., None]))
    on_ground = surface.index == GROUND
    place = surface.local[on_ground]
    cosine = (surface.direction[on_ground] * surface.normal[on_ground]).sum(-1).abs()
    painted = _ground(place, foot[on_ground], cosine, style, noise)
    albedo[on_ground], gloss[on_ground] = painted
    emission[on_ground] = 0.0
    strength = torch.full_like(foot, 0.13)
    strength[material == Material.FOLIAGE] = 0.5
    strength[material == Material.GRASS] = 0.3
    strength[(material == Material.CAR_BODY) | (material == Material.CAR_CABIN)] = 0.03
    strength[on_ground] = 0.0
    relief = 1.0 + strength * (coarse + 0.7 * fine)
    leafy = (material == Material.FOLIAGE)[..., None]
    bump = torch.stack([coarse, fine, -coarse], -1) * 0.45
    normal = torch.where(leafy, surface.normal + bump, surface.normal)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    albedo = (albedo * relief[..., None].clamp(min=0.15)).clamp(0.005, 0.95)
    return Appearance(albedo, emission, gloss, normal)


def _wall_coordinates(surface: Surface) -> tuple[torch.Tensor, torch.Tensor]:
    """Give metres along and up the face of a solid, or over the ground."""
    x, y, z = surface.local.unbind(-1)
    side = surface.face.abs().argmax(-1)
    u = torch.where(side == 0, y, x)
    v = torch.where(side == 2, y, z)
    return u, v


def _stripe(cell: torch.Tensor, half: torch.Tensor | float, foot: torch.Tensor) -> torch.Tensor:
    """Give how much of a pixel lies in the middle 2 * half of its unit cell, in [0, 1]."""
    inside = (half - (cell - cell.floor() - 0.5).abs()) / foot.clamp(min=1e-4) + 0.5
    share = 2.0 * half
    far = (foot * 2.0 - 0.5).clamp(0, 1)  # a pixel wider than half a cell sees the mean
    return inside.clamp(0, 1) * (1 - far) + share * far


def _lattice(i: torch.Tensor, j: torch.Tensor, seed: torch.Tensor) -> torch.Tensor:
    """Hash cells to [0, 1)."""
    return ((i * 12.9898 + j * 78.233 + seed * 3.7719).sin() * 43758.547).frac().abs()


def _ground(
    place: torch.Tensor,
    foot: torch.Tensor,
    cosine: torch.Tensor,
    style: CityStyle,
    noise: NoiseBank,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Paint asphalt, lane marks and crossings; gloss says where water would stand."""
    x, y = place[..., 0], place[..., 1]
    # A road seen at a grazing angle is squeezed: marks fade by the longer side of the pixel.
    squeeze = foot / cosine.clamp(min=0.02)
    across_x = x - (x / style.pitch[0]).round() * style.pitch[0]
    across_y = y - (y / style.pitch[1]).round() * style.pitch[1]
    on_x = across_y.abs() < style.half_road[0]
    on_y = across_x.abs() < style.half_road[1]
    marks = torch.where(
        on_x & ~on_y,
        _marks(x, across_y, across_x.abs() - style.half_road[1], 0, style, foot, squeeze),
        torch.where(
            on_y & ~on_x,
            _marks(y, across_x, across_y.abs() - style.half_road[0], 1, style, foot, squeeze),
            torch.zeros_like(x),
        ),
    )
    worn = (0.8 + 0.25 * noise(x, y, 9.0, squeeze, 1)).clamp(0, 1)
    patches = noise(x, y, 37.0, squeeze, 4)
    grain = noise(x, y, 2.3, squeeze, 0)
    along = torch.where(on_x, across_y, across_x)
    tracks = (torch.cos(along * (2 * torch.pi / (LANE_WIDTH_M / 2))) * 0.06).clamp(max=0.05)
    tone = (1 + 0.22 * patches + 0.15 * grain - tracks).clamp(0.3, 1.8)
    asphalt = x.new_tensor(style.asphalt) * tone[..., None]
    paint = x.new_tensor(style.paint)
    cover = (marks * worn)[..., None]
    albedo = asphalt * (1 - cover) + paint * cover
    puddle = (0.55 + 0.3 * noise(x, y, 23.0, squeeze, 3)).clamp(0.1, 1.0)
    return albedo, puddle


def _marks(
    along: torch.Tensor,
    across: torch.Tensor,
    to_junction: torch.Tensor,
    axis: int,
    style: CityStyle,
    foot: torch.Tensor,
    squeeze: torch.Tensor,
) -> torch.Tensor:
    """Give how much of a pixel is road paint, in [0, 1]."""

    def line(at: float, half: float = 0.07) -> torch.Tensor:
        inside = (half - (across - at).abs()) / foot.clamp(min=1e-3) + 0.5
        return inside.clamp(0, 1) * (2 * half / foot.clamp(min=2 * half)).clamp(0, 1)

    dashes = _stripe(along / 9.0, 0.22, squeeze / 9.0)
    total = torch.zeros_like(along)
    half_road = style.half_road[axis]
    lanes = max(1, int((half_road - 0.2) / LANE_WIDTH_M))
    if style.lane_marks:
        middle = line(0.12) + line(-0.12) if style.lane_marks == 2 else line(0.0) * dashes
        total = total + middle
        for lane in range(1, lanes):
            total = total + (line(lane * LANE_WIDTH_M) + line(-lane * LANE_WIDTH_M)) * dashes
        if style.lane_marks == 3:
            total = total + line(half_road - 0.3) + line(0.3 - half_road)
    clear = to_junction > 5.5
    zebra = _stripe(across / 1.0, 0.25, foot) * ((to_junction > 1.6) & (to_junction < 4.4))
    stop = ((to_junction - 5.0).abs() < 0.2).float() * (squeeze < 1.0)
    side = across if axis == 0 else -across
    stop = stop * (side * style.drive_side > 0)
    painted = torch.where(clear, total, zebra + stop)
    return painted.clamp(0, 1) if style.lane_marks else torch.where(clear, 0.0, zebra).clamp(0, 1)
