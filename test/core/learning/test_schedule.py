import pytest
from ssd_depth_core.learning.schedule import learning_rate_share

RISING = {'warmup_fraction': 0.2, 'decay_factor': 0.1, 'decay_fractions': (0.5, 0.75)}
FRACTIONS = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2)


@pytest.mark.parametrize(
    ('schedule', 'shares'),
    [
        # 0.2 rises; then (fraction - 0.2) / 0.8 goes down: 0, 1/4, 1/2, 3/4, 1.
        ('linear', (0, 0.5, 1, 0.75, 0.5, 0.25, 0, 0)),
        # (1 + cos(pi / 4)) / 2 = (2 + sqrt(2)) / 4.
        ('cosine', (0, 0.5, 1, (2 + 2**0.5) / 4, 0.5, (2 - 2**0.5) / 4, 0, 0)),
        ('step', (0, 0.5, 1, 1, 0.1, 0.01, 0.01, 0.01)),
    ],
)
def test_a_schedule_rises_and_falls(schedule, shares):
    found = [learning_rate_share(fraction, schedule, **RISING) for fraction in FRACTIONS]
    assert found == pytest.approx(shares, abs=1e-12)


@pytest.mark.parametrize('schedule', ['cosine', 'linear', 'step'])
def test_without_warmup_the_peak_comes_first(schedule):
    assert learning_rate_share(0.0, schedule, **{**RISING, 'warmup_fraction': 0.0}) == 1


def test_a_step_is_taken_where_its_fraction_begins():
    plain = {**RISING, 'warmup_fraction': 0.0, 'decay_fractions': (0.75,)}
    assert learning_rate_share(0.7499, 'step', **plain) == 1
    assert learning_rate_share(0.75, 'step', **plain) == pytest.approx(0.1)
