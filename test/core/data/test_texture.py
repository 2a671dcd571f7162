import numpy as np
import pytest
from ssd_depth_core.data.texture import solid_texture

K = np.array([[80.0, 0, 47.5], [0, 80.0, 31.5], [0, 0, 1]])


def contrast(depth_m: float, seed: int) -> float:
    image = np.full((64, 96, 3), 120, np.uint8)
    depth = np.full((64, 96), depth_m, np.float32)
    return float(solid_texture(image, depth, K, np.random.default_rng(seed)).std())


@pytest.mark.parametrize('seed', range(4))
def test_pattern_shows_near_and_fades_far(seed):
    assert contrast(2.0, seed) > 1.0
    assert contrast(2000.0, seed) < 0.3 * contrast(2.0, seed)


def test_nothing_is_painted_where_depth_is_not_finite():
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    depth = np.full((64, 96), 5.0, np.float32)
    depth[:20], depth[20:30] = np.inf, np.nan
    painted = solid_texture(image, depth, K, np.random.default_rng(1))
    np.testing.assert_array_equal(painted[:30], image[:30])
    assert (painted[30:] != image[30:]).mean() > 0.3


def test_pattern_lies_in_space():
    """A step to the side shifts the pattern by f * step / Z pixels, as it would a real wall."""
    image = np.full((64, 96, 3), 120, np.uint8)
    depth = np.full((64, 96), 4.0, np.float32)
    moved = K.copy()
    moved[0, 2] += 20  # the wall seen by a camera 1 m further left: 80 px * 1 m / 4 m
    before = solid_texture(image, depth, K, np.random.default_rng(2))
    after = solid_texture(image, depth, moved, np.random.default_rng(2))
    np.testing.assert_array_equal(after[:, 20:], before[:, :-20])


def test_same_seed_same_picture():
    image = np.full((64, 96, 3), 120, np.uint8)
    depth = np.full((64, 96), 4.0, np.float32)
    first, second = (solid_texture(image, depth, K, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
