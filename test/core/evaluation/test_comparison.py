import pytest
from ssd_depth_core.evaluation.comparison import difference_rows
from ssd_depth_core.evaluation.protocol import EvaluationConfig

CONFIG = EvaluationConfig(replicates=200)


def test_equal_results_differ_by_nothing(scored):
    frames = scored({('a', 'day-clear'): (1.1, 1.2), ('b', 'night'): (1.4, 0.9)})
    for row in difference_rows(frames, frames[::-1], CONFIG):
        for figure in row.figures.values():
            assert figure.mean == 0
            if row.condition == 'all':
                assert (figure.low, figure.high) == (0, 0)


def test_a_steady_difference_is_told_in_spite_of_wide_intervals(scored):
    better = scored({('a', 'night'): (1.1,), ('b', 'night'): (1.5,), ('c', 'night'): (2.0,)})
    worse = scored({('a', 'night'): (1.2,), ('b', 'night'): (1.6,), ('c', 'night'): (2.1,)})
    night = next(r for r in difference_rows(better, worse, CONFIG) if r.condition == 'night')
    figure = night.figures['abs_rel']
    assert figure.mean == pytest.approx(-0.1)
    assert figure.low == pytest.approx(-0.1, abs=1e-5)
    assert figure.high == pytest.approx(-0.1, abs=1e-5)


def test_different_frames_are_not_compared(scored):
    two, three = scored({('a', 'night'): (1.1, 1.1)}), scored({('a', 'night'): (1.1, 1.1, 1.1)})
    with pytest.raises(ValueError, match='same frames, but 1 are in one only, e.g. a2'):
        difference_rows(two, three, CONFIG)
