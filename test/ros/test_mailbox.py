from threading import Thread

from ssd_depth_ros.mailbox import Mailbox


def test_newest_item_wins_and_the_others_are_counted():
    mailbox = Mailbox()
    for item in (1, 2, 3):
        mailbox.put(item)
    assert mailbox.take() == 3
    assert mailbox.dropped == 2


def test_nothing_is_dropped_while_the_worker_keeps_up():
    mailbox = Mailbox()
    for item in range(5):
        mailbox.put(item)
        assert mailbox.take() == item
    assert mailbox.dropped == 0


def test_close_drops_what_is_left_and_ends_the_worker():
    mailbox = Mailbox()
    mailbox.put(1)
    mailbox.close()
    mailbox.put(2)
    assert mailbox.take() is None
    assert mailbox.dropped == 2


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
            taken.append(item)

    worker = Thread(target=work)
    worker.start()
    for item in range(total):
        mailbox.put(item)
    mailbox.close()
    worker.join(10)
    assert len(taken) + mailbox.dropped == total
    assert taken == sorted(set(taken))
