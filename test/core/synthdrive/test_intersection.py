import numpy as np
import pytest
from ssd_depth_core.synthdrive.intersection import enter_distance, ragged, unit_normal
from ssd_depth_core.synthdrive.primitives import Builder, Material, Shape
import torch

# What is draped over hills is met as ground, not as a solid.
SHAPES = [shape for shape in Shape if shape != Shape.DRAPED]
SOLIDS = [*((shape, 0.0) for shape in SHAPES), (Shape.BOX, 0.3), (Shape.BOX, 1.0)]


def enter(shape, o, d, taper=0.0):
    o, d = (torch.tensor(value, dtype=torch.float32).view(1, 1, 3) for value in (o, d))
    return enter_distance(shape, o, d, torch.tensor([taper])).item()


def level(shape, p, taper):
    """Where a point lies, (...,): below 1 inside, above 1 outside."""
    x, y, z = p.unbind(-1)
    if shape == Shape.ELLIPSOID:
        return p.norm(dim=-1)
    if shape == Shape.CYLINDER:
        return torch.maximum((x * x + y * y).sqrt(), z.abs())
    slope = x.abs() + taper * (z + 1) / 2
    return torch.maximum(torch.maximum(slope, y.abs()), z.abs())


@pytest.mark.parametrize('shape', list(Shape))
def test_head_on(shape):
    for axis in range(3):
        o, d = np.zeros(3), np.zeros(3)
        o[axis], d[axis] = -5.0, 1.0
        assert enter(shape, o, d) == pytest.approx(4.0)
        assert enter(shape, o, 2 * d) == pytest.approx(2.0)  # in units of the direction
        assert enter(shape, o, -d) < 0  # behind
        assert enter(shape, 0 * o, d) < 0  # from within
        assert enter(shape, o + 1.5, d) == np.inf


def test_cylinder_ends_in_caps_and_round_sides():
    assert enter(Shape.CYLINDER, (0.5, 0.5, 5), (0, 0, -1)) == pytest.approx(4.0)
    assert enter(Shape.CYLINDER, (0.8, 0.8, 5), (0, 0, -1)) == np.inf
    assert enter(Shape.CYLINDER, (-5, 0.6, 0), (1, 0, 0)) == pytest.approx(5 - 0.8)


@pytest.mark.parametrize(
    ('taper', 'z', 'half_width'), [(0.0, 0.5, 1.0), (0.5, 0.0, 0.75), (1.0, 0.5, 0.25)]
)
def test_taper_narrows_a_box_towards_its_top(taper, z, half_width):
    assert enter(Shape.BOX, (-5, 0, z), (1, 0, 0), taper) == pytest.approx(5 - half_width)
    assert enter(Shape.BOX, (5, 0, z), (-1, 0, 0), taper) == pytest.approx(5 - half_width)
    assert enter(Shape.BOX, (half_width + 0.01, -5, z), (0, 1, 0), taper) == np.inf


@pytest.mark.parametrize(('shape', 'taper'), SOLIDS)
def test_rays_enter_at_the_surface_and_nowhere_earlier(shape, taper):
    generator = torch.Generator().manual_seed(3)
    o = torch.randn(1, 4000, 3, generator=generator)
    o = 4 * o / o.norm(dim=-1, keepdim=True)
    d = torch.rand(1, 4000, 3, generator=generator) * 2.4 - 1.2 - o
    t = enter_distance(shape, o, d, torch.tensor([taper]))
    hit = ~t.isinf()
    assert 0.2 < hit.float().mean() < 0.98
    at = (o + d * t.nan_to_num(posinf=0)[..., None])[hit]
    np.testing.assert_allclose(level(shape, at, taper), 1.0, atol=1e-4)
    # Along the whole ray: what was called a miss meets nothing, a hit nothing before t.
    steps = torch.linspace(0, 2, 400)[:, None, None]
    along = level(shape, o[0] + d[0] * steps, taper)
    before = (steps[..., 0] < t[0] - 1e-3) | t[0].isinf()
    assert along[before].min() > 1 - 2e-3


@pytest.mark.parametrize(('shape', 'taper'), SOLIDS)
def test_normal_is_the_gradient(shape, taper):
    builder = Builder(np.random.default_rng(0))
    builder.add(shape, (0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), taper=taper)
    generator = torch.Generator().manual_seed(4)
    o = torch.randn(1, 500, 3, generator=generator) * 3
    o = o[:, o[0].norm(dim=-1) > 2]
    t = enter_distance(shape, o, -o, torch.tensor([taper]))
    p = (o * (1 - t[..., None]))[0].requires_grad_()
    (gradient,) = torch.autograd.grad(level(shape, p, taper).sum(), p)
    normal = unit_normal(builder.build(), torch.zeros(1, len(p), dtype=torch.int64), p[None])[0]
    normal = normal / normal.norm(dim=-1, keepdim=True)
    cosine = (normal * gradient).sum(-1) / gradient.norm(dim=-1)
    # On an edge either face is right.
    assert (cosine > 0.999).float().mean() > 0.98
    assert (normal * o[0]).sum(-1).detach().median() > 0  # outward


def test_leaves_tear_holes_into_the_rim_only():
    builder = Builder(np.random.default_rng(0))
    builder.add(Shape.ELLIPSOID, (0, 0, 0), (2, 2, 2), (0, 1, 0), material=Material.FOLIAGE)
    solids = builder.build()
    offset = torch.linspace(-0.999, 0.999, 401)
    o = torch.stack([torch.full_like(offset, -3.0), offset, 0.3 * offset.cos()], -1)[None]
    d = torch.tensor([1.0, 0, 0]).expand_as(o)
    entry = enter_distance(Shape.ELLIPSOID, o, d, torch.zeros(1))
    torn = ragged(solids, torch.tensor([0]), o, d, entry)
    kept = ~torn.isinf()
    assert torch.equal(torn[kept], entry[kept])
    hit = ~entry.isinf()
    assert kept[hit & (offset.abs() < 0.3)].all()
    rim = hit & (offset.abs() > 0.85)
    assert 0.2 < kept[rim].float().mean() < 0.9
