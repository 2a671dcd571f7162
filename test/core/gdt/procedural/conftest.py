from types import SimpleNamespace

import numpy as np
import pytest
from ssd_depth_core.gdt.depth_estimator import EstimatedDepth
from ssd_depth_core.gdt.procedural import ProceduralConfig, ProceduralTranslator
from ssd_depth_core.gdt.translator import Request

HEIGHT, WIDTH = 96, 160
FOCAL_PX, CAMERA_HEIGHT_M = 120.0, 1.5
K = np.array([[FOCAL_PX, 0, 79.5], [0, FOCAL_PX, 47.5], [0, 0, 1]])


def flat_street() -> np.ndarray:
    """Give the inverse depth of a flat road, of a wall 20 m ahead on the left, and of the sky."""
    rows = np.arange(HEIGHT)[:, None]
    inverse_depth = (rows - K[1, 2]) / (FOCAL_PX * CAMERA_HEIGHT_M) * np.ones((1, WIDTH))
    wall = np.zeros_like(inverse_depth)
    wall[20:57, :60] = 1 / 20
    return np.maximum(inverse_depth, wall).clip(min=0).astype(np.float32)


@pytest.fixture
def request_for():
    """Make a request about a flat street in random colours."""

    def make(condition, *, seed=7, inverse_depth=None, metric=True, picture=None):
        if picture is None:
            picture = np.random.default_rng(1).integers(30, 200, (HEIGHT, WIDTH, 3), np.uint8)
        if inverse_depth is None:
            inverse_depth = flat_street()
        return Request(
            picture=picture,
            depth=EstimatedDepth(inverse_depth, metric),
            K=K,
            condition=condition,
            caption=None,
            seed=seed,
        )

    return make


@pytest.fixture
def translator():
    """Make a translator of some strength for every condition."""

    def make(strength=1.0, **fields):
        names = ('night', 'day-rain', 'night-rain', 'fog', 'snow', 'low-sun')
        recipes = {name: SimpleNamespace(strength=strength) for name in names}
        return ProceduralTranslator(ProceduralConfig(**fields), recipes)

    return make
