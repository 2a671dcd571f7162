"""A clear frame as the formulas of light need it: linear, metric, with road and sky told apart."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.checks import check_image, check_intrinsics
from ssd_depth_core.gdt.procedural.config import ProceduralConfig
from ssd_depth_core.gdt.procedural.guided import guided
from ssd_depth_core.gdt.procedural.linear_light import to_linear
from ssd_depth_core.gdt.procedural.road import find_road, level_road, RoadPlane
from ssd_depth_core.gdt.translator import Request

FARTHEST_M = 2000.0
"""The sky's depth in formulas, and the most of any depth: no air of ours is clear so far."""
_GROUND_M = (0.25, 0.5)
"""Height over the road up to which all, and from which nothing, counts as ground; a network's
error of 10 % in depth is 0.15 m of it at any distance."""
LUMA = (0.2126, 0.7152, 0.0722)
"""Of linear sRGB, ITU-R BT.709."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Hold one clear frame."""

    light: NDArray[np.float32]
    """(H, W, 3) linear RGB in [0, 1]."""
    luma: NDArray[np.float32]
    """(H, W) its luminance."""
    depth: NDArray[np.float32]
    """(H, W) [m]; `FARTHEST_M` for the sky."""
    height: NDArray[np.float32]
    """(H, W) of each point over the road's plane [m]."""
    ground: NDArray[np.float32]
    """(H, W) share of each pixel that is road or ground, in [0, 1]."""
    sky: NDArray[np.float32]
    """(H, W) share of each pixel that is sky, in [0, 1]; its edges are the picture's."""
    road: RoadPlane
    """Metric."""
    K: NDArray[np.float64]
    """(3, 3), pixels."""


def scene_of(request: Request, config: ProceduralConfig) -> Scene | None:
    """Read a frame.

    Relative depth becomes metric by the road: the plane that it shows lies
    `config.camera_height_m` below the lens. A depth network's unknown shift, if any, is taken as
    0, so that the sky stays infinitely far.

    Args:
        request: The frame with its depth.
        config: How high the camera is and where the sky begins.

    Returns:
        The scene; None where depth is relative and no road is seen that could tell its unit.

    Raises:
        TypeError: If the picture is not uint8.
        ValueError: If picture, depth or K have wrong shapes, or depth is negative or not finite.
    """
    check_image(request.picture, 'picture')
    check_intrinsics(request.K)
    inverse_depth = request.depth.inverse_depth
    if inverse_depth.shape != request.picture.shape[:2]:
        raise ValueError(
            f'inverse_depth must have the shape of the picture, {request.picture.shape[:2]}, '
            f'got {inverse_depth.shape}; resize it first'
        )
    # One pass: NaN fails both comparisons.
    if not (inverse_depth.min() >= 0 and inverse_depth.max() < np.inf):
        raise ValueError('inverse_depth must be finite and >= 0; give 0 where it is the sky')
    road = find_road(inverse_depth, request.K)
    if request.depth.metric:
        road = road or level_road(request.K, config.camera_height_m)
    elif road is None:
        return None
    else:
        unit = config.camera_height_m / road.camera_height
        inverse_depth = inverse_depth / np.float32(unit)
        a, b, c = (value / unit for value in road.coefficients)
        road = RoadPlane((a, b, c), config.camera_height_m)
    return _scene(to_linear(request.picture), inverse_depth, road, request.K, config.sky_from_m)


def _scene(
    light: NDArray[np.float32],
    inverse_depth: NDArray[np.float32],
    road: RoadPlane,
    K: NDArray[np.float64],
    sky_from_m: float,
) -> Scene:
    luma = cv2.transform(light, np.array([LUMA], np.float32))
    flat = road.inverse_depth(*inverse_depth.shape)
    sky = ((inverse_depth < 1 / sky_from_m) & (flat < 0)).astype(np.float32)
    sky = np.clip(guided(sky, np.sqrt(luma), 1 / 80, 0.02), 0, 1)
    depth = 1 / np.maximum(inverse_depth * (1 - sky), np.float32(1 / FARTHEST_M))
    # n . P = h on the road; a point above it has less of it by its height.
    height = np.float32(road.camera_height) * (1 - flat * depth)
    full, none = _GROUND_M
    ground = np.clip((none - np.abs(height)) / np.float32(none - full), 0, 1) * (flat > 0)
    return Scene(light, luma, depth, height, ground.astype(np.float32), sky, road, K)
