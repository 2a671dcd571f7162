"""Measure the node as a robot runs it: a process of its own, fed over DDS at the cameras' pace.

    python bench/node_speed.py --json docs/results/node_cpu.json

Another process plays the cameras (1600x900 JPEG with camera_info), first one, then nuScenes' six,
which its LiDAR triggers one after the other; this one listens. Age is from the stamp, taken just
before publishing, to the depth image's arrival here. All have the shared memory profile that
depth.launch.py gives the node.
"""

import argparse
from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
import multiprocessing
from multiprocessing.connection import Connection
import os
from pathlib import Path
import shlex
import sys
import tempfile
from threading import Condition, Thread
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from predictor_speed import street_like_jpeg, times_ms
import psutil
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from ssd_depth_core.preprocess import focal_of
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.postprocess import check_outputs, metric_depth
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL
from ssd_depth_ros.conversions import rgb_from_compressed
from ssd_depth_ros.node_process import NodeProcess

PROFILE = {
    'FASTRTPS_DEFAULT_PROFILES_FILE': str(
        Path(__file__).parents[1] / 'config' / 'dds' / 'fastdds_shm.xml'
    )
}
HEIGHT, WIDTH, FOCAL_PX = 900, 1600, 1266.0  # nuScenes' front camera
NAMES = tuple(
    f'cam_{name}'
    for name in ('front', 'front_right', 'back_right', 'back', 'back_left', 'front_left')
)
SPREAD_S = 0.05
"""From the first of the cameras to the last and back to the first: a turn of nuScenes' LiDAR."""
START_S = 60.0
DISCOVERY_S = 20.0
DRAIN_S = 2.0
WARM_UP_FRAMES = 12
SPLIT_ROUNDS = 50
STAGES = ('receive', 'wait', 'decode', 'join', 'ready', 'predict', 'publish', 'latency')


class Cameras:
    """Publish one picture again and again, as several cameras that take turns."""

    def __init__(self, node: Node, prefixes: list[str], jpeg: bytes) -> None:
        """Advertise.

        Args:
            node: Who publishes.
            prefixes: What the topics of each camera begin with.
            jpeg: The picture.
        """
        k = [FOCAL_PX, 0, (WIDTH - 1) / 2, 0, FOCAL_PX, (HEIGHT - 1) / 2, 0, 0, 1]
        self._info = CameraInfo(height=HEIGHT, width=WIDTH, k=np.array(k, float))
        self._image = CompressedImage(format='jpeg', data=array('B', jpeg))
        self._publishers = [
            (
                node.create_publisher(CameraInfo, f'{p}camera_info', qos_profile_sensor_data),
                node.create_publisher(
                    CompressedImage, f'{p}image/compressed', qos_profile_sensor_data
                ),
            )
            for p in prefixes
        ]

    def connected(self) -> bool:
        """Whether somebody listens to all."""
        return all(p.get_subscription_count() for pair in self._publishers for p in pair)

    def play(self, frames: int, rate_hz: float) -> list[list[int]]:
        """Publish at the cameras' pace.

        Args:
            frames: Of each camera.
            rate_hz: Of each camera.

        Returns:
            For each camera, the stamps of its pictures [ns].
        """
        stamps: list[list[int]] = [[] for _ in self._publishers]
        turn_s = SPREAD_S / len(self._publishers)
        start = time.monotonic()
        for index in range(frames):
            for turn, (info, image) in enumerate(self._publishers):
                due = start + index / rate_hz + turn * turn_s
                time.sleep(max(0.0, due - time.monotonic()))
                now_ns = time.time_ns()
                for message, publisher in ((self._info, info), (self._image, image)):
                    message.header.stamp.sec, message.header.stamp.nanosec = divmod(now_ns, 10**9)
                    message.header.frame_id = f'camera_{turn}'
                    publisher.publish(message)
                stamps[turn].append(now_ns)
        return stamps


def play_cameras(orders: Connection, prefixes: list[str], jpeg: bytes) -> None:
    """Play the cameras in a process of their own.

    Args:
        orders: Takes (frames, rate) and gives the stamps, until None; says first when the node
            listens.
        prefixes: What the topics of each camera begin with.
        jpeg: The picture.
    """
    os.environ |= PROFILE
    rclpy.init()
    cameras = Cameras(rclpy.create_node('bench_cameras'), prefixes, jpeg)
    _wait(cameras.connected, 'node and cameras')
    orders.send('connected')
    while (order := orders.recv()) is not None:
        orders.send(cameras.play(*order))
    rclpy.shutdown()


class Listener:
    """Note when depth comes, and what the node tells of itself."""

    def __init__(self, node: Node, prefixes: list[str], with_points: bool) -> None:
        """Subscribe.

        Args:
            node: Spun by another thread.
            prefixes: What the topics of each camera begin with.
            with_points: Whether to take the clouds too.
        """
        self.arrived_ns: list[dict[int, int]] = [{} for _ in prefixes]
        """When depth came, by its stamp, for each camera."""
        self.engine = ''
        """What the node says that it runs on, once it has said so."""
        self._figures: dict[str, float] = {}
        self._told = Condition()
        self._node = node
        self._subscriptions = [
            node.create_subscription(DiagnosticArray, 'depth_node/stats', self._on_stats, 5)
        ]
        for prefix, arrived in zip(prefixes, self.arrived_ns, strict=True):
            topics: list[tuple[type, str, Callable[[Any], None]]] = [
                (Image, 'depth/image', partial(_note, arrived)),
                (CameraInfo, 'depth/camera_info', _ignore),
            ]
            if with_points:
                topics.append((PointCloud2, 'points', _ignore))
            self._subscriptions += [
                node.create_subscription(kind, f'depth_node/{prefix}{name}', callback, 5)
                for kind, name, callback in topics
            ]

    def connected(self) -> bool:
        """Whether the node is listened to, and has told its engine."""
        topics = (subscription.topic_name for subscription in self._subscriptions)
        return bool(self.engine) and all(map(self._node.count_publishers, topics))

    def figures(self) -> dict[str, float]:
        """Wait for what the node tells next but one, which is of what it does now.

        Returns:
            Its numbers by name; those of all cameras together where there are several.

        Raises:
            TimeoutError: If it falls silent.
        """
        for _ in range(2):
            with self._told:
                if not self._told.wait(DISCOVERY_S):
                    raise TimeoutError('the node publishes no statistics any more')
        return self._figures

    def _on_stats(self, message: DiagnosticArray) -> None:
        status = message.status[0]
        figures = {}
        for item in status.values:
            try:
                figures[item.key] = float(item.value)
            except ValueError:
                continue  # words
        with self._told:
            self._figures, self.engine = figures, status.hardware_id
            self._told.notify_all()


def _note(arrived_ns: dict[int, int], message: Image) -> None:
    stamp = message.header.stamp
    arrived_ns[stamp.sec * 10**9 + stamp.nanosec] = time.time_ns()


def _ignore(message: Any) -> None:
    """Take a message: that it is sent, received and read is what costs."""


def _wait(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DISCOVERY_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f'{what} did not connect within {DISCOVERY_S:g} s')
        time.sleep(0.05)


@contextmanager
def _listening(prefixes: list[str]) -> Iterator[tuple[Node, Listener]]:
    """Spin a listener; clouds only of a single camera, as many would be 70 MB a second."""
    rclpy.init()
    node = rclpy.create_node('bench_listener')
    listener = Listener(node, prefixes, with_points=len(prefixes) == 1)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = Thread(target=executor.spin, daemon=True)
    thread.start()
    try:
        yield node, listener
    finally:
        executor.shutdown()
        rclpy.try_shutdown()
        thread.join()


@contextmanager
def _cameras(prefixes: list[str], jpeg: bytes) -> Iterator[Connection]:
    """Start the cameras' process; give where to order pictures."""
    context = multiprocessing.get_context('spawn')
    ours, theirs = context.Pipe()
    process = context.Process(target=play_cameras, args=(theirs, prefixes, jpeg), daemon=True)
    process.start()
    theirs.close()  # so that its end is seen here as one
    try:
        yield ours
        ours.send(None)
        process.join(DISCOVERY_S)
    finally:
        process.kill()
        process.join()


def measure(options: argparse.Namespace, num_cameras: int) -> tuple[dict[str, Any], ...]:
    """Run the node and the cameras.

    Args:
        options: Of the command line.
        num_cameras: How many; one has no name.

    Returns:
        One row of the table, and one of the stages.

    Raises:
        TimeoutError: If the node does not come up or does not connect.
    """
    prefixes = [f'{name}/' for name in NAMES[:num_cameras]] if num_cameras > 1 else ['']
    arguments = ['-p', f'backend:={options.backend}', '-p', f'num_threads:={options.threads}']
    if options.model:
        arguments += ['-p', f'model:={options.model}']
    if num_cameras > 1:
        arguments += ['-p', f'cameras:=[{", ".join(NAMES[:num_cameras])}]']
    jpeg = street_like_jpeg()
    with (
        tempfile.TemporaryDirectory() as folder,
        _listening(prefixes) as (node, listener),
        NodeProcess('depth_node', arguments, PROFILE, Path(folder) / 'node.log') as process,
    ):
        process.wait_until_active(node, START_S)
        _wait(listener.connected, 'node and listener')
        with _cameras(prefixes, jpeg) as cameras:
            cameras.recv()
            cameras.send((WARM_UP_FRAMES, options.rate))
            _settle(cameras.recv(), listener)
            before = listener.figures()
            used = _cpu_seconds()
            started = time.monotonic()
            cameras.send((round(options.seconds * options.rate), options.rate))
            sent_ns = cameras.recv()
            seconds = time.monotonic() - started
            node_cores = (_cpu_seconds() - used) / seconds
            _settle(sent_ns, listener)
            after = listener.figures()
            rss_mb = process.peak_rss_mb()
    ages_ms = [
        age
        for sent, came in zip(sent_ns, listener.arrived_ns, strict=True)
        for age in ages(sent, came)
    ]
    p50, p99 = np.percentile(ages_ms, (50, 99)) if ages_ms else (np.nan, np.nan)
    n = sum(map(len, sent_ns))
    row = {
        'method': f'depth_node, {listener.engine}',
        'data': f'{num_cameras} x {WIDTH}x{HEIGHT} JPEG, {len(jpeg) / 1e3:.0f} kB, '
        f'{options.rate:g} Hz',
        'seconds': options.seconds,
        'n': n,
        'in': round(after['frames_in'] - before['frames_in']),
        'out': round(after['frames_out'] - before['frames_out']),
        'dropped': n - len(ages_ms),
        'age_ms_p50': round(float(p50), 1),
        'age_ms_p99': round(float(p99), 1),
        'age_ms_max': round(max(ages_ms, default=np.nan), 1),
        'node_cores': round(node_cores, 2),
        'peak_rss_mb': round(rss_mb),
    }
    stages = {'cameras': num_cameras} | {
        f'{stage}_ms': after.get(f'{stage}_ms_p50', np.nan) for stage in STAGES
    }
    return row, stages | split(options, jpeg, num_cameras)


def split(options: argparse.Namespace, jpeg: bytes, batch: int) -> dict[str, float]:
    """Time the parts of `predict`, by themselves: the node tells their sum alone.

    Args:
        options: Of the command line.
        jpeg: The picture.
        batch: How many pictures go through the network together.

    Returns:
        Medians for a batch [ms]: before the network, in it, and after it.
    """
    predictor = DepthPredictor.load(options.model, options.backend, options.threads or None)
    spec, size = predictor.spec, (predictor.spec.input_height, predictor.spec.input_width)
    image, _ = rgb_from_compressed(CompressedImage(data=array('B', jpeg)), size)
    K = np.diag((image.shape[1], image.shape[1], 1.0))
    blob = np.zeros((batch, 3, *size), np.float32)
    # The engine that was chosen; asked for again, it might be another model's.
    engine = predictor._backend

    def finish(outputs: dict[str, Any]) -> None:
        check_outputs(outputs, spec)
        for index in range(batch):
            metric_depth(outputs['inverse_depth'][index, 0], spec, focal_of(K))

    _, whole, _ = times_ms(
        lambda: predictor.predict_batch([image] * batch, [K] * batch), SPLIT_ROUNDS
    )
    _, network, _ = times_ms(lambda: engine.run(blob), SPLIT_ROUNDS)
    outputs = engine.run(blob)
    _, post, _ = times_ms(lambda: finish(outputs), SPLIT_ROUNDS)
    return {
        'pre_ms': round(max(whole - network - post, 0.0), 2),
        'network_ms': round(network, 2),
        'post_ms': round(post, 2),
    }


def ages(sent_ns: list[int], arrived_ns: dict[int, int]) -> list[float]:
    """Tell how old depth was when it came.

    Args:
        sent_ns: Stamps of the pictures that count.
        arrived_ns: When depth came, by its stamp; a late one of the warm-up is left out.

    Returns:
        Age of each depth image that came [ms].
    """
    return [1e-6 * (arrived_ns[stamp] - stamp) for stamp in sent_ns if stamp in arrived_ns]


def _cpu_seconds() -> float:
    """Tell the processor time of the node."""
    children = psutil.Process().children()
    (node,) = (c for c in children if 'ssd_depth_ros.depth_node' in c.cmdline())
    times = node.cpu_times()
    return times.user + times.system


def _settle(sent_ns: list[list[int]], listener: Listener) -> None:
    """Wait for the depth of the last pictures."""
    deadline = time.monotonic() + DRAIN_S
    pairs = list(zip(sent_ns, listener.arrived_ns, strict=True))
    while time.monotonic() < deadline and any(sent[-1] not in came for sent, came in pairs):
        time.sleep(0.01)


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--model', type=Path, help=f'ONNX file; {SHIPPED_MODEL.name} if left out')
    parser.add_argument('--backend', default='auto')
    parser.add_argument(
        '--threads', type=int, default=0, help='of the engine; 0 for its own choice'
    )
    parser.add_argument('--cameras', type=int, nargs='+', default=[1, 6], help='how many, 1 to 6')
    parser.add_argument('--rate', type=float, default=12.0, help='pictures a second of each')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    if not all(1 <= number <= len(NAMES) for number in options.cameras):
        parser.error(f'--cameras must be from 1 to {len(NAMES)}, got {options.cameras}')
    domain = 1 + os.getpid() % 100
    os.environ |= {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': str(domain)}
    rows, stages = zip(*(measure(options, number) for number in options.cameras), strict=True)
    for table in (rows, stages):
        for row in table:
            print('  '.join(f'{name} {value}' for name, value in row.items()))
    if options.json:
        result = Result(
            title='The node at work: drops, age and memory',
            command=shlex.join(['python', 'bench/node_speed.py', *arguments]),
            seed=0,
            data='a generated 1600x900 JPEG, quality 90, sent over DDS by another process',
            rows=rows,
            further={'stages': stages},
            notes=(
                'Cameras and listener (depth and camera_info, of a single camera points too) are '
                'processes on the same cores. Age is from the stamp to the arrival of the depth '
                'image at the listener; dropped is what did not arrive, in and out are as the '
                'node counts. Six cameras take their pictures one after the other within 50 ms, '
                'and the first of them waits for the last. Stages are medians as the node tells '
                'them, pictures of a batch waiting for each other; pre, network and post, for the '
                'batch, were timed by themselves after it.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
