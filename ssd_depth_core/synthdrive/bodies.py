"""What moves in traffic, as solids and a box."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.synthdrive import props, vehicles
from ssd_depth_core.synthdrive.primitives import Builder, Primitives

CATEGORIES = {
    'car': 'vehicle.car',
    'suv': 'vehicle.car',
    'van': 'vehicle.car',
    'lorry': 'vehicle.truck',
    'bus': 'vehicle.bus.rigid',
    'cyclist': 'vehicle.bicycle',
    'pedestrian': 'human.pedestrian.adult',
}
"""nuScenes' word for each kind."""


@dataclass(frozen=True, slots=True)
class Body:
    """Hold one thing that moves."""

    kind: str
    """A key of `CATEGORIES`."""
    solids: Primitives
    """In its own frame: x forward, origin on the ground near its middle."""
    low: NDArray[np.float64]
    """(3,) corner of its box in that frame [m]."""
    high: NDArray[np.float64]
    """(3,) opposite corner [m]."""

    @property
    def length(self) -> float:
        """Give twice the way from the origin to the farther end [m]."""
        return 2 * max(float(self.high[0]), -float(self.low[0]))


def draw_body(kind: str, rng: np.random.Generator, actor: int) -> Body:
    """Build one thing that moves.

    Args:
        kind: A key of `CATEGORIES`.
        rng: Randomness.
        actor: Its number.

    Returns:
        Its solids and its box.
    """
    builder = Builder(rng)
    builder.place(0.0, 0.0, 0.0, actor=actor)
    build = {
        'bus': vehicles.bus,
        'lorry': vehicles.lorry,
        'cyclist': vehicles.cyclist,
        'pedestrian': props.pedestrian,
    }.get(kind)
    if build is not None:
        build(builder, rng)
    else:
        props.car(builder, rng, lights_on=True, kinds=(kind,))
    solids = builder.build()
    reach = (solids.rotation.abs() @ solids.half_size[..., None])[..., 0]
    low = (solids.center - reach).amin(0).double().numpy()
    high = (solids.center + reach).amax(0).double().numpy()
    return Body(kind, solids, low, high)
