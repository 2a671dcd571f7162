"""Lit windows: what is dark glass in a wall by day shines by night, room by room."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.mixing import scaled
from ssd_depth_core.gdt.procedural.scene import Scene
from ssd_depth_core.gdt.procedural.soft import spread

_ROOM_M = (3.2, 3.0)
"""Width and height of a room: its windows are lit together."""
_LOWEST_M = 2.5
"""Windows begin above what stands in the street."""
_FARTHEST_M = 120.0
"""Walls farther away are a few pixels of a network's guess."""
_LIT = (0.1, 0.7)
"""Share of the rooms in which somebody is up."""
_RADIANCE = (0.15, 2.5)
"""Of a lit window, in the night camera's unit."""
_TINTS = np.array([(1.0, 0.72, 0.42), (1.0, 0.86, 0.66), (0.85, 0.95, 1.0)], np.float32)
"""Of lamps indoors: bulbs, warm tubes, screens."""
_GLASS = 0.35
"""By which share a pane is darker than the wall around it, to be surely one."""
_VIVID = 0.45
"""Saturation from which a dark spot is autumn's leaves; panes are grey."""
_GREEN = 1.1
"""Green over the mean of red and blue, all around, from which it is summer's."""
_BENT = 0.02
"""How far a wall's inverse depth may be off a plane's, as a share: trees are not flat."""
_LOTS = 4096
"""Rooms with a fate of their own."""


def lit_windows(scene: Scene, rng: np.random.Generator) -> NDArray[np.float32]:
    """Let windows shine.

    Args:
        scene: The clear frame, which shows panes darker than the walls around them.
        rng: Of the picture.

    Returns:
        (H, W, 3) linear radiance to be added; 0 but for panes in rooms that are lit.
    """
    share, level = rng.uniform(*_LIT), np.exp(rng.uniform(*np.log(_RADIANCE)))
    fates = rng.random(_LOTS)
    tints = _TINTS[rng.integers(len(_TINTS), size=_LOTS)]
    brightness = np.exp(rng.uniform(np.log(0.5), np.log(2.0), _LOTS)) * level * (fates < share)
    rooms = (tints * brightness[:, None]).astype(np.float32)[_room_numbers(scene)]
    return scaled(rooms, _glass(scene))


def _room_numbers(scene: Scene) -> NDArray[np.intp]:
    """Number the room behind each pixel of a wall, (H, W) in [0, `_LOTS`)."""
    width = scene.depth.shape[1]
    columns = (np.arange(width, dtype=np.float32) - scene.K[0, 2]) / scene.K[0, 0]
    right = (scene.depth * columns).astype(np.float32)
    # A wall runs along the axis on which its pixels lie farther apart.
    steps = (np.abs(cv2.Sobel(axis, cv2.CV_32F, 1, 0)) for axis in (right, scene.depth))
    across, ahead = (cv2.blur(step, (9, 9)) for step in steps)
    facing = across > ahead
    along = np.where(facing, right, scene.depth)
    room = np.floor(along / np.float32(_ROOM_M[0])).astype(np.intp)
    storey = np.floor(scene.height / np.float32(_ROOM_M[1])).astype(np.intp)
    # Primes part the walls of both sides and those that face the camera.
    return (room * 7919 + storey * 104_729 + (right > 0) * 31 + facing * 1031) % _LOTS


def _glass(scene: Scene) -> NDArray[np.float32]:
    """Tell panes, (H, W) in [0, 1]: darker than the flat wall around them, and high up."""
    wall = np.asarray(1 - scene.sky, np.float32)
    sigma = scene.depth.shape[0] / 24
    darker = (1 - scene.luma / _mean_of(scene.luma, wall, sigma)) / np.float32(_GLASS)
    inverse_depth = np.float32(1) / scene.depth  # linear along a plane, so its mean is its middle
    bent = np.abs(inverse_depth - _mean_of(inverse_depth, wall, 2.0))
    flat = 2 - bent * scene.depth / np.float32(_BENT)
    high = (scene.height - np.float32(_LOWEST_M)) / np.float32(0.5)
    near = (np.float32(_FARTHEST_M) - scene.depth) / np.float32(20.0)
    bright, dim = scene.light.max(axis=2), scene.light.min(axis=2)
    grey = 2 - 2 * (bright - dim) / np.maximum(bright, np.float32(1e-4)) / np.float32(_VIVID)
    red, green, blue = cv2.split(_mean_of(scene.light, cv2.merge((wall, wall, wall)), sigma / 2))
    leafless = 1 - (2 * green / (red + blue) - 1) / np.float32(_GREEN - 1)
    share = wall
    for cue in (darker, flat, high, near, grey, leafless):
        share = share * np.clip(cue, 0, 1)
    return np.asarray(share, np.float32)


def _mean_of(
    values: NDArray[np.float32], share: NDArray[np.float32], sigma_px: float
) -> NDArray[np.float32]:
    """Average what lies around each pixel and counts, of the shape of both."""
    least = np.float32(1e-4)
    mean = spread(values * share, sigma_px) / np.maximum(spread(share, sigma_px), least)
    return np.asarray(mean + least, np.float32)
