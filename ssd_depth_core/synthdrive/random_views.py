"""Single pictures from random cameras in random cities: what a first student is trained on.

A network that is to work in a street, a car and a camera it has never seen must not find the same
ones twice: city, traffic, light, sensor, focal length, height and direction of the camera are all
drawn anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RenderedCondition
from ssd_depth_core.geometry.pose import invert, transform_from_euler
from ssd_depth_core.synthdrive.camera import Camera
from ssd_depth_core.synthdrive.imaging import AutoExposure, draw_sensor, expose
from ssd_depth_core.synthdrive.lighting import Geometry, Scene
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.precipitation import draw_precipitation, fall
from ssd_depth_core.synthdrive.primitives import concatenate, Primitives
from ssd_depth_core.synthdrive.rig import OPTICAL
from ssd_depth_core.synthdrive.sky import draw_sky
from ssd_depth_core.synthdrive.terrain import FLAT, Terrain
from ssd_depth_core.synthdrive.traffic import clutter, traffic
from ssd_depth_core.synthdrive.world import City, LANE_WIDTH_M
import torch

VIEWS_PER_CITY = 6
"""Pictures from one city: growing it costs about as much as one picture."""


@dataclass(frozen=True, slots=True)
class RandomView:
    """Hold one place and camera."""

    city_seed: int
    x: float
    y: float
    yaw: float
    """Of the car [m, m, rad]."""
    K: NDArray[np.float64]
    """(3, 3), pixels."""
    T_world_camera: NDArray[np.float64]
    """(4, 4)."""
    clutter: bool
    """Whether shapes that no street has are strewn about."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Hold pixel-aligned pictures of one view, their exact depth and what they show."""

    view: RandomView
    images: dict[RenderedCondition, NDArray[np.uint8]]
    """(H, W, 3) RGB by condition."""
    depth: NDArray[np.float32]
    """(H, W) [m]; inf for the sky."""
    classes: NDArray[np.uint8]
    """(H, W), places in `SURFACE_CLASSES`."""


def draw_view(city: City, seed: int, height: int, width: int) -> RandomView:
    """Draw where a camera stands, in street coordinates, and what kind it is.

    Args:
        city: Where.
        seed: Of the draw.
        height: Of the picture, pixels.
        width: Of the picture, pixels.

    Returns:
        The view.
    """
    rng = np.random.default_rng([seed, 20])
    style = city.style
    axis = int(rng.integers(2))
    half = style.half_road[axis]
    direction = int(rng.choice([-1, 1]))
    side = style.drive_side * direction * (1 if axis == 0 else -1)
    lane = int(rng.integers(max(1, int((half - 0.2) / LANE_WIDTH_M))))
    across = side * (lane + 0.5) * LANE_WIDTH_M + rng.normal(0.0, 0.4)
    if rng.random() < 0.1:  # from a pavement
        across = side * (half + 0.8)
    along = rng.uniform(-1.5, 1.5) * style.pitch[axis]
    x, y = (along, across) if axis == 0 else (across, along)
    yaw = (0.0 if direction > 0 else np.pi) + (np.pi / 2 if axis else 0.0)
    # Most cameras look ahead or back; a third look anywhere, as the side cameras of a rig.
    look = yaw + (np.pi if rng.random() < 0.15 else 0.0) + rng.normal(0.0, 0.12)
    if rng.random() < 0.35:
        look = rng.uniform(-np.pi, np.pi)
    pitch, roll = rng.normal(0.0, 0.05), rng.normal(0.0, 0.02)
    focal = width * np.exp(rng.uniform(np.log(0.5), np.log(1.25)))
    aspect = np.exp(rng.normal(0.0, 0.04))
    cx = (width - 1) / 2 + width * rng.normal(0.0, 0.02)
    cy = (height - 1) / 2 + height * rng.normal(0.0, 0.04)
    K = np.array([[focal, 0.0, cx], [0.0, focal * aspect, cy], [0.0, 0.0, 1.0]])
    T = transform_from_euler((x, y, rng.uniform(1.15, 2.1), roll, pitch, look))
    T[:3, :3] = T[:3, :3] @ OPTICAL
    return RandomView(style.seed, x, y, yaw, K, T, bool(rng.random() < 0.3))


def on_terrain(view: RandomView, terrain: Terrain) -> RandomView:
    """Drive a camera's car from the sheet onto the ground.

    Args:
        view: In street coordinates.
        terrain: That its city stands on.

    Returns:
        The view in the world; on flat ground the same.
    """
    if terrain.flat:
        return view
    place = np.array([view.x, view.y])
    T = terrain.pose(place, view.yaw)
    T_ego_camera = invert(FLAT.pose(place, view.yaw)) @ view.T_world_camera
    x, y, yaw = T[0, 3], T[1, 3], np.arctan2(T[1, 0], T[0, 0])
    return replace(view, x=float(x), y=float(y), yaw=float(yaw), T_world_camera=T @ T_ego_camera)


def random_pictures(
    city_seed: int,
    conditions: tuple[tuple[RenderedCondition, ...], ...],
    height: int,
    width: int,
    device: torch.device,
    noise: NoiseBank,
    queue_odds: float = 0.0,
    terrain: Terrain = FLAT,
) -> Iterator[Picture]:
    """Render several views of one city.

    A view whose camera stands inside something is drawn again.

    Args:
        city_seed: Of the city and of all its views.
        conditions: What to render, one tuple a view.
        height: Pixels.
        width: Pixels.
        device: Where to render.
        noise: Texture source on the device.
        queue_odds: Probability that a car stands close ahead of the camera's.
        terrain: That the city stands on.

    Yields:
        One picture a view, in order.
    """
    city = City(city_seed, terrain)
    attempt = 0
    for wanted in conditions:
        while True:
            view_seed = city_seed * 1000 + attempt
            attempt += 1
            view = draw_view(city, view_seed, height, width)
            place = (view.x, view.y)
            things = [traffic(city.style, view_seed, *place, view.yaw, queue_odds, terrain)]
            if view.clutter:
                things.append(clutter(view_seed, *place, terrain))
            T_world_ego = terrain.pose(np.array(place), view.yaw)
            view = on_terrain(view, terrain)
            geometry = _geometry(city, view, things, height, width, device, noise)
            depth = geometry.depth().cpu().numpy()
            if np.quantile(depth, 0.1) > 1.0 and np.median(depth) > 2.5:
                break
        images: dict[RenderedCondition, NDArray[np.uint8]] = {}
        for condition in wanted:
            generator = torch.Generator().manual_seed(view_seed)
            sky = draw_sky(condition, view_seed)
            radiance = geometry.radiance(sky, T_world_ego)
            sensor = draw_sensor(condition, generator)
            weather = draw_precipitation(condition, generator)
            exposure = AutoExposure(sensor).step(0.0, radiance)
            K, far = geometry.camera.K, geometry.depth()
            radiance = fall(radiance, far, K, exposure.time_s, weather, generator)
            image = expose(radiance, K, exposure, sensor, generator)
            images[condition] = image.cpu().numpy()
        yield Picture(view, images, depth, geometry.classes().cpu().numpy())


def _geometry(
    city: City,
    view: RandomView,
    things: list[Primitives],
    height: int,
    width: int,
    device: torch.device,
    noise: NoiseBank,
) -> Geometry:
    """Build the scene around a view and cast its rays."""
    solids, lamps = city.near(view.x, view.y)
    camera = Camera(
        torch.as_tensor(view.K, dtype=torch.float32, device=device),
        torch.as_tensor(view.T_world_camera, dtype=torch.float32, device=device),
        height,
        width,
    )
    everything = concatenate([solids, *things]).to(device)
    scene = Scene(everything, lamps, city.style, city.terrain)
    return Geometry(scene, camera, noise)
