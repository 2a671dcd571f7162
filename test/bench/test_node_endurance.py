from node_endurance import slope_per_1000
import pytest


def test_slope_is_growth_a_thousand_pictures() -> None:
    frames = [0, 500, 1000, 4000]
    assert slope_per_1000(frames, [100.0, 101.0, 102.0, 108.0]) == pytest.approx(2.0)
    assert slope_per_1000(frames, [300.0] * 4) == pytest.approx(0.0, abs=1e-9)
