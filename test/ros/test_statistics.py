import pytest
from ssd_depth_ros.statistics import Statistics, WINDOW_S


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def statistics(clock):
    return Statistics(clock)


def test_every_image_is_in_exactly_one_count(statistics):
    for _ in range(6):
        statistics.received()
    statistics.published({})
    statistics.published({})
    statistics.faulty()
    statistics.skipped()
    report = statistics.report(dropped=2)
    assert (report.frames_in, report.frames_out) == (6, 2)
    assert (report.faulty, report.skipped, report.dropped) == (1, 1, 2)


def test_percentiles_are_in_milliseconds(statistics):
    for value in range(101):
        statistics.published({'age': value * 1e-3})
    assert statistics.report(0).times_ms['age'] == pytest.approx((50, 99))


def test_age_of_a_bag_stamp_by_the_wall_clock_is_ignored(statistics):
    statistics.published({'age': 2e8, 'latency': 0.004})
    assert 'age' not in statistics.report(0).times_ms


def test_negative_age_is_ignored(statistics):
    statistics.published({'age': -5.0, 'latency': 0.004})
    assert statistics.report(0).times_ms == {'latency': pytest.approx((4, 4))}


def test_rates_are_over_the_window(statistics, clock):
    for _ in range(240):
        clock.now += 1 / 12
        statistics.received()
        statistics.published({})
    report = statistics.report(0)
    assert report.rate_in_hz == pytest.approx(12, abs=0.11)
    assert report.rate_out_hz == pytest.approx(12, abs=0.11)
    assert report.frames_in == 240


def test_rates_are_right_before_the_window_is_full(statistics, clock):
    for _ in range(12):
        clock.now += 1 / 12
        statistics.received()
    assert statistics.report(0).rate_in_hz == pytest.approx(12)


def test_old_times_leave_the_window(statistics, clock):
    statistics.published({'age': 9.0})
    clock.now += WINDOW_S + 1
    statistics.published({'age': 0.002})
    assert statistics.report(0).times_ms['age'] == pytest.approx((2, 2))


def test_drops_are_recent_for_one_window(statistics, clock):
    assert statistics.report(dropped=3).dropped_lately == 3
    clock.now += 1
    assert statistics.report(dropped=4).dropped_lately == 4
    clock.now += WINDOW_S - 0.5
    assert statistics.report(dropped=4).dropped_lately == 1
    clock.now += 1
    report = statistics.report(dropped=4)
    assert (report.dropped_lately, report.dropped) == (0, 4)


def test_reset_forgets_times_and_keeps_counts(statistics, clock):
    statistics.received()
    statistics.published({'age': 1.0})
    statistics.report(dropped=1)
    clock.now += 1
    statistics.reset_window()
    report = statistics.report(dropped=1)
    assert (report.frames_in, report.frames_out, report.dropped) == (1, 1, 1)
    assert (report.rate_in_hz, report.rate_out_hz, report.dropped_lately) == (0, 0, 0)
    assert report.times_ms == {}
