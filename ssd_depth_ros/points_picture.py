"""Draw one point cloud from above, with metres to read off."""

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.runtime.colormap import colorize

PIXELS_PER_M = 12
FORWARD_M = 60
SIDEWAYS_M = 30
RING_M = 10
MARGIN = 40
_BACKGROUND, _GRID, _INK = (16, 18, 22), (58, 62, 70), (190, 194, 200)


def draw_points(xyz: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Draw points of a camera's optical frame from above: ahead is up, 10 m rings.

    Points are coloured by distance as the depth pictures are, nearer than higher ones drawn last.

    Args:
        xyz: (N, 3), x right, y down, z forward [m]; rows that are not finite are left out.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    size = (FORWARD_M * PIXELS_PER_M + 2 * MARGIN, 2 * SIDEWAYS_M * PIXELS_PER_M + 2 * MARGIN)
    canvas = np.full((*size, 3), _BACKGROUND, np.uint8)
    camera = (size[1] // 2, size[0] - MARGIN)
    _draw_rings(canvas, camera)
    points = xyz[np.isfinite(xyz).all(axis=1)]
    points = points[np.argsort(-points[:, 1])]  # the lowest first: y points down
    columns = np.rint(camera[0] + points[:, 0] * PIXELS_PER_M).astype(int)
    rows = np.rint(camera[1] - points[:, 2] * PIXELS_PER_M).astype(int)
    inside = (columns >= 1) & (columns < size[1] - 1) & (rows >= 1) & (rows < size[0] - 1)
    colours = colorize(points[inside, 2])
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):  # a point covers 2 x 2 px
        canvas[rows[inside] + down - 1, columns[inside] + right - 1] = colours
    cv2.drawMarker(canvas, camera, _INK, cv2.MARKER_TRIANGLE_UP, 14, 2, cv2.LINE_AA)
    return canvas


def _draw_rings(canvas: NDArray[np.uint8], camera: tuple[int, int]) -> None:
    font = cv2.FONT_HERSHEY_DUPLEX
    for metres in range(RING_M, FORWARD_M + 1, RING_M):
        cv2.circle(canvas, camera, metres * PIXELS_PER_M, _GRID, 1, cv2.LINE_AA)
        place = (camera[0] + 6, camera[1] - metres * PIXELS_PER_M - 5)
        cv2.putText(canvas, f'{metres} m', place, font, 0.45, _INK, 1, cv2.LINE_AA)
    cv2.line(canvas, camera, (camera[0], MARGIN), _GRID, 1, cv2.LINE_AA)
