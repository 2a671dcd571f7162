"""A wet road: darker, and a mirror of what stands on it."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.gdt.procedural.ground_noise import ground_noise, road_points, WORK_HEIGHT_PX
from ssd_depth_core.gdt.procedural.mixing import scaled
from ssd_depth_core.gdt.procedural.scene import Scene

_DARKER = 0.5
"""Share of the light that a film of water keeps in the asphalt."""
_ROUGHNESS_RAD = 0.05
"""By which the facets of a wet road spread reflections upwards and downwards."""
_PUDDLE_M = 2.5
_STANDING_M = 0.25
"""Height from which things are mirrored; the road itself would only mirror its own noise."""


def wet_road(
    light: NDArray[np.float32], scene: Scene, wetness: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Wet the ground.

    Args:
        light: (H, W, 3) linear: how the scene is lit when dry.
        scene: Where the ground is.
        wetness: In [0, 1].
        rng: Of the picture: where puddles lie.

    Returns:
        (H, W, 3); as given where there is no ground.
    """
    height, width = scene.depth.shape
    still = mirrored(light, scene)
    right, ahead = road_points(scene)
    puddles = ground_noise(right, ahead, _PUDDLE_M, rng) + ground_noise(right, ahead, 0.7, rng)
    puddle = np.clip(puddles, 0, 1)[..., None]
    work = still.shape[0] / height
    # What stands higher than the picture is taken to look like its top.
    higher = cv2.resize(light[: max(1, height // 10)], (still.shape[1], 1)).mean((0, 1))
    pool = _smeared(still, max(1, round(still.shape[0] / 90)), higher)
    rough = _smeared(still, max(1, round(_ROUGHNESS_RAD * scene.K[1, 1] * work)), higher)
    image = rough + puddle * (pool - rough)
    # Schlick's law of Fresnel, blunted because the facets of a road tilt every way; the road's
    # cosine is the camera's height over the distance.
    cosine = scene.road.camera_height / np.hypot(np.hypot(right, ahead), scene.road.camera_height)
    share = (0.03 + 0.97 * (1 - cosine) ** 4) * (0.55 + 0.4 * puddle[..., 0])
    mirror, image = (
        cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
        for values in (share, image)
    )
    wet = scene.ground * np.float32(wetness)
    mirror *= wet
    kept = 1 - mirror - np.float32(_DARKER) * wet * (1 - mirror)
    return scaled(light, kept) + scaled(image, mirror)


def mirrored(light: NDArray[np.float32], scene: Scene) -> NDArray[np.float32]:
    """Mirror everything in the road's plane.

    A point y above the road is seen as far below it: 2 f y / Z pixels further down. Points go
    there from far to near, so that near ones hide far ones.

    Args:
        light: (H, W, 3) linear.
        scene: Depth and road.

    Returns:
        (h, w, 4), smaller: what the road would show were it all a mirror, and 1 where it would
        show anything.
    """
    height, width = scene.depth.shape
    factor = min(1.0, WORK_HEIGHT_PX / height)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
    depth, above = (
        cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
        for values in (scene.depth, scene.height)
    )
    shift = np.float32(2 * scene.K[1, 1] * factor) * above / depth
    row = np.arange(size[1], dtype=np.float32)[:, None] + shift
    shown = np.flatnonzero((above > _STANDING_M) & (row < size[1] - 0.5))
    shown = shown[np.argsort(-depth.ravel()[shown], kind='stable')]
    target = np.rint(row.ravel()[shown]).astype(np.int64) * size[0] + shown % size[0]
    image = np.zeros((size[1] * size[0], 4), np.float32)
    image[target, :3] = small.reshape(-1, 3)[shown]
    image[target, 3] = 1
    return image.reshape(size[1], size[0], 4)


def _smeared(
    image: NDArray[np.float32], reach_px: int, higher: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Draw a mirror image out up and down, (h, w, 3), and fill what it does not show."""
    side = 2 * reach_px + 1
    for _ in range(2):  # two boxes make a triangle
        image = cv2.blur(image, (3, side))
    unknown = np.float32(0.02)
    return np.asarray((image[..., :3] + unknown * higher) / (image[..., 3:] + unknown))
