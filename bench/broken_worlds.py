"""Streets of SynthDrive with one thing changed: what a translation must not do to a scene.

A car is moved aside, a pole is gone, a building is flattened to the ground; all else stays, light
and noise too. The same edit can be rendered in every condition, since a street's solids are the
same in all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
import math
from typing import get_args, Literal

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.camera import Camera, untile
from ssd_depth_core.synthdrive.lighting import Scene
from ssd_depth_core.synthdrive.primitives import Material, Primitives, Shape
from ssd_depth_core.synthdrive.renderer import cast
import torch

Kind = Literal['moved car', 'missing pole', 'flattened building']
KINDS: tuple[Kind, ...] = get_args(Kind)

LEAST_PIXELS: dict[Kind, int] = {
    'moved car': 200,
    'missing pole': 100,
    'flattened building': 1500,
}
"""Pixels of a picture of 320 x 192 whose depth a break changes, at least."""
MOST_SHARE = 0.5
"""Of a picture that a break changes: a car moved onto the camera hides the street."""
FARTHEST_M: dict[Kind, float] = {
    'moved car': 30.0,
    'missing pole': 15.0,
    'flattened building': 40.0,
}
"""Median of the nearer depth of these pixels, before or after, at most."""
CHANGED_RATIO = 1.25
"""Of depths before and after, from which on a pixel counts as changed."""
ASIDE_M = (2.5, 4.5)
"""By which a car is moved to the left or right: about a lane."""
POLE_RADIUS_M = (0.03, 0.13)
POLE_HEIGHT_M = 2.0
"""Thinner and shorter things are no poles."""
HANGING_M = 1.45
"""What is fixed to a pole begins at this height: signs and lamps, not the cars beside it."""
FLAT = 0.12
"""Share of its height that a flattened building keeps."""
BURIED_M = 1000.0
MAX_TRIES = 6
"""Things of one kind that are tried in a frame."""
_TOUCHING_M = 0.1


@dataclass(frozen=True, slots=True)
class Break:
    """Hold one frame's scene with one thing changed."""

    kind: Kind
    scene: Scene
    changed: NDArray[np.bool_]
    """(H, W): where depth is another by `CHANGED_RATIO`."""
    depth_m: float
    """Median over these pixels of the nearer depth, before or after."""

    @property
    def pixels(self) -> int:
        """Count the changed pixels."""
        return int(self.changed.sum())


def breaks_in(scene: Scene, camera: Camera, rng: np.random.Generator) -> Iterator[Break]:
    """Break one thing of every kind that is seen well enough, chosen at random.

    Args:
        scene: The street, on the CPU.
        camera: Where from.
        rng: Of the choice, and of where a car goes.

    Yields:
        At most one break a kind.
    """
    depth, index = _cast(scene, camera)
    seen = np.unique(index[index >= 0])
    for kind in KINDS:
        found = list(_FINDERS[kind](scene.solids, seen))
        for i in rng.permutation(len(found))[:MAX_TRIES]:
            solids = _EDITS[kind](scene.solids, found[i], camera, rng)
            broken = replace(scene, solids=solids)
            after, _ = _cast(broken, camera)
            changed = np.abs(np.log(np.minimum(after, 1e4) / np.minimum(depth, 1e4)))
            changed = changed > math.log(CHANGED_RATIO)
            if not LEAST_PIXELS[kind] <= changed.sum() <= MOST_SHARE * changed.size:
                continue
            depth_m = float(np.median(np.minimum(depth, after)[changed]))
            if depth_m <= FARTHEST_M[kind]:
                yield Break(kind, broken, changed, depth_m)
                break


def _cast(scene: Scene, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Give exact depth, inf in the sky, and which solid is seen, both (H, W)."""
    hits = cast(scene.solids, camera, scene.ground())
    return untile(hits.distance, camera).numpy(), untile(hits.index, camera).numpy()


def _cars(solids: Primitives, seen: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Find what moves and has wheels on both sides, each as a mask of solids."""
    for actor in solids.actor[torch.as_tensor(seen)].unique():
        members = solids.actor == actor
        if actor >= 0 and (members & (solids.material == Material.CAR_BODY)).any():
            yield members


def _poles(solids: Primitives, seen: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Find lamp posts and signs with all that hangs on them; trees have leaves."""
    radius, height = solids.half_size[:, 0], 2 * solids.half_size[:, 2]
    thin = (radius >= POLE_RADIUS_M[0]) & (radius <= POLE_RADIUS_M[1])
    poles = thin & (height >= POLE_HEIGHT_M) & (solids.shape == Shape.CYLINDER)
    poles &= (solids.actor < 0) & (solids.rotation[:, 2, 2] > 0.95)
    for pole in seen[poles[torch.as_tensor(seen)].numpy()]:
        members = _hanging_on(solids, int(pole))
        if not (members & (solids.material == Material.FOLIAGE)).any():
            yield members


def _hanging_on(solids: Primitives, pole: int) -> torch.Tensor:
    """Collect what touches a pole high up, and what touches that: arm, lamp, sign, its face."""
    reach = (solids.rotation.abs() @ solids.half_size[..., None])[..., 0] + _TOUCHING_M / 2
    high_up = solids.center[:, 2] - reach[:, 2] > _base(solids, pole) + HANGING_M
    small = high_up & (reach.amax(1) < 1.5) & (solids.actor < 0)
    members = torch.zeros(len(solids), dtype=torch.bool)
    members[pole] = True
    for _ in range(3):
        away = (solids.center[:, None] - solids.center[members]).abs()  # (N, members, 3)
        touching = (away <= reach[:, None] + reach[members]).all(-1).any(1)
        members |= touching & small
    return members


def _base(solids: Primitives, index: int) -> float:
    return float(solids.center[index, 2] - solids.half_size[index, 2])


def _buildings(solids: Primitives, seen: NDArray[np.int64]) -> Iterator[torch.Tensor]:
    """Find houses: a high body, and all that stands or hangs within its walls and balconies."""
    wall = (solids.material == Material.FACADE) | (solids.material == Material.BRICK)
    bodies = wall & (solids.shape == Shape.BOX) & (solids.half_size.amin(1) > 1.2)
    bodies &= solids.actor < 0
    claimed = torch.zeros(len(solids), dtype=torch.bool)
    for body in seen[bodies[torch.as_tensor(seen)].numpy()]:
        if claimed[body]:
            continue
        away = (solids.center - solids.center[body]) @ solids.rotation[body]
        half = solids.half_size[body]
        inside = (away[:, :2].abs() < half[:2] + 1.3).all(1) & (solids.actor < 0)
        inside &= solids.half_size[:, :2].amax(1) < half[:2].amax() + 2.5
        # Cars, bushes and posts before the house stay.
        inside &= (
            (solids.material == Material.FACADE)
            | (solids.material == Material.BRICK)
            | (solids.center[:, 2] > solids.center[body, 2] - half[2] + 1.0)
        )
        claimed |= inside
        yield inside


def _move_aside(
    solids: Primitives, members: torch.Tensor, camera: Camera, rng: np.random.Generator
) -> Primitives:
    right = camera.T_world_camera[:3, 0] * torch.tensor([1.0, 1.0, 0.0])
    aside = float(rng.choice([-1, 1]) * rng.uniform(*ASIDE_M))
    center = solids.center.clone()
    center[members] += right / right.norm() * aside
    return replace(solids, center=center)


def _remove(
    solids: Primitives, members: torch.Tensor, camera: Camera, rng: np.random.Generator
) -> Primitives:
    # Buried and not taken out: leaves are drawn by their solid's number, which must not change.
    center = solids.center.clone()
    center[members, 2] -= BURIED_M
    return replace(solids, center=center)


def _flatten(
    solids: Primitives, members: torch.Tensor, camera: Camera, rng: np.random.Generator
) -> Primitives:
    center, half = solids.center.clone(), solids.half_size.clone()
    reach = (solids.rotation.abs() @ half[..., None])[..., 2, 0]
    base = float((center[:, 2] - reach)[members].amin())
    center[members, 2] = base + FLAT * (center[members, 2] - base)
    half[members, 2] *= FLAT
    return replace(solids, center=center, half_size=half)


_FINDERS = {'moved car': _cars, 'missing pole': _poles, 'flattened building': _buildings}
_EDITS = {'moved car': _move_aside, 'missing pole': _remove, 'flattened building': _flatten}
