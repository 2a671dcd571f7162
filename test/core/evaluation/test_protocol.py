import numpy as np
import pytest
from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.evaluation.protocol import EvaluationConfig, rows_of, scored_pixels

NAN, INF = float('nan'), float('inf')


def test_pixels_of_the_widest_range_are_chosen():
    truth = np.array([[0.1, 0.2, NAN], [INF, 79.9, 80.0]])
    rows, columns = scored_pixels(truth, EvaluationConfig(caps_m=(50.0, 80.0)))
    assert (rows.tolist(), columns.tolist()) == ([0, 1], [1, 1])


def test_garg_crop_of_a_kitti_picture():
    # 375 x 1242: 153.04, 371.96 of the rows, 44.65, 1197.35 of the columns, cut to whole pixels.
    rows, columns = scored_pixels(np.full((375, 1242), 5.0), EvaluationConfig(garg_crop=True))
    assert (rows.min(), rows.max() + 1) == (153, 371)
    assert (columns.min(), columns.max() + 1) == (44, 1197)
    assert len(rows) == (371 - 153) * (1197 - 44)


def test_a_row_holds_every_condition_that_its_name_is_part_of():
    rows = rows_of(['night', 'day-clear', 'night-rain', 'day-rain', 'night'])
    assert rows == {
        'all': {'day-clear', 'night', 'day-rain', 'night-rain'},
        'day-clear': {'day-clear'},
        'night': {'night', 'night-rain'},
        'day-rain': {'day-rain'},
        'night-rain': {'night-rain'},
        'night-clear': {'night'},
    }


def test_nights_are_told_apart_only_where_there_are_two_kinds():
    assert list(rows_of(['night', 'fog'])) == ['all', 'night', 'fog']


def test_every_condition_has_a_row_of_its_own():
    rows = rows_of(CONDITIONS)
    assert {next(iter(held)) for held in rows.values() if len(held) == 1} == set(CONDITIONS)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'caps_m': ()}, 'min_depth_m < caps_m must hold, got 0.1 and \\(\\)'),
        ({'min_depth_m': 50.0}, 'must hold, got 50'),
        ({'caps_m': (80.0, 80.0)}, 'must differ'),
        ({'replicates': 10}, 'replicates must be >= 100'),
        ({'worst_frames': -1}, 'worst_frames must be >= 0, got -1'),
    ],
)
def test_options_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**changes)
