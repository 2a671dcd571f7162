from dataclasses import replace
import math

import pytest
from ssd_depth_core.evaluation.confidence import ConfidenceScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.summary import summarize

CONFIG = EvaluationConfig(replicates=200)


def row_of(rows, condition, variant='plain', cap_m=80.0):
    (row,) = (r for r in rows if (r.condition, r.variant, r.cap_m) == (condition, variant, cap_m))
    return row


def test_a_condition_is_the_plain_mean_over_its_frames(scored):
    frames = scored(
        {
            ('a', 'day-clear'): (1.1, 1.3),
            ('b', 'night'): (1.2, 1.2, 1.2),
            ('c', 'night-rain'): (2.0,),
        }
    )
    rows = summarize(frames, CONFIG).metrics
    means = {
        row.condition: (row.figures['abs_rel'].mean, row.frames, row.scenes)
        for row in rows
        if (row.variant, row.cap_m) == ('plain', 80.0)
    }
    assert means == {
        'all': (pytest.approx((0.1 + 0.3 + 3 * 0.2 + 1.0) / 6), 6, 3),
        'day-clear': (pytest.approx(0.2), 2, 1),
        'night': (pytest.approx((3 * 0.2 + 1.0) / 4), 4, 2),
        'night-rain': (pytest.approx(1.0), 1, 1),
        'night-clear': (pytest.approx(0.2), 3, 1),
    }
    night = row_of(rows, 'night').figures['abs_rel']
    assert (night.low, night.high) == (pytest.approx(0.2), pytest.approx(1.0))
    assert row_of(rows, 'night-rain').figures['abs_rel'].low is None
    assert row_of(rows, 'all', 'scaled').figures['abs_rel'].mean == pytest.approx(0, abs=1e-6)


def test_distance_rows_count_frames_and_pixels(scored):
    tables = summarize(scored({('a', 'fog'): (1.1, 1.1)}), CONFIG)
    rows = [row for row in tables.distance if row.condition == 'fog']
    assert [(row.near_m, row.far_m) for row in rows] == [(0, 10), (10, 20), (20, 40)]
    assert sum(row.pixels for row in rows) == 2 * 12 * 16
    assert all(row.frames == 2 for row in rows)
    assert rows[0].figures['abs_rel'].mean == pytest.approx(0.1)


def test_scale_changes_reach_the_table(scored):
    tables = summarize(scored({('a', 'day-clear'): (1.0, 1.1, 1.1)}), CONFIG)
    row = tables.further[0]
    assert row.frames == {'scale_change': 2}
    assert row.figures['scale_change'].mean == pytest.approx(math.log(1.1) / 2)


def test_confidence_is_pooled_over_pixels_for_reliability(scored):
    frames = scored({('a', 'day-clear'): (1.0,), ('b', 'day-clear'): (1.0,)})
    empty = (0.0,) * 9
    first = ConfidenceScore(
        aurc=0.1,
        aurc_oracle=0.0,
        aurc_random=0.2,
        risk=(0.1,) * 20,
        risk_oracle=(0.0,) * 20,
        bin_pixels=(*empty, 30.0),
        bin_confidence=(*empty, 27.0),
        bin_correct=(*empty, 21.0),
    )
    second = replace(first, aurc=0.3, bin_pixels=(*empty, 10.0), bin_confidence=(*empty, 10.0))
    second = replace(second, bin_correct=(*empty, 3.0))
    frames = [
        replace(frame, confidence=score)
        for frame, score in zip(frames, (first, second), strict=True)
    ]
    row = summarize(frames, CONFIG).confidence[0]
    assert row.figures['aurc'].mean == pytest.approx(0.2)
    assert row.normalised_aurc == pytest.approx(1.0)
    assert row.bin_pixels[-1] == 40
    assert row.bin_confidence[-1] == pytest.approx(37 / 40)
    assert row.bin_correct[-1] == pytest.approx(24 / 40)
    assert row.bin_correct[0] is None
    assert row.ece == pytest.approx(13 / 40)
    assert len(row.risk) == 20


def test_a_method_without_confidence_has_no_such_table(scored):
    assert summarize(scored({('a', 'snow'): (1.0,)}), CONFIG).confidence == ()
