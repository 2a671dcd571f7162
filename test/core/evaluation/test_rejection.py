from dataclasses import replace

import numpy as np
import pytest
from ssd_depth_core.evaluation.confidence import score_confidence
from ssd_depth_core.evaluation.experiment import ScoredMethod
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.rejection import rejection_rows, rejection_table

CONFIG = EvaluationConfig(replicates=200)
FRAMES = {
    ('street-1-night', 'night'): [1.1],
    ('street-2-night', 'night'): [1.1],
    ('street-2-fog', 'fog'): [1.1],
}
SURE = [0.9, 0.8, 0.7, 0.6, 0.1]
"""Of five pixels, of which the last one's error is the largest."""
MISLED = SURE[::-1]


@pytest.fixture
def run_of(scored):
    """Give the frames of `FRAMES` five pixels each: their errors, and how sure each is."""

    def run_of(*pixels):
        truth = np.full(5, 10.0)
        return [
            replace(
                frame,
                confidence=score_confidence(
                    np.array(confidence), truth * (1 + np.array(errors)), truth
                ),
            )
            for frame, (errors, confidence) in zip(scored(FRAMES), pixels, strict=True)
        ]

    return run_of


@pytest.fixture
def run(run_of):
    first, second = [0.1, 0.1, 0.1, 0.1, 0.6], [0.1, 0.1, 0.1, 0.1, 0.1]
    return run_of((first, SURE), (second, SURE), (first, MISLED))


def rows_of(*runs, metric=True):
    method = ScoredMethod(name='a', runs=runs, metric=metric)
    return {row['condition']: row for row in rejection_rows([method], CONFIG)}


def figures_of(row, name):
    return [row[f'{name}{end}'] for end in ('', '_low', '_high')]


def test_the_gain_is_that_of_the_mean_with_the_interval_of_the_quotient(run):
    night = rows_of(run)['night']
    named = ('method', 'condition', 'frames', 'streets', 'seeds', 'left_out_percent')
    assert [night[name] for name in named] == ['a', 'night', 2, 2, 1, 20]
    # Of five pixels four are kept: street 1 falls from 0.2 to 0.1, and street 2 stays at 0.1.
    assert figures_of(night, 'abs_rel') == pytest.approx([0.15, 0.1, 0.2])
    assert figures_of(night, 'abs_rel_kept') == pytest.approx([0.1, 0.1, 0.1])
    assert figures_of(night, 'gain_percent') == pytest.approx([100 / 3, 0, 50], abs=1e-9)


def test_a_misleading_confidence_loses_what_the_oracle_gains(run):
    fog = rows_of(run)['fog']
    # Without one of the small errors 0.9 / 4 are left of 0.2.
    assert fog['abs_rel_kept'] == pytest.approx(0.225)
    assert fog['gain_percent'] == pytest.approx(-12.5)
    assert fog['oracle_gain_percent'] == pytest.approx(50)
    assert fog['gain_percent_low'] is None  # one street


def test_all_conditions_together_come_last(run):
    rows = rows_of(run)
    assert list(rows) == ['night', 'fog', 'all']
    assert rows['all']['abs_rel'] == pytest.approx((0.2 + 0.1 + 0.2) / 3)
    assert rows['all']['gain_percent'] == pytest.approx(100 * (0.5 - 0.425) / 0.5)


def test_seeds_are_averaged(run, run_of):
    even = ([0.1] * 5, SURE)
    row = rows_of(run, run_of(even, even, even))['night']
    assert row['seeds'] == 2
    # Street 1 has 0.2 and 0.1, of which 0.1 and 0.1 are kept.
    assert row['abs_rel'] == pytest.approx((0.15 + 0.1) / 2)
    assert row['gain_percent'] == pytest.approx(20)


def test_without_confidence_or_unit_there_is_nothing_to_tell(run, scored):
    assert rows_of(scored(FRAMES)) == {}
    assert rows_of(run, scored(FRAMES)) == {}  # in one training of two
    assert rows_of(run, metric=False) == {}


def test_the_table_has_figures_down_and_conditions_across(run):
    methods = [ScoredMethod(name=name, runs=(run,)) for name in 'ab']
    text = rejection_table(rejection_rows(methods, CONFIG))
    assert text.startswith('**absRel without the least confident 20 % of the pixels of each')
    _, _, table = text.partition('\n\n')
    lines = [line.split(' | ') for line in table.splitlines()]
    assert lines[0] == ['| ', 'night', 'fog', 'all |']
    assert [line[0] for line in lines[2:6]] == [
        *('| a, all pixels', '| a, the 80 % kept'),
        *('| a, lower by [%]', '| a, lower by [%], oracle'),
    ]
    assert lines[2][1:3] == ['0.150 (0.100 to 0.200)', '0.200']
    assert lines[4][1:3] == ['33.3 (0.0 to 50.0)', '-12.5']
    assert lines[6][0] == '| b, all pixels'
