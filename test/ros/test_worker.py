"""The worker with stand-ins for the network and the readers, driven by events."""

from threading import Event
import time
from types import SimpleNamespace

from builtin_interfaces.msg import Time
import pytest
from sensor_msgs.msg import Image
from ssd_depth_ros.camera import Camera
from ssd_depth_ros.parameters import Parameters
from ssd_depth_ros.reader import Picture, Received
from ssd_depth_ros.worker import Worker
from std_msgs.msg import Header

WAIT_S = 20.0


class Logger:
    """Stand in for a logger: keeps what is logged, with the camera's name."""

    def __init__(self, errors, name=''):
        self.errors, self.name = errors, name

    def get_child(self, name):
        return Logger(self.errors, f'{name}: ')

    def error(self, text, **_):
        self.errors.append(self.name + text)


class Node:
    """Stand in for a node."""

    def __init__(self):
        self.context = SimpleNamespace(ok=lambda: True)
        self.errors = []

    def get_logger(self):
        return Logger(self.errors)

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=10**9))

    def resolve_topic_name(self, name):
        return f'/{name}'


class Reader:
    """Stand in for reading: an image is what its message's encoding says."""

    def __init__(self, camera, read):
        self.camera, self.infos, self._read, self.began = camera.name, camera.infos, read, Event()

    def read(self, received, parameters):
        self.began.set()
        self._read(self, received, parameters)
        return Picture(
            camera=self.camera,
            received=received,
            image=received.message.encoding,
            K=None,
            calibration=None,
            read_s=time.monotonic(),
            seconds={'wait': 0.0},
        )

    def close(self):
        self.infos.close()


class Predictor:
    """Stand in for the network: gives its images back, notes its calls, fails where told."""

    def __init__(self):
        self.calls = []
        self.began = Event()
        self.go_on = Event()
        self.go_on.set()
        self.fail = lambda images: None

    def predict_batch(self, images, Ks):
        self.calls.append(images)
        self.began.set()
        assert self.go_on.wait(WAIT_S)
        self.fail(images)
        return images


class Setup(SimpleNamespace):
    def submit(self, camera='', image='rgb8'):
        message = Image(header=Header(stamp=Time(sec=1)), encoding=image)
        self.worker.submit(Received(message=message, at_s=time.monotonic(), age_s=0.0), camera)

    def counts(self, camera=''):
        report = self.worker.report(camera)
        return report.frames_out, report.faulty


@pytest.fixture
def start(monkeypatch):
    """Start a worker on stand-ins, and stop it after the test."""
    workers = []

    def start(*names, read=lambda *_: None, fail=None, timeout_s=1e6):
        node, predictor, published = Node(), Predictor(), []
        if fail is not None:
            predictor.fail = fail
        spec = SimpleNamespace(input_height=24, input_width=40)
        cameras = [Camera(node, name, None, spec) for name in names or ('',)]
        for camera in cameras:
            camera.reader = Reader(camera, read)
            camera.publish = lambda picture, prediction, _: published.append(
                (picture.camera, prediction)
            )
        parameters = Parameters(
            cameras=names or ('',), camera_info_timeout=10.0, batch_timeout=timeout_s
        )
        worker = Worker(cameras, predictor, lambda: parameters)
        workers.append((worker, predictor))
        return Setup(worker=worker, predictor=predictor, node=node, published=published)

    yield start
    for worker, predictor in workers:
        predictor.go_on.set()
        worker.stop()


def wait_for(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, 'timed out'
        time.sleep(0.005)


def test_stop_does_not_wait_for_a_camera_info(start):
    setup = start(
        read=lambda reader, received, parameters: reader.infos.find(
            received.message.header, parameters.camera_info_timeout
        )
    )
    setup.submit()
    assert setup.worker.cameras[''].reader.began.wait(WAIT_S)
    started = time.monotonic()
    setup.worker.stop()
    assert time.monotonic() - started < 5
    # That image was left, not found faulty.
    assert setup.counts() == (0, 0)
    assert not setup.node.errors


def fail_with(*errors):
    remaining = list(errors)

    def act(*_):
        if remaining:
            raise remaining.pop(0)

    return act


@pytest.mark.parametrize('stage', ['read', 'fail'])
def test_unusable_image_is_told_in_one_line(start, stage):
    setup = start(**{stage: fail_with(ValueError('image is empty'))})
    setup.submit()
    wait_for(lambda: setup.worker.cameras[''].last_fault)
    assert setup.node.errors == ['image left out: image is empty']
    assert setup.counts() == (0, 1)
    assert setup.worker.cameras[''].last_fault[0] == 'image is empty'


@pytest.mark.parametrize('stage', ['read', 'fail'])
def test_bug_is_told_with_its_traceback_and_the_next_image_is_done(start, stage):
    setup = start(**{stage: fail_with(KeyError('rays'))})
    setup.submit()
    wait_for(lambda: setup.worker.cameras[''].last_fault)
    (text,) = setup.node.errors
    assert text.startswith('image left out by a bug\nTraceback')
    assert 'in act' in text
    assert text.endswith("KeyError: 'rays'\n")
    assert setup.worker.cameras[''].last_fault[0].startswith("bug: KeyError('rays')")
    setup.submit()
    wait_for(lambda: setup.counts() == (1, 1))


def test_images_of_all_cameras_go_through_the_network_together(start):
    setup = start('left', 'front', 'right')
    for camera in ('right', 'left', 'front'):
        setup.submit(camera, f'of {camera}')
    wait_for(lambda: len(setup.published) == 3)
    assert len(setup.predictor.calls) == setup.worker.network_calls == 1
    assert set(setup.published) == {(n, f'of {n}') for n in ('left', 'front', 'right')}
    assert all(setup.counts(camera) == (1, 0) for camera in setup.worker.cameras)


def test_bad_image_leaves_only_its_own_camera_out(start):
    def read(reader, *_):
        if reader.camera == 'left':
            raise ValueError('image is empty')

    setup = start('left', 'front', 'right', read=read)
    for camera in setup.worker.cameras:
        setup.submit(camera)
    wait_for(lambda: len(setup.published) == 2)
    assert len(setup.predictor.calls) == 1
    assert [setup.counts(camera) for camera in setup.worker.cameras] == [(0, 1), (1, 0), (1, 0)]
    assert setup.node.errors == ['left: image left out: image is empty']


def test_picture_that_the_network_refuses_leaves_only_its_own_camera_out(start):
    def fail(images):
        if 'bad' in images:
            raise ValueError('inverse_depth must be finite')

    setup = start('left', 'front', 'right', fail=fail)
    for camera in setup.worker.cameras:
        setup.submit(camera, 'bad' if camera == 'front' else 'good')
    wait_for(lambda: len(setup.published) == 2)
    assert [len(images) for images in setup.predictor.calls] == [3, 1, 1, 1]
    assert [setup.counts(camera) for camera in setup.worker.cameras] == [(1, 0), (0, 1), (1, 0)]


def test_fault_of_the_engine_is_told_of_every_camera(start):
    setup = start('left', 'right', fail=fail_with(RuntimeError('out of memory')))
    for camera in setup.worker.cameras:
        setup.submit(camera)
    wait_for(lambda: all(c.last_fault for c in setup.worker.cameras.values()))
    assert len(setup.predictor.calls) == 1
    assert [setup.counts(camera) for camera in setup.worker.cameras] == [(0, 1), (0, 1)]


def test_missing_camera_delays_the_others_by_the_timeout_only(start):
    setup = start('left', 'right', timeout_s=0.0)
    setup.submit('left')
    wait_for(lambda: setup.published == [('left', 'rgb8')])
    assert setup.counts('right') == (0, 0)


def test_next_batch_is_read_while_the_network_is_busy(start):
    setup = start('left', 'right')
    setup.predictor.go_on.clear()
    for camera in setup.worker.cameras:
        setup.submit(camera)
    assert setup.predictor.began.wait(WAIT_S)
    readers = [camera.reader for camera in setup.worker.cameras.values()]
    for reader in readers:
        reader.began.clear()
    for camera in setup.worker.cameras:
        setup.submit(camera)
    assert all(reader.began.wait(WAIT_S) for reader in readers)
    assert len(setup.predictor.calls) == 1
    setup.predictor.go_on.set()
    wait_for(lambda: len(setup.published) == 4)


def test_newest_image_of_a_camera_wins_and_the_others_are_counted(start):
    setup = start('left', 'right')
    for image in ('first', 'second', 'third'):
        setup.submit('left', image)
    setup.submit('right')
    wait_for(lambda: len(setup.published) == 2)
    assert ('left', 'third') in setup.published
    assert [setup.worker.report(name).dropped for name in ('left', 'right')] == [2, 0]
