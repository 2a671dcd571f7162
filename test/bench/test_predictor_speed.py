import numpy as np
import predictor_speed
from ssd_depth_core.runtime.images import decode_image


def test_picture_is_the_same_each_time_and_of_a_cameras_size() -> None:
    jpeg = predictor_speed.street_like_jpeg()
    assert jpeg == predictor_speed.street_like_jpeg()
    assert decode_image(jpeg).shape == (900, 1600, 3)
    assert 100_000 < len(jpeg) < 200_000  # nuScenes' pictures have 130 kB to 165 kB


def test_times_are_of_the_calls() -> None:
    calls = []
    best, median, p99 = predictor_speed.times_ms(lambda: calls.append(1), 20)
    assert len(calls) == 22
    assert 0 < best <= median <= p99
    assert np.isfinite(p99)
