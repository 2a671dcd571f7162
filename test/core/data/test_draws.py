from itertools import islice

import pytest

pytest.importorskip('torch')

from ssd_depth_core.data.draws import Balanced, EndlessDraws, EpochDraws, Shuffled


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


def test_processes_share_a_stream_wherever_it_is_entered():
    alone = list(islice(EndlessDraws(7, seed=4), 5, 5 + 20))
    shares = [
        list(islice(EndlessDraws(7, seed=4, start=5, rank=rank, world_size=2), 10))
        for rank in (0, 1)
    ]
    assert [draw for pair in zip(*shares, strict=True) for draw in pair] == alone


def test_the_seed_decides_the_stream():
    one, two = (list(islice(EndlessDraws(50, seed), 50)) for seed in (1, 2))
    assert one != two


def epoch(draws, number, start=0):
    draws.go_to(number, start)
    return list(draws)


def test_an_epoch_visits_each_frame_as_often_as_asked():
    draws = EpochDraws(Shuffled(num_frames=7, repeat=2), seed=1)
    numbers = [number for number, _ in draws]
    assert len(draws) == 14
    assert sorted(numbers) == sorted([*range(7)] * 2)
    assert numbers[:7] != sorted(numbers[:7])


def test_epochs_differ_in_order_and_seeds_and_come_back_the_same():
    draws = EpochDraws(Shuffled(num_frames=30), seed=1)
    first, second = epoch(draws, 0), epoch(draws, 1)
    assert [n for n, _ in first] != [n for n, _ in second]
    assert not {seed for _, seed in first} & {seed for _, seed in second}
    assert epoch(draws, 0) == first
    assert epoch(EpochDraws(Shuffled(num_frames=30), seed=2), 0) != first


@pytest.mark.parametrize('start', [0, 1, 7, 10, 12])
def test_an_epoch_can_be_entered_anywhere(start):
    draws = EpochDraws(Shuffled(num_frames=10), seed=1)
    whole = epoch(draws, 3)
    assert epoch(draws, 3, start) == whole[start:]
    assert len(draws) == max(0, 10 - start)


def test_processes_together_take_the_batches_of_one():
    alone = epoch(EpochDraws(Shuffled(num_frames=11), seed=4), 2)
    parts = [
        epoch(EpochDraws(Shuffled(num_frames=11), seed=4, rank=rank, world_size=2), 2)
        for rank in (0, 1)
    ]
    assert [len(part) for part in parts] == [5, 5]
    for step in range(2):  # of 2 a process, against 4 of the one
        together = {draw for part in parts for draw in part[2 * step : 2 * step + 2]}
        assert together == set(alone[4 * step : 4 * step + 4])


def test_a_process_resumes_its_own_share():
    draws = EpochDraws(Shuffled(num_frames=11), seed=4, rank=1, world_size=3)
    assert epoch(draws, 2, start=2) == epoch(draws, 2)[2:]
    assert len(epoch(draws, 2)) == 3


def test_a_rank_outside_the_world_is_refused():
    with pytest.raises(ValueError, match=r'rank must be in \[0, 2\), got 2'):
        EpochDraws(Shuffled(num_frames=3), seed=0, rank=2, world_size=2)


def test_conditions_are_balanced_and_a_rare_one_comes_again():
    conditions = ('day',) * 20 + ('night',) * 3 + ('rain',) * 5
    order = Balanced(conditions=conditions, num_draws=22)
    numbers = [number for number, _ in EpochDraws(order, seed=1)]
    drawn = [conditions[number] for number in numbers]
    assert [drawn.count(name) for name in ('day', 'night', 'rain')] == [8, 7, 7]
    visits = sorted(numbers.count(number) for number in (20, 21, 22))
    assert visits == [2, 2, 3]
    assert len({number for number in numbers if number < 20}) == 8
    assert drawn != sorted(drawn)


def test_orders_need_something_to_draw():
    with pytest.raises(ValueError, match='num_frames and repeat must be >= 1, got 0 and 1'):
        Shuffled(num_frames=0)
    with pytest.raises(ValueError, match='got 1 draws of 2 conditions'):
        Balanced(conditions=('day', 'night'), num_draws=1)
