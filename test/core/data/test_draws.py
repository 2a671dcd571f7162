from itertools import islice

import pytest

pytest.importorskip('torch')

from ssd_depth_core.data.draws import EndlessDraws


def test_every_epoch_visits_each_frame_once_in_another_order():
    numbers = [number for number, _ in islice(EndlessDraws(50, seed=3), 100)]
    assert sorted(numbers[:50]) == sorted(numbers[50:]) == list(range(50))
    assert numbers[:50] != numbers[50:]


def test_seeds_differ_between_visits():
    assert len({seed for _, seed in islice(EndlessDraws(50, seed=3), 500)}) == 500


@pytest.mark.parametrize('start', [0, 3, 5, 12])
def test_the_stream_can_be_entered_anywhere(start):
    whole = list(islice(EndlessDraws(5, seed=1), 20))
    assert list(islice(EndlessDraws(5, seed=1, start=start), 20 - start)) == whole[start:]


def test_the_seed_decides_the_stream():
    one, two = (list(islice(EndlessDraws(50, seed), 50)) for seed in (1, 2))
    assert one != two
