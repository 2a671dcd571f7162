import numpy as np
import pytest
from real_data import RealFrame
import trivial


def frame(uv: list[tuple[float, float]], **fields: object) -> RealFrame:
    values = {
        'dataset': 'DDAD',
        'channel': 'CAMERA_01',
        'name': 'a',
        'image': np.zeros((101, 201, 3), np.uint8),
        'K': np.array([[100.0, 0.0, 100.0], [0.0, 100.0, 50.0], [0.0, 0.0, 1.0]]),
        'uv': np.array(uv),
        'truth': np.ones(len(uv)),
        'height_m': 1.5,
        'down_camera': np.array([0.0, 1.0, 0.0]),
    }
    return RealFrame(**(values | fields))


def test_constant_is_the_same_everywhere() -> None:
    guess = trivial.constant(frame([(0, 0), (200, 100)]))
    np.testing.assert_array_equal(guess, [trivial.CONSTANT_M] * 2)


def test_road_of_a_level_camera_lies_at_f_h_over_rows_below_the_horizon() -> None:
    # 100 px * 1.5 m / 50 rows = 3 m, whatever the column; 10 rows below the horizon 15 m.
    guess = trivial.walled_road(frame([(0, 100), (150, 100), (100, 60)]))
    np.testing.assert_allclose(guess, [3.0, 3.0, 15.0])


def test_wall_stands_from_30_m_and_above_the_horizon() -> None:
    guess = trivial.walled_road(frame([(100, 50), (100, 20), (100, 54)]))  # the last: 37.5 m
    np.testing.assert_allclose(guess, 30.0)


def test_pitch_tilts_the_road() -> None:
    # 45 degrees down: the principal ray meets the ground after 1.5 sqrt(2) m, all of it depth.
    down = np.array([0.0, 1.0, 1.0]) / np.sqrt(2.0)
    guess = trivial.walled_road(frame([(100, 50)], down_camera=down))
    assert guess[0] == pytest.approx(1.5 * np.sqrt(2.0))
