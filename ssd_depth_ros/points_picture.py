"""Draw one point cloud twice: over the car's shoulder, and from above with metres to read off."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.runtime.colormap import colorize

HEIGHT = 720
FARTHEST_M = 60.0
"""Points beyond are left out: a monocular far end is thin and noisy, and hides the rest."""
SIDEWAYS_M = 25
RING_M = 10
_PIXELS_PER_M = (HEIGHT - 40) / FARTHEST_M
# The onlooker hovers behind the camera and looks down a little. Metres and radians.
_BEHIND_M, _ABOVE_M, _PITCH = 5.0, 5.0, 0.22
_VIEW_WIDTH, _VIEW_FOCAL_PX = 960, 720.0
_BACKGROUND, _GRID, _INK = (16, 18, 22), (58, 62, 70), (190, 194, 200)


def draw_points(xyz: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Draw the points of a camera's optical frame, coloured by distance as depth pictures are.

    Args:
        xyz: (N, 3), x right, y down, z forward [m]; rows that are not finite are left out.

    Returns:
        (H, W, 3) uint8 RGB: the view from behind on the left, from above on the right.
    """
    points = xyz[np.isfinite(xyz).all(axis=1)].astype(np.float64)
    points = points[points[:, 2] < FARTHEST_M]
    return np.hstack([_from_behind(points), _from_above(points)])


def _from_behind(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    canvas = np.full((HEIGHT, _VIEW_WIDTH, 3), _BACKGROUND, np.uint8)
    x, y, z = (points + np.array((0.0, _ABOVE_M, _BEHIND_M))).T
    down = y * np.cos(_PITCH) - z * np.sin(_PITCH)
    forward = y * np.sin(_PITCH) + z * np.cos(_PITCH)
    seen = forward > 1.0
    columns = _VIEW_WIDTH / 2 + _VIEW_FOCAL_PX * x[seen] / forward[seen]
    rows = HEIGHT / 2 + _VIEW_FOCAL_PX * down[seen] / forward[seen]
    farthest_first = np.argsort(-forward[seen])
    _splat(
        canvas,
        rows[farthest_first],
        columns[farthest_first],
        colorize(points[seen, 2])[farthest_first],
        size=3,
    )
    return canvas


def _from_above(points: NDArray[np.float64]) -> NDArray[np.uint8]:
    width = round(2 * SIDEWAYS_M * _PIXELS_PER_M)
    canvas = np.full((HEIGHT, width, 3), _BACKGROUND, np.uint8)
    camera = (width // 2, HEIGHT - 24)
    lowest_first = points[np.argsort(-points[:, 1])]
    rows = camera[1] - lowest_first[:, 2] * _PIXELS_PER_M
    columns = camera[0] + lowest_first[:, 0] * _PIXELS_PER_M
    _splat(canvas, rows, columns, colorize(lowest_first[:, 2]), size=2)
    for metres in range(RING_M, int(FARTHEST_M) + 1, RING_M):
        radius = round(metres * _PIXELS_PER_M)
        cv2.ellipse(canvas, camera, (radius, radius), 0, 180, 360, _GRID, 1, cv2.LINE_AA)
        place = (8, camera[1] - radius + 14)
        cv2.putText(
            canvas, f'{metres} m', place, cv2.FONT_HERSHEY_DUPLEX, 0.45, _INK, 1, cv2.LINE_AA
        )
    cv2.drawMarker(canvas, camera, _INK, cv2.MARKER_TRIANGLE_UP, 14, 2, cv2.LINE_AA)
    return canvas


def _splat(
    canvas: NDArray[np.uint8],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    colours: NDArray[np.uint8],
    size: int,
) -> None:
    """Paint squares in the order given, so that later points cover earlier ones."""
    height, width = canvas.shape[:2]
    top, left = np.rint(rows).astype(int), np.rint(columns).astype(int)
    inside = (top >= 0) & (top <= height - size) & (left >= 0) & (left <= width - size)
    # Index arrays keep the last of several writes to a pixel; one square's pixel after another
    # would let a far point's corner cover a near point, so all corners are written at once.
    down, right = (offset.ravel() for offset in np.mgrid[:size, :size])
    canvas[(top[inside, None] + down).ravel(), (left[inside, None] + right).ravel()] = np.repeat(
        colours[inside], size * size, axis=0
    )
