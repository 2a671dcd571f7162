"""What moves in the street as rows of nuScenes' tables: annotations, instances, what they are.

A box's visibility is the share of its volume that the cameras of its sample see past nothing
nearer: of a lattice of points in it, how many fall into a picture where exact depth ends no
earlier than the box begins.
"""

from collections.abc import Sequence
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.geometry.pose import invert
from ssd_depth_core.geometry.quaternion import quaternion_of
from ssd_depth_core.synthdrive.sensors import ActorBox, CameraFrame, LidarSweep
from ssd_depth_core.synthdrive.tokens import link, token_of

VISIBILITY = ((0.4, 'v0-40'), (0.6, 'v40-60'), (0.8, 'v60-80'), (np.inf, 'v80-100'))
"""nuScenes' levels, each with its upper end; tokens are '1' to '4'."""
NEAR_M = 0.1
"""Points nearer to the camera's plane are not in the picture; and the slack of exact depth."""
_LATTICE = np.array(list(itertools.product(np.linspace(-0.4, 0.4, 5), repeat=3)), np.float64)
"""Points of a box of unit size, (125, 3), off its faces, which hardly anything fills."""

Row = dict[str, Any]
Float = NDArray[np.float64]


class Annotator:
    """Collect one scene's annotations, sample by sample."""

    def __init__(self, scene_name: str) -> None:
        """Begin with none.

        Args:
            scene_name: Part of the tokens.
        """
        self._scene_name = scene_name
        self._chains: dict[int, list[Row]] = {}  # by instance
        self._categories: dict[int, str] = {}
        self._attributes: set[str] = set()

    def add(self, sample_token: str, sweep: LidarSweep, frames: Sequence[CameraFrame]) -> None:
        """Annotate a sample.

        Args:
            sample_token: Of the sample.
            sweep: Its LiDAR key frame, whose boxes are annotated.
            frames: Its camera key frames.

        Raises:
            ValueError: If a box's instance was of another category before.
        """
        T_world_lidar = sweep.ego_pose.T_world_ego @ sweep.T_ego_lidar
        points = _moved(T_world_lidar, sweep.points[:, :3].astype(np.float64))
        for box in sweep.boxes:
            if self._categories.setdefault(box.instance, box.category) != box.category:
                raise ValueError(
                    f'{self._scene_name}: instance {box.instance} turns from '
                    f'{self._categories[box.instance]} to {box.category}'
                )
            self._attributes |= {box.attribute}
            level = np.searchsorted([end for end, _ in VISIBILITY], visible_share(box, frames))
            self._chains.setdefault(box.instance, []).append(
                {
                    'token': token_of('annotation', sample_token, box.instance),
                    'sample_token': sample_token,
                    'instance_token': token_of('instance', self._scene_name, box.instance),
                    'visibility_token': str(level + 1),
                    'attribute_tokens': [token_of('attribute', box.attribute)],
                    'translation': box.T_world_box[:3, 3].tolist(),
                    'size': list(box.size),
                    'rotation': quaternion_of(box.T_world_box).tolist(),
                    'prev': '',
                    'next': '',
                    'num_lidar_pts': int(inside(box, points).sum()),
                    'num_radar_pts': 0,
                }
            )

    def tables(self) -> dict[str, list[Row]]:
        """Give the rows.

        Returns:
            By table: annotations and instances of this scene, and the categories, attributes and
            visibilities that they refer to, whose tokens are the same in every scene.
        """
        instances = []
        for instance, chain in self._chains.items():
            link(chain)
            instances.append(
                {
                    'token': chain[0]['instance_token'],
                    'category_token': token_of('category', self._categories[instance]),
                    'nbr_annotations': len(chain),
                    'first_annotation_token': chain[0]['token'],
                    'last_annotation_token': chain[-1]['token'],
                }
            )
        levels = [
            {'token': str(number), 'level': name, 'description': f'visibility of {name[1:]} %'}
            for number, (_, name) in enumerate(VISIBILITY, 1)
        ]
        return {
            'sample_annotation': [row for chain in self._chains.values() for row in chain],
            'instance': instances,
            'category': _named('category', set(self._categories.values())),
            'attribute': _named('attribute', self._attributes),
            'visibility': levels,
        }


def inside(box: ActorBox, points: Float) -> NDArray[np.bool_]:
    """Find the points in a box.

    Args:
        box: In the world.
        points: (N, 3) in the world [m].

    Returns:
        (N,).
    """
    local = _moved(invert(box.T_world_box), points)
    return np.asarray((np.abs(local) <= _extent(box) / 2).all(1), np.bool_)


def visible_share(box: ActorBox, frames: Sequence[CameraFrame]) -> float:
    """Say how much of a box the cameras see.

    Args:
        box: In the world.
        frames: Of one instant.

    Returns:
        In [0, 1]; 0 without cameras.
    """
    lattice = _moved(box.T_world_box, _LATTICE * _extent(box))
    seen = np.zeros(len(lattice), bool)
    for frame in frames:
        T_world_camera = frame.ego_pose.T_world_ego @ frame.T_ego_camera
        in_camera = _moved(invert(T_world_camera), lattice)
        z = in_camera[:, 2]
        if z.min() < NEAR_M:  # beside or behind the camera
            continue
        u, v = np.rint((in_camera / z[:, None]) @ frame.K[:2].T).astype(int).T
        height, width = frame.depth.shape
        in_picture = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        met = frame.depth[v.clip(0, height - 1), u.clip(0, width - 1)]
        seen |= in_picture & (met >= z.min() - NEAR_M)
    return float(seen.mean())


def _extent(box: ActorBox) -> Float:
    """Give length, width and height: along the box's own axes [m]."""
    width, length, height = box.size
    return np.array([length, width, height])


def _moved(T: NDArray[np.floating], points: Float) -> Float:
    return np.asarray(points @ T[:3, :3].T + T[:3, 3], np.float64)


def _named(table: str, names: set[str]) -> list[Row]:
    return [
        {'token': token_of(table, name), 'name': name, 'description': name}
        for name in sorted(names)
    ]
