"""A wet road: darker, and a mirror of what stands on it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.scene import Scene

_DARKER = 0.5
"""Share of the light that a film of water keeps in the asphalt."""
_WORK_HEIGHT_PX = 225
"""At which mirror images are made: rough water blurs them more than that."""


def wet_road(light: NDArray[np.float32], scene: Scene, wetness: float) -> NDArray[np.float32]:
    """Wet the ground.

    Args:
        light: (H, W, 3) linear: how the scene is lit when dry.
        scene: Where the ground is.
        wetness: In [0, 1].

    Returns:
        (H, W, 3); as given where there is no ground.
    """
    share = scene.ground * np.float32(wetness)
    # Fresnel's law by Schlick, blunted because the facets of a road tilt every way.
    cosine = np.clip(scene.road.camera_height / _range(scene), 0, 1)
    mirror = (0.03 + 0.97 * (1 - cosine) ** 4) * share * np.float32(0.7)
    image = mirrored(light, scene)
    dark = light * (1 - np.float32(_DARKER) * share * (1 - mirror))[..., None]
    return dark + (image - dark) * mirror[..., None]


def _range(scene: Scene) -> NDArray[np.float32]:
    """Give the distance of every point from the lens [m]."""
    height, width = scene.depth.shape
    u = ((np.arange(width) - scene.K[0, 2]) / scene.K[0, 0]).astype(np.float32)
    v = ((np.arange(height) - scene.K[1, 2]) / scene.K[1, 1]).astype(np.float32)
    return scene.depth * np.sqrt(1 + u**2 + (v**2)[:, None])


def mirrored(light: NDArray[np.float32], scene: Scene) -> NDArray[np.float32]:
    """Mirror everything in the road's plane.

    A point y above the road is seen as far below it: 2 f y / Z pixels further down. Points go
    there from far to near, so that near ones hide far ones, and the picture is then drawn out up
    and down, as a rough road does, which fills its gaps.

    Args:
        light: (H, W, 3) linear.
        scene: Depth and road.

    Returns:
        (H, W, 3): what the road would show were it all a mirror.
    """
    height, width = scene.depth.shape
    factor = min(1.0, _WORK_HEIGHT_PX / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    depth = cv2.resize(scene.depth, size, interpolation=cv2.INTER_NEAREST)
    above = cv2.resize(scene.height, size, interpolation=cv2.INTER_NEAREST)
    rows = np.arange(size[1])[:, None]
    shift = 2 * float(scene.K[1, 1]) * factor * above / depth
    row = np.rint(np.clip(rows + shift, 0, 1e6)).astype(np.int64)
    target = row * size[0] + np.arange(size[0])
    shown = np.flatnonzero((above > 0.25) & (row < size[1]))
    shown = shown[np.argsort(-depth.ravel()[shown], kind='stable')]
    image = np.zeros((size[0] * size[1], 4), np.float32)
    source = np.concatenate([small.reshape(-1, 3), np.ones((len(image), 1), np.float32)], 1)
    image[target.ravel()[shown]] = source[shown]
    image = image.reshape(size[1], size[0], 4)
    reach = 2 * max(1, size[1] // 24) + 1
    for _ in range(2):  # two boxes make a triangle
        image = cv2.blur(image, (3, reach))
    image = image[..., :3] / np.maximum(image[..., 3:], np.float32(1e-3))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR))
