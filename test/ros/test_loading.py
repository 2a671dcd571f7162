import subprocess
import sys
from threading import Event

import pytest
from ssd_depth_ros.loading import Loading, LoadingCancelled

WAIT_S = 20.0


def ignore(phase, done):
    pass


def test_result_is_what_was_loaded():
    loading = Loading(lambda progress: 'model', ignore)
    assert loading.wait(WAIT_S)
    assert loading.result() == 'model'


def test_error_is_raised_where_the_result_is_asked_for():
    def load(progress):
        raise FileNotFoundError('no model')

    loading = Loading(load, ignore)
    assert loading.wait(WAIT_S)
    with pytest.raises(FileNotFoundError, match='no model'):
        loading.result()


def test_wait_ends_before_the_load_does():
    go_on = Event()
    loading = Loading(lambda progress: go_on.wait(WAIT_S), ignore)
    assert not loading.wait(0.0)
    go_on.set()
    assert loading.wait(WAIT_S)
    assert loading.result() is True


def test_progress_is_passed_on():
    told = []
    loading = Loading(
        lambda progress: progress('Timing', 0.5) or 'model', lambda *what: told.append(what)
    )
    assert loading.wait(WAIT_S)
    assert told == [('Timing', 0.5)]


def test_what_is_cancelled_ends_where_it_tells_its_progress():
    told, go_on, steps = Event(), Event(), []

    def load(progress):
        for step in range(3):
            steps.append(step)
            progress('Timing', step / 4)
            assert go_on.wait(WAIT_S)
        return 'model'

    loading = Loading(load, lambda phase, done: told.set())
    assert told.wait(WAIT_S)
    assert not loading.cancel(0.0)
    go_on.set()
    assert loading.wait(WAIT_S)
    assert steps == [0, 1]
    with pytest.raises(LoadingCancelled, match=r'loading was cancelled \(Timing, 25%\)'):
        loading.result()


def test_what_has_ended_is_not_cancelled_any_more():
    loading = Loading(lambda progress: 'model', ignore)
    assert loading.wait(WAIT_S)
    assert loading.cancel(0.0)
    assert loading.result() == 'model'


CANCELLED_BUILD = """
import sys
from threading import Event
sys.path[:0] = sys.argv[1:]
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.runtime.backends.tensorrt_build import BuildOptions
from ssd_depth_core.runtime.backends.tensorrt_library import load_library
from ssd_depth_core.runtime.backends.tensorrt_plans import build_network
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL
from ssd_depth_ros.loading import Loading, LoadingCancelled

library, spec, begun = load_library('tensorrt_rtx'), load_spec(SHIPPED_MODEL), Event()

def load(progress):
    return build_network(library, SHIPPED_MODEL, spec, BuildOptions(max_batch=6), progress)

loading = Loading(load, lambda phase, done: begun.set())
assert begun.wait(60)
assert loading.cancel(60)
try:
    loading.result()
except LoadingCancelled as error:
    print(error)
"""


def test_a_process_ends_cleanly_out_of_a_build():
    pytest.importorskip('onnx')
    pytest.importorskip('tensorrt_rtx')
    done = subprocess.run(
        [sys.executable, '-c', CANCELLED_BUILD, *sys.path],
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('loading was cancelled (Building engine, ')
