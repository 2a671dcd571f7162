"""From what the network gives to metres: the canonical camera undone, the sky left out."""

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.canonical_depth import BEYOND_RANGE_SHARE, metric_depth_of
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.reference_pair import output_names

# By output: what every value must be above, and the rule in words.
_RULES = {'inverse_depth': (0.0, 'finite and > 0'), 'confidence': (-np.inf, 'finite')}


def range_m(spec: ModelSpec, focal_px: float | None) -> float:
    """Tell how far depth reaches.

    Args:
        spec: Of the network.
        focal_px: Of the live camera at the network's input size; None takes the canonical one.

    Returns:
        Depth from which on `metric_depth` is NaN [m].
    """
    scale = 1.0 if focal_px is None else focal_px / spec.canonical_focal_px
    return scale * BEYOND_RANGE_SHARE * spec.max_depth_m


def metric_depth(
    inverse_depth: NDArray[np.float32], spec: ModelSpec, focal_px: float | None
) -> NDArray[np.float32]:
    """Turn canonical inverse depth into the live camera's depth.

    Args:
        inverse_depth: As the network gives it, any shape [1/m], finite and above 0.
        spec: Of the network.
        focal_px: Of the live camera at the network's input size; None takes the canonical one.

    Returns:
        Fresh array of the same shape [m]; NaN means beyond range and nothing else.
    """
    return metric_depth_of(
        inverse_depth,
        focal_px=focal_px,
        canonical_focal_px=spec.canonical_focal_px,
        max_depth_m=spec.max_depth_m,
    )


def check_outputs(outputs: dict[str, NDArray[np.float32]], spec: ModelSpec) -> None:
    """Require numbers of a network: no depth at all must not pass for depth beyond range.

    Args:
        outputs: Of the network, by name.
        spec: Of the network.

    Raises:
        ValueError: If an inverse depth is not finite and above 0, or a confidence not finite.
    """
    for name in output_names(spec):
        values = outputs[name]
        least, rule = _RULES[name]
        # Both ends are NaN where a value is, and need no mask for every picture.
        if least < values.min() and values.max() < np.inf:
            continue
        is_bad = ~(np.isfinite(values) & (values > least))
        raise ValueError(
            f'model {spec.name}: {name} must be {rule}, got {np.count_nonzero(is_bad)} of '
            f'{values.size} values that are not; the network is faulty, take another backend or '
            'export it again'
        )


def millimetres(depth: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Code depth as REP 118's 16-bit form.

    Args:
        depth: (H, W) [m]; NaN or inf where unknown.

    Returns:
        (H, W) [mm]; 0 where unknown, below half a millimetre or above 65.535 m.
    """
    with np.errstate(invalid='ignore'):
        steps = np.rint(depth * np.float32(1000))
        fits = (steps > 0) & (steps <= np.iinfo(np.uint16).max)
    return np.where(fits, steps, 0).astype(np.uint16)
