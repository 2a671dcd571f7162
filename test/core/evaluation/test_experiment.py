from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.evaluation.experiment import (
    average_runs,
    cell,
    flat,
    grid,
    ScoredMethod,
    table_rows,
    tables,
)
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.record import Estimate

CONFIG = EvaluationConfig(replicates=200)
FACTORS = {
    ('street-1-day-clear', 'day-clear'): [1.1, 1.1],
    ('street-2-day-clear', 'day-clear'): [1.3, 1.3],
    ('street-1-night', 'night'): [2.0, 2.0],
    ('street-1-night-rain', 'night-rain'): [4.0, 4.0],
}


def scaled_by(factor):
    return {key: [value * factor for value in row] for key, row in FACTORS.items()}


def row_of(rows, method='a', scaling='metric', condition='day-clear'):
    (row,) = (
        row
        for row in rows
        if (row['method'], row['scaling'], row['condition']) == (method, scaling, condition)
    )
    return row


def test_a_row_holds_mean_interval_and_frames(scored):
    rows = table_rows([ScoredMethod(name='a', runs=(scored(FACTORS),))], CONFIG)
    row = row_of(rows)
    assert list(row)[:6] == ['method', 'scaling', 'condition', 'frames', 'streets', 'seeds']
    assert (row['frames'], row['streets'], row['seeds']) == (4, 2, 1)
    assert row['abs_rel'] == pytest.approx(0.2)
    assert (row['abs_rel_low'], row['abs_rel_high']) == (pytest.approx(0.1), pytest.approx(0.3))
    assert row['abs_rel_sd'] is None
    assert row['a1'] == pytest.approx(0.5)
    # The medians put the constant factor right.
    assert row_of(rows, scaling='median-scaled')['abs_rel'] == pytest.approx(0, abs=1e-6)


def test_each_condition_stands_for_itself(scored):
    rows = table_rows([ScoredMethod(name='a', runs=(scored(FACTORS),))], CONFIG)
    assert [row['condition'] for row in rows] == 2 * ['day-clear', 'night', 'night-rain', 'all']
    night = row_of(rows, condition='night')  # without night-rain
    assert (night['frames'], night['streets']) == (2, 1)
    assert night['abs_rel'] == pytest.approx(1.0)
    assert night['abs_rel_low'] is None


def test_all_conditions_together_count_frame_by_frame(scored):
    near = {key: row for key, row in FACTORS.items() if key[1] != 'night-rain'}  # within the cap
    farther = {key: [1.2 * factor for factor in row] for key, row in near.items()}
    runs = scored(near), scored(farther)
    row = row_of(table_rows([ScoredMethod(name='a', runs=runs)], CONFIG), condition='all')
    assert (row['frames'], row['streets']) == (6, 2)
    # Factors 1.1, 1.3 and 2 are off by 1.4 / 3 on average, and the others by 0.88 / 3 more.
    assert row['abs_rel'] == pytest.approx(1.4 / 3 + 0.44 / 3)
    assert row['abs_rel_sd'] == pytest.approx(0.88 / 3 / 2**0.5)


def test_one_condition_alone_is_not_told_twice(scored):
    day = {key: factors for key, factors in FACTORS.items() if key[1] == 'day-clear'}
    rows = table_rows([ScoredMethod(name='a', runs=(scored(day),))], CONFIG)
    assert {row['condition'] for row in rows} == {'day-clear'}


def test_seeds_are_averaged_and_their_spread_told(scored):
    runs = tuple(scored(scaled_by(factor)) for factor in (1.0, 1.1, 1.2))
    row = row_of(table_rows([ScoredMethod(name='a', runs=runs)], CONFIG))
    # absRel is factor - 1: 0.2, 0.32, 0.44 over streets.
    assert row['seeds'] == 3
    assert row['abs_rel'] == pytest.approx(0.32)
    assert row['abs_rel_sd'] == pytest.approx(0.12)
    assert row['abs_rel_low'] == pytest.approx(0.21)  # the first street's mean over seeds


def test_a_method_without_a_unit_has_median_scaled_figures_alone(scored):
    method = ScoredMethod(name='a', runs=(scored(FACTORS),), metric=False)
    assert {row['scaling'] for row in table_rows([method], CONFIG)} == {'median-scaled'}


def test_runs_of_different_frames_are_refused(scored):
    run = scored(FACTORS)
    with pytest.raises(ValueError, match='but 1 are in one only, e.g. street-1-day-clear0; eval'):
        average_runs([run, run[1:]])
    other = [replace(frame, scores=frame.scores[::-1]) for frame in run]
    with pytest.raises(ValueError, match='street-1-day-clear0 was scored by several protocols'):
        average_runs([run, other])


def test_tables_have_methods_down_and_conditions_across(scored):
    unitless = ScoredMethod(name='b', runs=(scored(FACTORS),), metric=False)
    runs = tuple(scored(scaled_by(factor)) for factor in (1.0, 1.2))
    text = tables(table_rows([ScoredMethod(name='a', runs=runs), unitless], CONFIG))
    assert text.count('|  | day-clear | night | night-rain | all |') == 6
    assert text.startswith(
        '**absRel, metric**\n\n'
        '|  | day-clear | night | night-rain | all |\n| --- | ---: | ---: | ---: | ---: |\n'
        '| a | 0.320 ± 0.170 (0.210 to 0.430) | 1.200 ± 0.283 | '
    )
    assert text.count('| b |') == 3
    assert not text.endswith('\n')


def test_a_figure_is_written_with_what_is_known_of_it():
    row = flat({'x': Estimate(mean=0.1234, low=0.1, high=0.2), 'y': None})
    assert row == {
        **{'x': 0.1234, 'x_low': 0.1, 'x_high': 0.2},
        **{'y': None, 'y_low': None, 'y_high': None},
    }
    assert cell(row, 'x') == '0.123 (0.100 to 0.200)'
    assert cell(row | {'x_sd': 0.01}, 'x', decimals=1) == '0.1 ± 0.0 (0.1 to 0.2)'
    assert cell(row | {'x_sd': None, 'x_low': None}, 'x') == '0.123'
    assert cell(row, 'y') == 'n/a'


def test_a_cell_that_is_not_there_is_said_to_be():
    assert grid({('a', 'x'): '1', ('b', 'y'): '2'}) == (
        '|  | x | y |\n| --- | ---: | ---: |\n| a | 1 | n/a |\n| b | n/a | 2 |'
    )


def test_the_picture_is_drawn_for_all_methods(scored, tmp_path):
    pytest.importorskip('matplotlib')
    import cv2
    from ssd_depth_core.evaluation.experiment_plot import draw_experiment

    methods = [
        ScoredMethod(name='flat road', runs=(scored(scaled_by(1.5)),)),
        ScoredMethod(name='a', runs=(scored(FACTORS),)),
        ScoredMethod(name='b', runs=(scored(FACTORS),), metric=False),
    ]
    rows = table_rows(methods, CONFIG)
    paths = [tmp_path / 'docs' / name for name in ('all.png', 'again.png', 'one.png')]
    for path, shown in zip(paths, (rows, rows, rows[:3]), strict=True):
        draw_experiment(shown, ['flat road'], path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    picture = cv2.imread(str(paths[0]))
    assert picture.shape[1] > 1000
    # Colours of the trained methods are there, and are not where only a guess is drawn.
    blue = np.array([0xB2, 0x72, 0x00])
    assert (picture == blue).all(axis=2).sum() > 50
    assert not (cv2.imread(str(paths[2])) == blue).all(axis=2).any()
