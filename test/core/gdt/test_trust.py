import math

import numpy as np
import pytest
from ssd_depth_core.gdt.trust import HALF, loss_maps, SLOPE, suspicion, trust_of, TYPICAL


def scores(units):
    """What a picture scores that lost so many units in every way."""
    return {name: median + units * (most - median) for name, (median, most) in TYPICAL.items()}


def test_a_faithful_pictures_usual_scores_are_the_logarithm_of_their_number():
    assert suspicion(scores(0.0)) == pytest.approx(math.log(len(TYPICAL)), rel=1e-6)


def test_the_worst_score_decides():
    once = scores(-3.0) | {'receded': scores(6.0)['receded']}
    assert suspicion(once) == pytest.approx(6.0, abs=0.01)


def test_trust_is_logistic_in_suspicion():
    units = HALF - math.log(len(TYPICAL))
    assert trust_of(scores(units)) == pytest.approx(0.5)
    assert trust_of(scores(units + 1)) == pytest.approx(1 / (1 + math.exp(SLOPE)))


@pytest.mark.parametrize('name', TYPICAL)
def test_trust_falls_with_every_score(name):
    levels = [trust_of(scores(0.0) | {name: value}) for value in (0.0, 0.2, 0.4, 0.6, 1.0)]
    assert levels == sorted(levels, reverse=True)
    assert levels[0] > levels[-1]
    assert all(0 < level < 1 for level in levels)


def test_maps_are_those_that_trust_needs():
    log_depth = np.zeros((180, 320), np.float32)
    picture = np.zeros((90, 160, 3), np.uint8)
    maps = loss_maps(log_depth, log_depth, picture, picture)
    assert set(maps) == set(TYPICAL)
    assert all(losses.shape == log_depth.shape for losses in maps.values())
