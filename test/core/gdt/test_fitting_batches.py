import pytest

torch = pytest.importorskip('torch')

from ssd_depth_core.gdt.fitting_batches import FittingBatches  # noqa: E402


class Network:
    """Double numbers, some at a time."""

    def __init__(self, room_for):
        self.room_for, self.sizes = room_for, []

    def __call__(self, numbers):
        self.sizes.append(len(numbers))
        if len(numbers) > self.room_for:
            raise torch.OutOfMemoryError('full\nand a page more')
        return [2 * number for number in numbers]


def batches(limit):
    return FittingBatches('doubling', limit, 'a.batch_size', 'Take small numbers')


@pytest.mark.parametrize(('limit', 'sizes'), [(None, [5]), (2, [2, 2, 1]), (8, [5])])
def test_items_go_in_batches_of_the_limit_and_keep_their_order(limit, sizes):
    network = Network(room_for=8)
    assert batches(limit).run(range(5), network) == [0, 2, 4, 6, 8]
    assert network.sizes == sizes


def test_no_items_ask_nothing():
    network = Network(room_for=8)
    assert batches(None).run([], network) == []
    assert network.sizes == []


def test_batches_are_halved_for_good_with_an_empty_cache_and_a_word(monkeypatch, caplog):
    emptied = []
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: emptied.append(True))
    network, fitting = Network(room_for=2), batches(8)
    assert fitting.run(range(7), network) == [0, 2, 4, 6, 8, 10, 12]
    assert network.sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert len(emptied) == 2
    assert [record.message for record in caplog.records] == [
        f'{tried} pictures do not fit into the GPU with doubling, going on with {left}; set '
        'a.batch_size to that'
        for tried, left in ((7, 3), (3, 1))
    ]
    network.sizes.clear()
    fitting.run(range(2), network)
    assert network.sizes == [1, 1]


def test_no_room_for_one_says_what_to_do_in_one_line():
    message = '^doubling does not fit into the GPU with one picture: full Take small numbers$'
    with pytest.raises(MemoryError, match=message):
        batches(2).run(range(2), Network(room_for=0))
