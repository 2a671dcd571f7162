# ruff: noqa: E402  (imports follow importorskip)
"""The node as a process, a tiny network for it, and a peer that speaks to it over DDS."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
import itertools
import os
from pathlib import Path
import signal
import subprocess
import sys
from threading import Condition, Thread
from typing import Any

import cv2
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.srv import ChangeState, GetState
import onnx
from onnx import helper, TensorProto
from rcl_interfaces.msg import Parameter, SetParametersResult
from rcl_interfaces.srv import SetParameters
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from ssd_depth_core.checks import sha256_of
from ssd_depth_core.model_spec import ModelSpec, save_spec
from std_msgs.msg import Header

ROOT = Path(__file__).parents[2]
# Above what a busy machine of two cores takes to start Python, rclpy and an engine.
TIMEOUT_S = 40.0
# Node runs of one session never hear each other, and hardly those of another session.
DOMAINS = itertools.cycle((os.getpid() + i * 7) % 100 + 1 for i in range(100))

INPUT_HEIGHT, INPUT_WIDTH = 24, 40
CANONICAL_FOCAL_PX = 50.0
OUTPUTS = {
    'depth_node/depth/image': Image,
    'depth_node/depth/camera_info': CameraInfo,
    'depth_node/points': PointCloud2,
    'depth_node/confidence/image': Image,
    'depth_node/depth/colormap': Image,
    'depth_node/stats': DiagnosticArray,
    '/diagnostics': DiagnosticArray,
}


def write_model(
    path: Path, *, confidence: bool = True, work_channels: int = 0, floor: float = 1e-3
) -> Path:
    """Write a network whose inverse depth is the red channel [1/m] and its confidence the green.

    Where there is no red it says 1 km; with `floor` 0 it says 0, which is a fault.
    `work_channels` adds convolutions of so many channels to keep the processor busy.
    """
    shape = ['batch', 1, INPUT_HEIGHT, INPUT_WIDTH]
    constants = [
        helper.make_tensor(name, TensorProto.INT64, [1], [channel])
        for name, channel in (('red', 0), ('green', 1))
    ]
    nodes = [helper.make_node('Gather', ['image', 'red'], ['red_channel'], axis=1)]
    source = 'red_channel'
    if work_channels:
        rng = np.random.default_rng(0)
        sizes = (3, work_channels, work_channels, work_channels, 1)
        for index, (low, high) in enumerate(itertools.pairwise(sizes)):
            weights = rng.uniform(0, 1e-6, (high, low, 3, 3)).astype(np.float32)
            constants.append(onnx.numpy_helper.from_array(weights, f'w{index}'))
            before = f'c{index - 1}' if index else 'image'
            nodes.append(
                helper.make_node('Conv', [before, f'w{index}'], [f'c{index}'], pads=[1, 1, 1, 1])
            )
        nodes.append(helper.make_node('Add', [source, f'c{len(sizes) - 2}'], ['busy']))
        source = 'busy'
    constants.append(helper.make_tensor('floor', TensorProto.FLOAT, [], [floor]))
    nodes.append(helper.make_node('Max', [source, 'floor'], ['inverse_depth']))
    outputs = [helper.make_tensor_value_info('inverse_depth', TensorProto.FLOAT, shape)]
    if confidence:
        nodes.append(helper.make_node('Gather', ['image', 'green'], ['confidence'], axis=1))
        outputs.append(helper.make_tensor_value_info('confidence', TensorProto.FLOAT, shape))
    image = helper.make_tensor_value_info(
        'image', TensorProto.FLOAT, ['batch', 3, INPUT_HEIGHT, INPUT_WIDTH]
    )
    graph = helper.make_graph(nodes, 'tiny', [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    spec = ModelSpec(
        name='tiny',
        onnx_sha256=sha256_of(path),
        input_height=INPUT_HEIGHT,
        input_width=INPUT_WIDTH,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        has_confidence=confidence,
        canonical_focal_px=CANONICAL_FOCAL_PX,
        training_data='none',
        training_command='none',
        metrics={},
        licence='Apache-2.0',
    )
    save_spec(spec, path)
    return path


@pytest.fixture(scope='session')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp('model') / 'tiny.onnx')


class Peer:
    """Hold the camera's and the consumer's side: publishes images, collects all outputs."""

    def __init__(self, domain: int) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node('peer', context=self.context)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self.changed = Condition()
        self.image = self.node.create_publisher(Image, 'image', 5)
        self.compressed = self.node.create_publisher(CompressedImage, 'image/compressed', 5)
        self.camera_info = self.node.create_publisher(CameraInfo, 'camera_info', 5)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = Thread(target=self._spin, daemon=True)
        self.thread.start()
        self.stamps = itertools.count(1)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self.executor.spin()

    def listen(self, *topics: str) -> None:
        for topic in topics or OUTPUTS:
            self.node.create_subscription(
                OUTPUTS[topic], topic, lambda message, topic=topic: self._on(topic, message), 50
            )

    def _on(self, topic: str, message: Any) -> None:
        with self.changed:
            self.received[topic].append(message)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until a condition of what was received holds, and return its value."""
        with self.changed:
            value = self.changed.wait_for(condition, TIMEOUT_S)
        assert value, f'timed out waiting for {what}; got {self.counts()}'
        return value

    def counts(self) -> dict[str, int]:
        return {topic: len(messages) for topic, messages in self.received.items()}

    def wait_matched(self) -> None:
        """Wait until the node has matched this peer's topics, so that no message is lost."""
        self.wait_status(lambda s: ' 0' not in value_of(s, 'subscribers', ' 0'))
        # The count of matched readers has no event in rclpy: look at it whenever anything comes.
        inputs = (self.image, self.compressed, self.camera_info)
        self.wait(lambda: all(p.get_subscription_count() for p in inputs), 'the inputs to match')

    def header(self, frame_id: str = 'camera') -> Header:
        return Header(stamp=Time(sec=1_700_000_000, nanosec=next(self.stamps)), frame_id=frame_id)

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(TIMEOUT_S), f'no service {name}'
        future = client.call_async(request)
        future.add_done_callback(lambda _: self._on('', None))
        self.wait(future.done, name)
        self.node.destroy_client(client)
        return future.result()

    def state(self) -> str:
        return self.call(GetState, '/depth_node/get_state', GetState.Request()).current_state.label

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, '/depth_node/change_state', request).success

    def set_parameter(self, name: str, value: Any) -> SetParametersResult:
        parameter: Parameter = rclpy.Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        return self.call(SetParameters, '/depth_node/set_parameters', request).results[0]

    def wait_status(self, condition: Callable[[DiagnosticStatus], Any]) -> DiagnosticStatus:
        """Wait for a diagnostic status that comes from now on and fulfils a condition."""
        start = len(self.received['/diagnostics'])

        def found() -> DiagnosticStatus | None:
            statuses = [m.status[0] for m in self.received['/diagnostics'][start:]]
            return next((status for status in statuses if condition(status)), None)

        return self.wait(found, 'a diagnostic status')

    def close(self) -> None:
        rclpy.shutdown(context=self.context)
        self.thread.join()
        self.executor.shutdown()


class NodeProcess:
    """Hold the node's process; its log is kept."""

    def __init__(self, log: Path, domain: int, arguments: list[str]) -> None:
        self.log = log
        environment = os.environ | {'ROS_DOMAIN_ID': str(domain), 'OMP_NUM_THREADS': '1'}
        with log.open('w') as file:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'ssd_depth_ros.depth_node', '--ros-args', *arguments],
                cwd=ROOT,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    def text(self) -> str:
        return self.log.read_text()

    def interrupt(self, how: int = signal.SIGINT) -> int:
        self.process.send_signal(how)
        return self.process.wait(TIMEOUT_S)


def value_of(status: DiagnosticStatus, key: str, default: str = '') -> str:
    return {item.key: item.value for item in status.values}.get(key, default)


StartNode = Callable[..., tuple[NodeProcess, Peer]]


@pytest.fixture
def start_node(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StartNode]:
    """Start a node with parameters, and a peer in its domain; the end of the test stops both.

    `before` is what the peer does before the node starts.
    """
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    started: list[tuple[NodeProcess, Peer]] = []

    def start(
        *remaps: str, before: Callable[[Peer], None] | None = None, **parameters: Any
    ) -> tuple[NodeProcess, Peer]:
        domain = next(DOMAINS)
        peer = Peer(domain)
        if before is not None:
            before(peer)
        # Reliable, so that not one image of the few is lost.
        values: dict[str, Any] = {
            'model': model,
            'num_threads': 1,
            'backend': 'onnxruntime',
            'input_qos': 'reliable',
        } | parameters
        arguments = [
            item
            for name, value in values.items()
            for item in ('-p', f'{name.replace("__", ".")}:={value}')
        ]
        arguments += [item for remap in remaps for item in ('-r', remap)]
        process = NodeProcess(tmp_path / f'node{len(started)}.log', domain, arguments)
        started.append((process, peer))
        return started[-1]

    yield start
    for process, peer in started:
        peer.close()
        if process.process.poll() is None:
            process.process.kill()
            process.process.wait()


def picture(height: int, width: int, red: int = 51, green: int = 204) -> np.ndarray:
    """Make an RGB picture: canonical depth 255/red m and confidence green/255, sky on the left."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :, 0] = red
    image[..., 1] = green
    image[..., 2] = 77
    return image


def image_message(header: Header, pixels: np.ndarray, encoding: str = 'rgb8') -> Image:
    height, width = pixels.shape[:2]
    message = Image(header=header, height=height, width=width, encoding=encoding)
    message.step = pixels.nbytes // height
    message.data.frombytes(pixels.tobytes())
    return message


def jpeg_message(header: Header, pixels: np.ndarray, quality: int = 95) -> CompressedImage:
    _, data = cv2.imencode('.jpg', pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    message = CompressedImage(header=header, format='jpeg')
    message.data.frombytes(data.tobytes())
    return message


def camera_info(header: Header, size: tuple[int, int], focal: float = 100.0) -> CameraInfo:
    height, width = size
    k = [focal, 0.0, width / 2 - 0.5, 0.0, focal, height / 2 - 0.5, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    return CameraInfo(
        header=header,
        height=height,
        width=width,
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=k,
        r=np.eye(3).ravel(),
        p=p,
    )


@pytest.fixture(scope='session')
def messages() -> Any:
    """Give test modules, which cannot import this file, what it makes."""
    from types import SimpleNamespace

    return SimpleNamespace(
        picture=picture,
        image=image_message,
        jpeg=jpeg_message,
        camera_info=camera_info,
        write_model=write_model,
        value_of=value_of,
        input_size=(INPUT_HEIGHT, INPUT_WIDTH),
        canonical_focal_px=CANONICAL_FOCAL_PX,
    )
