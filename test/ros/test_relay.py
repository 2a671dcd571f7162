from threading import Event, Thread

import pytest
from ssd_depth_ros.relay import Relay

WAIT_S = 20.0


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def relay(clock):
    return Relay(clock)


def due_in(relay):
    """Ask without waiting; the clock of these tests does not run by itself."""
    return relay._due_in_s()


def test_item_goes_from_one_thread_to_the_other(relay):
    taken = []
    worker = Thread(target=lambda: taken.append(relay.take()))
    worker.start()
    assert relay.wait_until_due()
    relay.put('item', 0.0)
    worker.join(WAIT_S)
    assert taken == ['item']


def test_preparing_starts_at_once_for_a_free_worker(relay):
    assert due_in(relay) == 0.0


def test_nothing_is_prepared_while_an_item_lies_ready(relay):
    relay.put('first', 1.0)
    assert due_in(relay) is None


def test_item_is_ready_just_when_the_work_in_hand_ends(relay, clock):
    relay.put('first', 2.0)
    relay.take()
    clock.now = 10.0  # so long did the first take
    relay.put('second', 2.0)
    relay.take()
    # 10 s of work, 2 s to prepare: begin after 8 s.
    assert due_in(relay) == 8.0
    clock.now = 17.5
    assert due_in(relay) == pytest.approx(0.5)
    clock.now = 30.0
    assert due_in(relay) == 0.0


def test_preparing_that_takes_longer_than_the_work_starts_at_once(relay, clock):
    relay.put('first', 5.0)
    relay.take()
    clock.now = 1.0
    relay.put('second', 5.0)
    relay.take()
    assert due_in(relay) == 0.0


def test_worker_that_is_done_early_wakes_the_reader(clock):
    relay, done = Relay(clock), Event()
    relay.put('first', 0.0)
    relay.take()
    clock.now = 1e5
    relay.put('second', 0.0)
    relay.take()

    def read():
        relay.wait_until_due()  # for 1e5 s, by the clock that stands still
        done.set()

    for thread in (Thread(target=read, daemon=True), Thread(target=relay.take, daemon=True)):
        thread.start()
    assert done.wait(WAIT_S)
    relay.close()


def test_close_lets_both_threads_go(relay):
    relay.put('left', 0.0)
    ended = []
    reader = Thread(target=lambda: ended.append(relay.wait_until_due()))
    reader.start()
    relay.close()
    reader.join(WAIT_S)
    assert ended == [False]
    assert relay.take() is None
