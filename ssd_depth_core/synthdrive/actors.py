"""Everything that moves in a drive but the car, where it is at an instant.

All of it is worked out when the drive is drawn, so that a frame costs no more than looking it up,
and any frame can be rendered on its own.
"""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive.bodies import CATEGORIES
from ssd_depth_core.synthdrive.casting import cast_traffic, VIEW_M
from ssd_depth_core.synthdrive.primitives import concatenate, Primitives
from ssd_depth_core.synthdrive.sensors import ActorBox
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.trajectory import Path
from ssd_depth_core.synthdrive.world import CityStyle, PAVEMENT_HEIGHT_M
import torch

STANDING_MPS = 0.2
"""What is slower counts as standing in the annotations."""
_BLINK_S = 0.05
"""Velocities are differences over twice this time."""

Float = NDArray[np.float64]


class Actors:
    """Give what moves around the car."""

    def __init__(
        self, style: CityStyle, path: Path, seed: int, end_s: float, terrain: Terrain = FLAT
    ) -> None:
        """Draw who is there and where they go.

        Args:
            style: Of the city.
            path: The car's way, at least 200 m longer than it comes.
            seed: Of the drive.
            end_s: The last instant that is asked for, since the car set out.
            terrain: That all stand on.
        """
        cast = cast_traffic(style, path, seed, end_s, terrain)
        self.motion = cast.motion
        """Of the car along its path, behind whoever drives ahead."""
        self.bodies = cast.bodies
        self._path, self._streams, self._terrain = path, cast.streams, terrain
        self._kinds = np.array([body.kind for body in cast.bodies])
        self._solids = concatenate([body.solids for body in cast.bodies])
        # Between two roads a walker steps down to them; that is 13 cm nobody will miss.
        self._heights = np.where(self._kinds == 'pedestrian', PAVEMENT_HEIGHT_M, 0.0)

    def on_sheet(self, t: float) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Give where everyone is on the sheet of street coordinates.

        Args:
            t: Since the car set out [s].

        Returns:
            Places (A, 2) [m], headings (A,) [rad], and who is in view of the car (A,).
        """
        xy, yaw, there = (
            np.concatenate(parts)
            for parts in zip(*(stream.at(t) for stream in self._streams), strict=True)
        )
        own, _ = self._path.at(self.motion.at(t)[0])
        return xy, yaw, there & (np.hypot(*(xy - own).T) < VIEW_M)

    def at(self, t: float) -> Primitives:
        """Give the solids of everyone in view.

        Args:
            t: Since the car set out [s].

        Returns:
            In the world, float32 on the CPU.
        """
        xy, yaw, seen = self.on_sheet(t)
        place, turn = self._placed(xy, yaw)
        solids = self._solids.select(torch.as_tensor(seen)[self._solids.actor])
        return solids.moved(
            torch.as_tensor(place, dtype=torch.float32),
            torch.as_tensor(turn, dtype=torch.float32),
        )

    def motions(self, t: float, seconds: float) -> Float:
        """Say how everyone moves.

        Args:
            t: Since the car set out [s].
            seconds: For how long.

        Returns:
            (A, 4, 4): takes places on actor i in the world at `t` to where they are later.
        """
        placed = (self._placed(*self.on_sheet(when)[:2]) for when in (t, t + seconds))
        (place, turn), (later, turned) = placed
        T = np.tile(np.eye(4), (len(place), 1, 1))
        T[:, :3, :3] = turned @ turn.swapaxes(1, 2)
        T[:, :3, 3] = later - (T[:, :3, :3] @ place[..., None])[..., 0]
        return T

    def boxes(self, t: float) -> tuple[ActorBox, ...]:
        """Give the boxes of everyone in view.

        Args:
            t: Since the car set out [s].

        Returns:
            In the world, by instance.
        """
        xy, yaw, seen = self.on_sheet(t)
        place, turn = self._placed(xy, yaw)
        before, after = (self._placed(*self.on_sheet(t + s)[:2])[0] for s in (-_BLINK_S, _BLINK_S))
        velocity = (after - before) / (2 * _BLINK_S)
        found = []
        for i in np.flatnonzero(seen):
            body = self.bodies[i]
            T = np.eye(4)
            T[:3, :3] = turn[i]
            T[:3, 3] = place[i] + turn[i] @ (body.low + body.high) / 2
            length, width, height = (body.high - body.low).tolist()
            stands = bool(np.linalg.norm(velocity[i]) < STANDING_MPS)
            found.append(
                ActorBox(
                    instance=int(i), category=CATEGORIES[body.kind],
                    attribute=_attribute(body.kind, stands), T_world_box=T,
                    size=(width, length, height), velocity=tuple(velocity[i].tolist()),
                )
            )  # fmt: skip
        return tuple(found)

    def _placed(self, xy: Float, yaw: Float) -> tuple[Float, Float]:
        """Put everyone on the ground; give origins (A, 3) and rotations (A, 3, 3)."""
        return self._terrain.frames(xy, yaw, self._heights, self._kinds != 'pedestrian')


def _attribute(kind: str, stands: bool) -> str:
    """Say in nuScenes' words what something does."""
    if kind == 'cyclist':
        return 'cycle.with_rider'
    if kind == 'pedestrian':
        return 'pedestrian.standing' if stands else 'pedestrian.moving'
    return 'vehicle.stopped' if stands else 'vehicle.moving'
