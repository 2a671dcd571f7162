from dataclasses import asdict, fields
import json
from pathlib import Path

import pytest
from ssd_depth_core.metrics import DepthMetrics
from ssd_depth_ros.evaluation import FrameScore
from ssd_depth_ros.report import make_report, Report, write_report

MS = 1_000_000
CONTEXT = {
    'bag': 'drive',
    'drive': 'synthetic: a rendered street',
    'model': 'tiny',
    'backend': 'none',
    'machine': 'paper',
}


def score(stamp: int, value: float) -> FrameScore:
    metric = DepthMetrics(**{field.name: value for field in fields(DepthMetrics)})
    scaled = DepthMetrics(**{field.name: value / 2 for field in fields(DepthMetrics)})
    return FrameScore(stamp_ns=stamp, metric=metric, median_scaled=scaled)


def example() -> Report:
    # Five images 100 ms apart; the second gives no depth, the others are 10, 30, 20 and 40 ms old.
    sent = {stamp: stamp * 100 * MS for stamp in range(1, 6)}
    arrived = {1: 110 * MS, 3: 330 * MS, 4: 420 * MS, 5: 540 * MS, 99: 999 * MS}
    return make_report(sent, arrived, [score(1, 0.1), score(3, 0.3)], CONTEXT)


def test_report_counts_times_and_averages() -> None:
    report = example()
    assert (report.frames_in, report.frames_out, report.dropped) == (5, 4, 1)
    assert report.rate_hz == pytest.approx(3 / 0.43)
    assert report.age_ms_p50 == pytest.approx(25.0)
    assert report.age_ms_p99 == pytest.approx(30.0 + 10.0 * 0.97)
    assert (report.abs_rel, report.rmse, report.delta1) == pytest.approx((0.2, 0.2, 0.2))
    assert report.context['abs_rel_median_scaled'] == pytest.approx(0.1)
    assert report.context['frames_scored'] == 2
    assert report.context['bag'] == 'drive'


def test_single_frame_has_no_rate() -> None:
    assert make_report({1: 0}, {1: 5 * MS}, [score(1, 0.1)], CONTEXT).rate_hz == 0.0


def test_nothing_published_or_nothing_scored_is_an_error() -> None:
    with pytest.raises(ValueError, match='no depth for any of the 2 images'):
        make_report({1: 0, 2: 0}, {3: 0}, [score(1, 0.1)], CONTEXT)
    with pytest.raises(ValueError, match='no published frame has exact depth'):
        make_report({1: 0}, {1: 0}, [], CONTEXT)


def test_files_hold_the_promised_keys_and_the_same_figures(tmp_path: Path) -> None:
    report = example()
    write_report(report, tmp_path)
    values = json.loads((tmp_path / 'report.json').read_text())
    assert values == asdict(report)
    assert ' '.join(values) == (
        'frames_in frames_out dropped rate_hz age_ms_p50 age_ms_p99 abs_rel rmse delta1 context'
    )
    text = (tmp_path / 'report.md').read_text()
    assert 'synthetic: a rendered street' in text.partition('| figure |')[0]
    rows = dict(
        [cell.strip() for cell in line.split('|')[1:3]]
        for line in text.splitlines()
        if line.startswith('| ')
    )
    assert (rows['frames_in'], rows['dropped'], rows['age_ms_p50']) == ('5', '1', '25.0')
    assert (rows['abs_rel'], rows['frames_scored'], rows['machine']) == ('0.200', '2', 'paper')
