import math

import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.learning.evaluation import evaluate, table  # noqa: E402

NETWORK = {'canonical_focal_px': 240.0, 'max_depth_m': 80.0}
K = torch.tensor([[120.0, 0, 4], [0, 120, 4], [0, 0, 1]])


def sample(depth):
    truth = torch.full((1, 8, 8), depth)
    truth[0, 0], truth[0, 1] = math.nan, math.inf
    return {'image': torch.full((3, 8, 8), depth), 'depth': truth, 'K': K}


def says(factor):
    """A network that reads depth off the picture; canonical depth is twice it, for f is half."""
    return lambda image: 1 / (2 * factor * image[:, :1])


def test_truth_scores_perfectly_by_condition():
    rows = evaluate(
        says(1.0),
        {'night': [sample(5.0), sample(9.0)], 'day-clear': [sample(7.0)]},
        **NETWORK,
    )
    assert list(rows) == ['night', 'day-clear']
    perfect = {'abs_rel': 0, 'rmse': 0, 'a1': 1, 'abs_rel_scaled': 0}
    assert rows['night'] == pytest.approx({**perfect, 'n': 2}, abs=1e-5)
    assert rows['day-clear'] == pytest.approx({**perfect, 'n': 1}, abs=1e-5)


def test_a_wrong_scale_counts_in_metric_figures_alone():
    rows = evaluate(says(1.5), {'night': [sample(10.0)]}, **NETWORK)
    expected = {'abs_rel': 0.5, 'rmse': 5.0, 'a1': 0, 'abs_rel_scaled': 0, 'n': 1}
    assert rows['night'] == pytest.approx(expected, abs=1e-5)


def test_what_the_runtime_calls_beyond_range_is_scored_as_such():
    # 39 m look like 78 m of the canonical camera, above 0.97 of 80 m: NaN, scored as 80 m.
    rows = evaluate(says(1.0), {'night': [sample(39.0)]}, **NETWORK)
    assert rows['night']['abs_rel'] == pytest.approx(41 / 39, abs=1e-4)
    assert rows['night']['rmse'] == pytest.approx(41.0, abs=1e-4)


def test_a_condition_without_truth_is_an_error():
    with pytest.raises(ValueError, match='no image had valid true depth'):
        evaluate(says(1.0), {'night': [sample(500.0)]}, **NETWORK)


def test_table_has_a_line_a_condition():
    names, night = table({'night': {'abs_rel': 0.25, 'n': 3.0}}).splitlines()
    assert names.split() == ['condition', 'abs_rel', 'n']
    assert night.split() == ['night', '0.25', '3']
