from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.model_spec import ModelSpec
from ssd_depth_core.runtime.postprocess import check_outputs, metric_depth, millimetres, range_m

SPEC = ModelSpec(
    name='tiny',
    onnx_sha256='0' * 64,
    input_height=6,
    input_width=8,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    canonical_focal_px=10.0,
    training_data='none',
    training_command='none',
    metrics={},
    licence='Apache-2.0',
)


def test_depth_scales_with_the_live_focal_length() -> None:
    inverse = np.array([[0.5, 0.1]], np.float32)
    np.testing.assert_allclose(metric_depth(inverse, SPEC, None), [[2.0, 10.0]])
    np.testing.assert_allclose(metric_depth(inverse, SPEC, 25.0), [[5.0, 25.0]])


def test_range_ends_at_97_percent_of_the_canonical_maximum() -> None:
    spec = replace(SPEC, max_depth_m=100.0)
    inverse = np.array([1 / 96.9, 1 / 97.1], np.float32)
    # Twice the focal length moves the end of the range to 194 m: it is the canonical depth's.
    depth = metric_depth(inverse, spec, 20.0)
    np.testing.assert_allclose(depth, [193.8, np.nan], rtol=1e-6)
    assert range_m(spec, 20.0) == pytest.approx(194.0)
    assert range_m(spec, None) == pytest.approx(97.0)


def test_what_is_no_inverse_depth_is_an_error_that_counts_it() -> None:
    inverse = np.array([0.5, np.nan, np.inf, 0.0, -1.0], np.float32)
    good = np.array([0.5, 1e-6], np.float32)
    with pytest.raises(ValueError, match='model tiny: inverse_depth must be .* got 4 of 5 values'):
        check_outputs({'inverse_depth': inverse, 'confidence': good}, SPEC)
    with pytest.raises(ValueError, match='confidence must be finite, got 2 of 5'):
        check_outputs({'inverse_depth': good, 'confidence': inverse}, SPEC)
    check_outputs({'inverse_depth': good, 'confidence': good}, SPEC)
    check_outputs({'inverse_depth': good}, replace(SPEC, has_confidence=False))


def test_result_is_a_fresh_array() -> None:
    inverse = np.full((2, 2), 0.5, np.float32)
    depth = metric_depth(inverse, SPEC, None)
    assert not np.shares_memory(depth, inverse)
    assert depth.dtype == np.float32


def test_millimetres_by_hand() -> None:
    depth = np.array([np.nan, np.inf, -1.0, 0.0004, 1.2344, 65.535, 65.6], np.float32)
    coded = millimetres(depth)
    assert coded.dtype == np.uint16
    np.testing.assert_array_equal(coded, [0, 0, 0, 0, 1234, 65535, 0])
