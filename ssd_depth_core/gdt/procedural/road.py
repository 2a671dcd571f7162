"""The plane of the road, found in inverse depth, where every plane is a linear function.

A point n . P = h of a plane, seen at pixel (u, v) with P = Z K^-1 (u, v, 1), has
1/Z = a u + b v + c with (a, b, c) K^-1... = n / h: three numbers that a picture of inverse depth
shows directly, whatever its unit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SAMPLES = 40
"""Along each side of the grid on which the plane is looked for."""
_TRIALS = 256
"""Planes through three samples each: a third of road among them is found with p > 0.9999."""
_TOLERANCE = 0.04
"""Share of the inverse depth by which a sample of the road may be off."""
_LEAST_SHARE = 0.25
"""Of the samples must lie on the plane, or there is no road to be seen."""
_LEAST_UPRIGHT = 0.9
"""Cosine between the plane's normal and the picture's vertical: a camera is hardly rolled."""


@dataclass(frozen=True, slots=True)
class RoadPlane:
    """Hold the road ahead, flat."""

    coefficients: tuple[float, float, float]
    """a, b, c of its inverse depth a u + b v + c at pixel (u, v), in the depth's own unit."""
    camera_height: float
    """Of the lens above it, in the inverse unit; metres where the depth is metric."""

    def inverse_depth(self, height: int, width: int) -> NDArray[np.float32]:
        """Give what a picture of nothing but this plane would show.

        Args:
            height: Of the picture, pixels.
            width: Of the picture, pixels.

        Returns:
            (height, width); negative above the horizon.
        """
        a, b, c = (np.float32(value) for value in self.coefficients)
        u, v = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        return a * u + (b * v + c)[:, None]


def level_road(K: NDArray[np.float64], camera_height_m: float) -> RoadPlane:
    """Give the plane below a camera that is neither pitched nor rolled.

    Args:
        K: (3, 3), pixels.
        camera_height_m: Of the lens above it.

    Returns:
        The plane, metric.
    """
    b = 1 / (K[1, 1] * camera_height_m)
    return RoadPlane((0.0, float(b), float(-b * K[1, 2])), camera_height_m)


def find_road(inverse_depth: NDArray[np.float32], K: NDArray[np.float64]) -> RoadPlane | None:
    """Fit the plane on which most of the picture's lower middle lies.

    RANSAC over a fixed grid with fixed draws, then least squares: cars and kerbs on the road do
    not tilt it.

    Args:
        inverse_depth: (H, W), any unit, near is large.
        K: (3, 3), pixels.

    Returns:
        The plane in the inverse depth's unit; None where no plausible one is seen.
    """
    height, width = inverse_depth.shape
    rows = np.linspace(0.55 * height, height - 1, _SAMPLES).astype(int)
    columns = np.linspace(0.2 * width, 0.8 * width - 1, _SAMPLES).astype(int)
    v, u = (grid.ravel() for grid in np.meshgrid(rows, columns, indexing='ij'))
    seen = inverse_depth[v, u].astype(np.float64)
    v, u, seen = v[seen > 0], u[seen > 0], seen[seen > 0]
    if len(seen) < 3:
        return None
    # Divided by what is seen, every equation's residual is the relative error.
    system = np.stack([u, v, np.ones_like(u)], 1) / seen[:, None]  # (N, 3)
    chosen = np.random.default_rng(0).integers(len(seen), size=(_TRIALS, 3))
    triples = system[chosen]  # (trials, 3, 3)
    solid = np.abs(np.linalg.det(triples)) > 1e-9 * np.abs(triples).max() ** 3
    planes = np.linalg.solve(triples[solid], np.ones((int(solid.sum()), 3, 1)))[..., 0]
    planes = planes[[_upright(plane, K) for plane in planes]]
    if not len(planes):
        return None
    fits = np.abs(planes @ system.T - 1) < _TOLERANCE  # (trials, N)
    best = fits[fits.sum(1).argmax()]
    if best.mean() < _LEAST_SHARE:
        return None
    plane = np.linalg.lstsq(system[best], np.ones(int(best.sum())), rcond=None)[0]
    a, b, c = (float(value) for value in plane)
    return RoadPlane((a, b, c), float(1 / np.linalg.norm(_normal(plane, K))))


def _normal(plane: NDArray[np.float64], K: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the normal, pointing down, over the camera's height: (a, b, c) K."""
    return plane @ K


def _upright(plane: NDArray[np.float64], K: NDArray[np.float64]) -> bool:
    normal = _normal(plane, K)
    return bool(normal[1] > _LEAST_UPRIGHT * np.linalg.norm(normal))
