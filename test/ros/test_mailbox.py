from threading import Thread

from ssd_depth_ros.mailbox import Mailbox


def test_newest_item_wins_and_the_others_are_counted():
    mailbox = Mailbox()
    for item in (1, 2, 3):
        mailbox.put(item)
    assert mailbox.take() == {'': 3}
    assert mailbox.dropped() == 2


def test_nothing_is_dropped_while_the_worker_keeps_up():
    mailbox = Mailbox()
    for item in range(5):
        mailbox.put(item)
        assert mailbox.take() == {'': item}
    assert mailbox.dropped() == 0


def test_close_drops_what_is_left_and_ends_the_worker():
    mailbox = Mailbox()
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    assert mailbox.take() is None
    assert mailbox.dropped() == 2


def test_close_wakes_a_waiting_worker():
    mailbox = Mailbox()
    taken = []
    worker = Thread(target=lambda: taken.append(mailbox.take()))
    worker.start()
    mailbox.close()
    worker.join(10)
    assert taken == [None]


def test_every_item_of_a_racing_producer_is_taken_or_counted():
    mailbox, taken, total = Mailbox(), [], 20_000

    def work():
        while (item := mailbox.take()) is not None:
            taken.append(item[''])

    worker = Thread(target=work)
    worker.start()
    for item in range(total):
        mailbox.put(item)
    mailbox.close()
    worker.join(10)
    assert len(taken) + mailbox.dropped() == total
    assert taken == sorted(set(taken))


FOREVER_S = 1e6


def test_full_batch_does_not_wait():
    mailbox = Mailbox(('a', 'b'))
    mailbox.put(1, 'a')
    mailbox.put(2, 'b')
    assert mailbox.take(FOREVER_S) == {'a': 1, 'b': 2}


def test_batch_waits_for_the_last_of_the_cameras():
    mailbox, taken = Mailbox(('a', 'b')), []
    mailbox.put(1, 'a')
    worker = Thread(target=lambda: taken.append(mailbox.take(FOREVER_S)))
    worker.start()
    mailbox.put(2, 'a')
    assert worker.is_alive()
    mailbox.put(3, 'b')
    worker.join(10)
    assert taken == [{'a': 2, 'b': 3}]
    assert (mailbox.dropped('a'), mailbox.dropped('b')) == (1, 0)


def test_batch_is_partial_once_its_first_item_has_waited():
    now = [0.0]
    mailbox = Mailbox(('a', 'b'), lambda: now[0])
    mailbox.put(1, 'a')
    now[0] = 5.0
    # A newer item does not begin the wait anew, or a fast camera would make it endless.
    mailbox.put(2, 'a')
    assert mailbox.take(5.0) == {'a': 2}


def test_silent_camera_is_waited_for_once_and_again_when_it_is_back():
    mailbox, taken = Mailbox(('a', 'b')), []
    mailbox.put(1, 'a')
    assert mailbox.take(0.0) == {'a': 1}
    mailbox.put(2, 'a')
    assert mailbox.take(FOREVER_S) == {'a': 2}
    mailbox.put(3, 'b')
    worker = Thread(target=lambda: taken.append(mailbox.take(FOREVER_S)))
    worker.start()
    mailbox.put(4, 'a')
    worker.join(10)
    assert taken == [{'a': 4, 'b': 3}]
    mailbox.put(5, 'a')
    assert mailbox.take(0.0) == {'a': 5}


def test_close_counts_what_is_left_by_camera():
    mailbox = Mailbox(('a', 'b'))
    mailbox.put(1, 'b')
    mailbox.close()
    assert mailbox.take(FOREVER_S) is None
    assert (mailbox.dropped('a'), mailbox.dropped('b')) == (0, 1)
