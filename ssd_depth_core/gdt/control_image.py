"""The picture that tells a depth ControlNet where things stand."""

import numpy as np
from numpy.typing import NDArray


def control_image(
    inverse_depth: NDArray[np.floating], clip_percent: float = 0.0
) -> NDArray[np.uint8]:
    """Draw inverse depth as the depth ControlNets were trained to see it: near is bright.

    They saw MiDaS, whose output is inverse depth up to a scale and a shift, stretched over each
    picture's own range. That stretch undoes any scale and shift, so metric inverse depth [1/m]
    and a relative network's output give the same picture and need no unit here.

    Args:
        inverse_depth: (H, W), finite, near is large; any scale and shift.
        clip_percent: Share of the pixels at either end that may saturate, in percent, [0, 50).
            More than 0 keeps a few pixels of bonnet from darkening all the street, at the price
            of flattening them.

    Returns:
        (H, W, 3), three equal channels: 0 the farthest, 255 the nearest; 0 all over where every
        pixel is equally far.

    Raises:
        ValueError: If the map is no (H, W) or not finite, or the share is out of range.
    """
    if inverse_depth.ndim != 2 or 0 in inverse_depth.shape:
        raise ValueError(f'inverse_depth must be (H, W) with H, W >= 1, got {inverse_depth.shape}')
    if not np.isfinite(inverse_depth).all():
        raise ValueError('inverse_depth must be finite; give 0 where it is infinitely far')
    if not 0 <= clip_percent < 50:
        raise ValueError(f'clip_percent must be in [0, 50), got {clip_percent}')
    values = inverse_depth.astype(np.float64)
    far, near = np.percentile(values, (clip_percent, 100 - clip_percent))
    if near <= far:
        return np.zeros((*values.shape, 3), np.uint8)
    grey = np.rint((values.clip(far, near) - far) * (255 / (near - far))).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)
