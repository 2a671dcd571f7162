import pytest
from ssd_depth_core.evaluation.experiment import ScoredMethod
from ssd_depth_core.evaluation.margins import margin_rows, margin_tables
from ssd_depth_core.evaluation.protocol import EvaluationConfig

CONFIG = EvaluationConfig(replicates=200)
# absRel is the factor less 1: 0.1 and 0.3 by day, 1 at night.
FACTORS = {
    ('street-1-day-clear', 'day-clear'): [1.1, 1.1],
    ('street-2-day-clear', 'day-clear'): [1.3, 1.3],
    ('street-1-night', 'night'): [2.0, 2.0],
}
FIGURES = ('difference', 'difference_percent')


@pytest.fixture
def method(scored):
    """Make a method whose depth is farther by a factor in each of its trainings."""

    def method(name, *farther, metric=True):
        runs = tuple(
            scored({key: [by * factor for factor in row] for key, row in FACTORS.items()})
            for by in farther
        )
        return ScoredMethod(name=name, runs=runs, metric=metric)

    return method


def rows_of(*pair):
    return {row['condition']: row for row in margin_rows([pair], CONFIG)}


def figures_of(row):
    return [
        tuple(round(row[f'{name}{end}'], 3) for end in ('', '_low', '_high')) for name in FIGURES
    ]


def test_a_difference_is_told_in_absrel_and_in_per_cent(method):
    row = rows_of(method('a', 1.0), method('flat road', 1.5))['day-clear']
    named = ('method', 'compared_with', 'scaling', 'condition', 'metric', 'frames', 'streets')
    assert (row['seeds'], row['compared_seeds']) == (1, 1)
    assert [row[name] for name in named] == [
        *('a', 'flat road', 'metric', 'day-clear', 'abs_rel', 4, 2)
    ]
    # 0.1 and 0.3 against 0.65 and 0.95: the ends are the streets alone, and per cent are those of
    # the means, 1.2 / 1.6, not the mean of both streets' per cent, 76.5.
    assert figures_of(row) == [
        (-0.6, -0.65, -0.55),
        (-75.0, round(-100 * 0.55 / 0.65, 3), round(-100 * 0.65 / 0.95, 3)),
    ]


def test_the_other_way_round_the_per_cent_are_those_of_the_better_row(method):
    row = rows_of(method('flat road', 1.5), method('a', 1.0))['day-clear']
    assert row['difference'] == pytest.approx(0.6)
    assert row['difference_percent'] == pytest.approx(300)


def test_all_frames_are_told_of_after_the_conditions(method):
    rows = rows_of(method('a', 1.0), method('b', 1.2))
    assert list(rows) == ['day-clear', 'night', 'all']
    # By day 0.22 and 0.26 better, at night 0.4; the other has 0.44 and 1.4.
    assert (rows['all']['frames'], rows['all']['streets']) == (6, 2)
    assert rows['all']['difference'] == pytest.approx((4 * -0.24 + 2 * -0.4) / 6)
    assert rows['all']['difference_percent'] == pytest.approx(-100 * 1.76 / 4.56)
    # The twins of street 1 are drawn together.
    assert rows['all']['difference_low'] == pytest.approx((2 * -0.22 + 2 * -0.4) / 4)
    assert rows['all']['difference_high'] == pytest.approx(-0.26)


def test_one_street_has_no_interval(method):
    night = rows_of(method('a', 1.0), method('b', 1.2))['night']
    assert night['difference'] == pytest.approx(-0.4)
    assert {night[f'{name}_{end}'] for name in FIGURES for end in ('low', 'high')} == {None}


def test_seeds_are_averaged_before_they_are_compared(method):
    row = rows_of(method('a', 1.0, 1.2), method('b', 1.1))['day-clear']
    assert row['difference'] == pytest.approx(0, abs=1e-6)


def test_one_condition_alone_is_not_told_twice(method):
    both = method('a', 1.0), method('b', 1.2)
    day = [
        ScoredMethod(name=one.name, runs=([f for f in run if f.condition == 'day-clear'],))
        for one in both
        for run in one.runs
    ]
    assert list(rows_of(*day)) == ['day-clear']


def test_depth_without_a_unit_is_compared_median_scaled(method):
    metric, unitless = method('a', 1.0), method('b', 1.5, metric=False)
    for pair in ((metric, unitless), (unitless, metric)):
        row = rows_of(*pair)['day-clear']
        assert row['scaling'] == 'median-scaled'
        # The medians put the constant factors right.
        assert row['difference'] == pytest.approx(0, abs=1e-6)


def test_there_are_no_per_cent_of_nothing(scored):
    perfect, other = (
        ScoredMethod(name=name, runs=(scored({('a', 'night'): [factor]}),))
        for name, factor in {'perfect': 1.0, 'other': 1.5}.items()
    )
    row = rows_of(other, perfect)['night']
    assert (row['difference'], row['difference_percent']) == (pytest.approx(0.5), None)
    assert '| other minus perfect, metric | n/a |' in margin_tables([row])


def test_different_frames_are_not_compared(method):
    one = method('a', 1.0)
    with pytest.raises(ValueError, match='same frames, but 1 are in one only'):
        margin_rows([(one, ScoredMethod(name='b', runs=(one.runs[0][1:],)))], CONFIG)


def test_the_tables_have_pairs_down_and_conditions_across(method):
    a, b = method('a', 1.0), method('b', 1.2)
    text = margin_tables(margin_rows([(a, b), (b, a)], CONFIG))
    assert text.count('|  | day-clear | night | all |') == 2
    assert '| a minus b, metric | -0.240 (-0.260 to -0.220) | -0.400 | -0.293 (' in text
    assert ' to -46.4) | -28.6 | -38.6 (' in text
    assert text.count('| b minus a, metric |') == 2
    assert not text.endswith('\n')
