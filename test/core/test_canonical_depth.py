import numpy as np
from ssd_depth_core.canonical_depth import metric_depth_of

NETWORK = {'canonical_focal_px': 10.0, 'max_depth_m': 100.0}


def test_depth_scales_with_the_live_focal_length():
    inverse = np.array([[0.5, 0.1]], np.float32)
    depth = metric_depth_of(inverse, focal_px=None, **NETWORK)
    np.testing.assert_allclose(depth, [[2.0, 10.0]])
    assert depth.dtype == np.float32
    np.testing.assert_allclose(metric_depth_of(inverse, focal_px=25.0, **NETWORK), [[5.0, 25.0]])


def test_range_ends_at_97_percent_of_the_canonical_maximum():
    inverse = np.array([1 / 96.9, 1 / 97.1], np.float32)
    # Twice the focal length moves the end of the range to 194 m: it is the canonical depth's.
    depth = metric_depth_of(inverse, focal_px=20.0, **NETWORK)
    np.testing.assert_allclose(depth, [193.8, np.nan], rtol=1e-6)
