import numpy as np
import pytest
from ssd_depth_core.exact_depth import decode_exact_depth, encode_exact_depth


def test_known_values():
    depth = np.array([[np.nan, 1e-6, 1.0], [255.0, 300.0, np.inf]], np.float32)
    coded = encode_exact_depth(depth)
    assert coded.dtype == np.uint16
    np.testing.assert_array_equal(coded, [[0, 1, 256], [65280, 65535, 65535]])


def test_round_trip_is_within_half_a_step():
    depth = np.linspace(0.5, 255.0, 10_000, dtype=np.float32)
    assert np.abs(decode_exact_depth(encode_exact_depth(depth)) - depth).max() <= 0.5 / 256 + 1e-5


def test_unknown_and_sky_come_back():
    decoded = decode_exact_depth(np.array([0, 65535], np.uint16))
    assert np.isnan(decoded[0])
    assert np.isposinf(decoded[1])


def test_eight_bit_picture_is_refused():
    with pytest.raises(TypeError, match='IMREAD_UNCHANGED'):
        decode_exact_depth(np.zeros((2, 2), np.uint8))
