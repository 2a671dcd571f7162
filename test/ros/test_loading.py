from threading import Event

import pytest
from ssd_depth_ros.loading import Loading

WAIT_S = 20.0


def test_result_is_what_was_loaded():
    loading = Loading(lambda: 'model')
    assert loading.wait(WAIT_S)
    assert loading.result() == 'model'


def test_error_is_raised_where_the_result_is_asked_for():
    def load():
        raise FileNotFoundError('no model')

    loading = Loading(load)
    assert loading.wait(WAIT_S)
    with pytest.raises(FileNotFoundError, match='no model'):
        loading.result()


def test_wait_ends_before_the_load_does():
    go_on = Event()
    loading = Loading(lambda: go_on.wait(WAIT_S))
    assert not loading.wait(0.0)
    go_on.set()
    assert loading.wait(WAIT_S)
    assert loading.result() is True
