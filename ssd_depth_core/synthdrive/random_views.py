"""Single pictures from random cameras in random cities: what a first student is trained on.

A network that is to work in a street, a car and a camera it has never seen must not find the same
ones twice: city, traffic, light, sensor, focal length, height and direction of the camera are all
drawn anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import Condition
from ssd_depth_core.synthdrive.camera import Camera
from ssd_depth_core.synthdrive.imaging import draw_sensor, expose
from ssd_depth_core.synthdrive.lighting import draw_sky, Geometry, Scene
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.primitives import concatenate, Primitives
from ssd_depth_core.synthdrive.traffic import clutter, traffic
from ssd_depth_core.synthdrive.world import City, LANE_WIDTH_M
import torch

VIEWS_PER_CITY = 6
"""Pictures from one city: growing it costs about as much as one picture."""
_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # camera -> ego


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
    """Hold pixel-aligned pictures of one view and their exact depth."""

    view: RandomView
    images: dict[Condition, NDArray[np.uint8]]
    """(H, W, 3) RGB by condition."""
    depth: NDArray[np.float32]
    """(H, W) [m]; inf for the sky."""


def draw_view(city: City, seed: int, height: int, width: int) -> RandomView:
    """Draw where a camera stands and what kind it is.

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
    T = np.eye(4)
    T[:3, :3] = _turn(look, pitch, roll) @ _OPTICAL
    T[:3, 3] = (x, y, rng.uniform(1.15, 2.1))
    return RandomView(style.seed, x, y, yaw, K, T, bool(rng.random() < 0.3))


def _turn(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Give Rz(yaw) Ry(pitch) Rx(roll), (3, 3)."""
    cz, sz, cy, sy = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    cx, sx = np.cos(roll), np.sin(roll)
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1.0]])
    y = np.array([[cy, 0, sy], [0, 1.0, 0], [-sy, 0, cy]])
    x = np.array([[1.0, 0, 0], [0, cx, -sx], [0, sx, cx]])
    return z @ y @ x


def random_pictures(
    city_seed: int,
    conditions: tuple[tuple[Condition, ...], ...],
    height: int,
    width: int,
    device: torch.device,
    noise: NoiseBank,
    queue_odds: float = 0.0,
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

    Yields:
        One picture a view, in order.
    """
    city = City(city_seed)
    attempt = 0
    for wanted in conditions:
        while True:
            view_seed = city_seed * 1000 + attempt
            attempt += 1
            view = draw_view(city, view_seed, height, width)
            cars = traffic(city.style, view_seed, view.x, view.y, view.yaw, queue_odds)
            geometry = _geometry(city, view, view_seed, cars, height, width, device, noise)
            depth = geometry.depth().cpu().numpy()
            if np.quantile(depth, 0.1) > 1.0 and np.median(depth) > 2.5:
                break
        images: dict[Condition, NDArray[np.uint8]] = {}
        for condition in wanted:
            generator = torch.Generator().manual_seed(view_seed)
            sky = draw_sky(condition, view_seed)
            radiance = geometry.radiance(sky, (view.x, view.y, view.yaw))
            sensor = draw_sensor(condition, generator)
            image = expose(radiance, geometry.depth(), sensor, generator)
            images[condition] = image.cpu().numpy()
        yield Picture(view, images, depth)


def _geometry(
    city: City,
    view: RandomView,
    seed: int,
    cars: Primitives,
    height: int,
    width: int,
    device: torch.device,
    noise: NoiseBank,
) -> Geometry:
    """Build the scene around a view and cast its rays."""
    solids, lamps = city.near(view.x, view.y)
    parts = [solids, cars]
    if view.clutter:
        parts.append(clutter(seed, view.x, view.y))
    camera = Camera(
        torch.as_tensor(view.K, dtype=torch.float32, device=device),
        torch.as_tensor(view.T_world_camera, dtype=torch.float32, device=device),
        height,
        width,
    )
    scene = Scene(concatenate(parts).to(device), lamps, city.style)
    return Geometry(scene, camera, noise)
