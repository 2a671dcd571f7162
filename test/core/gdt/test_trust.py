from dataclasses import replace
from itertools import pairwise
import math

import numpy as np
import pytest
from ssd_depth_core.gdt.evidence import evidence
from ssd_depth_core.gdt.trust import (
    Critic,
    joined,
    MOST_SPREADS,
    OUTLINES,
    shipped_critic,
    suspicion_map,
    trust_of,
    trust_scores,
)

CRITIC = Critic(
    names=('a', 'b'),
    mean=(1.0, 0.0),
    spread=(2.0, 1.0),
    hidden=((1.0, 0.0), (0.0, -1.0)),
    hidden_bias=(0.0, 0.5),
    output=(3.0, 2.0),
    typical={'suspicion': (0.0, 2.0), 'lost_outlines': (0.1, 0.3)},
    slope=2.0,
    half=1.0,
    fitted_to='',
)
TYPICAL = {'suspicion': 0.0, 'lost_outlines': 0.1}


def facts(a, b, outlines=0.0):
    full = np.full((2, 3), 0.0, np.float32)
    return {'a': full + np.float32(a), 'b': full + np.float32(b), OUTLINES: full + outlines}


def test_a_place_is_judged_by_the_network():
    found = suspicion_map(CRITIC, facts(2.0, 0.25))
    expected = 3 * math.tanh(0.5) + 2 * math.tanh(0.25)
    np.testing.assert_allclose(found, np.full((2, 3), expected), rtol=1e-6)


def test_rare_evidence_does_not_count_without_end():
    most = suspicion_map(CRITIC, facts(0.0, -MOST_SPREADS))
    np.testing.assert_array_equal(suspicion_map(CRITIC, facts(0.0, -1e6)), most)


def test_suspicion_is_the_soft_maximum_over_places():
    one = facts(1.0, 0.5)
    alone = trust_scores(CRITIC, one)['suspicion']
    assert alone == pytest.approx(math.log(6) / 2)  # six places at 0, counted twice as sharply
    one['a'][1, 2] = 11.0
    assert trust_scores(CRITIC, one)['suspicion'] == pytest.approx(3 * math.tanh(5), abs=0.02)


def test_lost_outlines_are_the_most_of_any_place():
    found = facts(1.0, 0.5, outlines=-0.2)
    assert trust_scores(CRITIC, found)['lost_outlines'] == 0.0
    found[OUTLINES][0, 1] = 0.4
    assert trust_scores(CRITIC, found)['lost_outlines'] == pytest.approx(0.4)


def test_the_worst_score_decides():
    assert joined(CRITIC.typical, TYPICAL) == pytest.approx(math.log(2) / 2)
    alone = TYPICAL | {'suspicion': 8.0}
    assert joined(CRITIC.typical, alone) == pytest.approx(4.0, abs=1e-3)


def test_trust_is_logistic_in_the_worst_score():
    sure = replace(CRITIC, half=joined(CRITIC.typical, TYPICAL))
    assert trust_of(sure, TYPICAL) == pytest.approx(0.5)
    assert trust_of(replace(sure, half=sure.half + 1), TYPICAL) == pytest.approx(
        1 / (1 + math.exp(-2))
    )


@pytest.mark.parametrize('name', TYPICAL)
def test_trust_falls_with_every_score(name):
    levels = [trust_of(CRITIC, TYPICAL | {name: value}) for value in (0.0, 0.2, 0.5, 2.0, 5.0)]
    assert all(before > after for before, after in pairwise(levels))
    assert all(0 < level < 1 for level in levels)


def test_the_shipped_critic_knows_the_evidence_and_what_it_was_fitted_to():
    critic = shipped_critic()
    log_depth = np.repeat(np.linspace(2, 0, 192, dtype=np.float32)[:, None], 320, 1)
    picture = np.random.default_rng(0).integers(0, 256, (192, 320, 3), dtype=np.uint8)
    found = evidence(log_depth, log_depth, picture, picture)
    assert list(critic.names) == list(found)
    assert 'SynthDrive' in critic.fitted_to
    assert trust_scores(critic, found)['trust'] > 0.5
