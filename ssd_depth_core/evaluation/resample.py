"""Read a prediction at pixels of the truth: bilinear, corners aligned, as md4all resizes."""

import numpy as np
from numpy.typing import NDArray


def sample_aligned(
    values: NDArray[np.floating],
    rows: NDArray[np.number],
    columns: NDArray[np.number],
    size: tuple[int, int],
) -> NDArray[np.float64]:
    """Resize a map to another size, at chosen pixels only.

    Equal to resizing the whole map and picking the pixels, at the cost of the pixels alone: LiDAR
    gives some thousand of a million. The centres of the corner pixels of both grids fall on each
    other (`align_corners=True`).

    A pixel is NaN if one of the neighbours that count towards it is NaN: md4all knows 'beyond
    range' as 1,000 km, whose share in an average lies beyond every range as well.

    Args:
        values: (h, w), depth [m] or confidence; NaN where unknown.
        rows: (N,) of the large grid, in [0, H - 1]; also between pixels.
        columns: (N,) of the large grid, in [0, W - 1].
        size: (H, W) of the large grid.

    Returns:
        (N,).
    """
    top, bottom, v = _neighbours(rows, size[0], values.shape[0])
    left, right, u = _neighbours(columns, size[1], values.shape[1])
    upper = values[top, left] * (1 - u) + values[top, right] * u
    lower = values[bottom, left] * (1 - u) + values[bottom, right] * u
    return np.asarray(upper * (1 - v) + lower * v)


def _neighbours(
    pixels: NDArray[np.number], target: int, source: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Give both neighbours along one axis and the weight of the second."""
    # Multiplied first: whole numbers stay whole where the sizes are equal.
    places = np.asarray(pixels * (source - 1) / max(target - 1, 1), np.float64)
    first = places.astype(np.intp)
    weight = places - first
    # Without weight the second neighbour is the first, so that its NaN or the border's lack of a
    # neighbour does not count.
    return first, first + (weight > 0), weight
