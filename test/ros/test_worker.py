from threading import Event
import time
from types import SimpleNamespace

from builtin_interfaces.msg import Time
import pytest
from sensor_msgs.msg import Image
from ssd_depth_ros.camera_info import CameraInfoCache
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.pipeline import Received
from ssd_depth_ros.worker import Worker
from std_msgs.msg import Header

WAIT_S = 20.0


class Node:
    """Stand in for a node: keeps what is logged."""

    def __init__(self):
        self.context = SimpleNamespace(ok=lambda: True)
        self.errors = []

    def get_logger(self):
        return SimpleNamespace(error=lambda text, **_: self.errors.append(text))

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=10**9))


class Pipeline:
    """Stand in for the pipeline: does what a test says, and tells when it began."""

    def __init__(self, act):
        self.act = act
        self.cameras = CameraInfoCache()
        self.began = Event()

    def process(self, received, parameters):
        self.began.set()
        return self.act(self, received, parameters) or {}

    def close(self):
        self.cameras.close()


@pytest.fixture
def start():
    """Start a worker on a stand-in pipeline, and stop it after the test."""
    workers = []

    def start(act):
        node, pipeline = Node(), Pipeline(act)
        worker = Worker(pipeline, lambda: Parameters(camera_info_timeout=10.0), node)
        workers.append(worker)
        return worker, pipeline, node

    yield start
    for worker in workers:
        worker.stop()


def submit(worker):
    image = Image(header=Header(stamp=Time(sec=1)))
    worker.submit(Received(message=image, at_s=time.monotonic()))


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, 'timed out'
        time.sleep(0.005)


def test_stop_does_not_wait_for_a_camera_info(start):
    worker, pipeline, node = start(
        lambda pipeline, received, parameters: pipeline.cameras.find(
            received.message.header, parameters.camera_info_timeout
        )
    )
    submit(worker)
    assert pipeline.began.wait(WAIT_S)
    started = time.monotonic()
    worker.stop()
    assert time.monotonic() - started < 5
    # That image was left, not found faulty.
    assert worker.report().faulty == 0
    assert not node.errors


def fail_with(*errors):
    remaining = list(errors)

    def act(*_):
        if remaining:
            raise remaining.pop(0)

    return act


def test_unusable_image_is_told_in_one_line(start):
    worker, _, node = start(fail_with(ValueError('image is empty')))
    submit(worker)
    wait_for(lambda: node.errors)
    assert node.errors == ['image left out: image is empty']
    assert worker.report().faulty == 1
    wait_for(lambda: worker.last_fault)
    assert worker.last_fault[0] == 'image is empty'


def test_bug_is_told_with_its_traceback_and_the_next_image_is_done(start):
    worker, _, node = start(fail_with(KeyError('rays')))
    submit(worker)
    wait_for(lambda: worker.last_fault)
    (text,) = node.errors
    assert text.startswith('image left out by a bug\nTraceback')
    assert 'in act' in text
    assert text.endswith("KeyError: 'rays'\n")
    assert worker.last_fault[0].startswith("bug: KeyError('rays')")
    submit(worker)
    wait_for(lambda: worker.report().frames_out == 1)
    assert worker.report().faulty == 1
