"""Measure the node as a robot runs it: a process of its own, fed over DDS at a camera's pace.

    python bench/node_speed.py --json docs/results/node_cpu.json

One process plays the camera (1600x900 JPEG with camera_info) and listens to depth, camera_info and
points; the node has the shared memory profile that depth.launch.py gives it. Age is from the
stamp, taken just before publishing, to the depth image's arrival.
"""

import argparse
from array import array
import os
from pathlib import Path
import shlex
import sys
import tempfile
import threading
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import numpy as np
from predictor_speed import street_like_jpeg
import psutil
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL
from ssd_depth_ros.node_process import NodeProcess

PROFILE = Path(__file__).parents[1] / 'config' / 'dds' / 'fastdds_shm.xml'
HEIGHT, WIDTH, FOCAL_PX = 900, 1600, 1266.0  # nuScenes' front camera
START_S = 60.0
DISCOVERY_S = 20.0
DRAIN_S = 2.0
WARM_UP_FRAMES = 12


class Camera:
    """Publish one picture again and again, and note when its depth comes back."""

    def __init__(self, node: Node, jpeg: bytes) -> None:
        """Advertise and subscribe.

        Args:
            node: Spun by another thread.
            jpeg: The picture.
        """
        self._node = node
        self._image = node.create_publisher(
            CompressedImage, 'image/compressed', qos_profile_sensor_data
        )
        self._info = node.create_publisher(CameraInfo, 'camera_info', qos_profile_sensor_data)
        k = [FOCAL_PX, 0, (WIDTH - 1) / 2, 0, FOCAL_PX, (HEIGHT - 1) / 2, 0, 0, 1]
        self._info_message = CameraInfo(height=HEIGHT, width=WIDTH, k=np.array(k, float))
        self._image_message = CompressedImage(format='jpeg', data=array('B', jpeg))
        self.sent_ns: list[int] = []
        self.arrived_ns: dict[int, int] = {}
        self.engine = ''
        """What the node says that it runs on, once it has said so."""
        self._subscriptions = [
            node.create_subscription(kind, f'depth_node/{name}', callback, 5)
            for kind, name, callback in (
                (Image, 'depth/image', self._on_depth),
                (CameraInfo, 'depth/camera_info', self._ignore),
                (PointCloud2, 'points', self._ignore),
                (DiagnosticArray, 'stats', self._on_stats),
            )
        ]

    def connected(self) -> bool:
        """Whether the node listens, is listened to, and has told its engine."""
        return (
            bool(self.engine)
            and all(p.get_subscription_count() for p in (self._image, self._info))
            and all(self._node.count_publishers(s.topic_name) for s in self._subscriptions)
        )

    def send(self) -> None:
        """Publish the picture with the stamp of now."""
        now = self._node.get_clock().now()
        for message, publisher in (
            (self._info_message, self._info),
            (self._image_message, self._image),
        ):
            message.header.stamp = now.to_msg()
            message.header.frame_id = 'cam_front'
            publisher.publish(message)
        self.sent_ns.append(now.nanoseconds)

    def _on_depth(self, message: Image) -> None:
        stamp = message.header.stamp
        now_ns = self._node.get_clock().now().nanoseconds
        self.arrived_ns[stamp.sec * 1_000_000_000 + stamp.nanosec] = now_ns

    def _on_stats(self, message: DiagnosticArray) -> None:
        self.engine = message.status[0].hardware_id

    def _ignore(self, message: Any) -> None:
        """Take a message: that it is sent, received and read is what costs."""


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run the node and the camera.

    Args:
        options: Of the command line.

    Returns:
        One row of the table.

    Raises:
        TimeoutError: If the node does not come up or does not connect.
    """
    domain = 1 + os.getpid() % 100
    os.environ |= {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST', 'ROS_DOMAIN_ID': str(domain)}
    arguments = ['-p', f'backend:={options.backend}', '-p', f'num_threads:={options.threads}']
    if options.model:
        arguments += ['-p', f'model:={options.model}']
    jpeg = street_like_jpeg()
    rclpy.init()
    node = rclpy.create_node('bench_camera')
    camera = Camera(node, jpeg)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    with (
        tempfile.TemporaryDirectory() as folder,
        NodeProcess(
            'depth_node',
            arguments,
            {'FASTRTPS_DEFAULT_PROFILES_FILE': str(PROFILE)},
            Path(folder) / 'node.log',
        ) as process,
    ):
        process.wait_until_active(node, START_S)
        deadline = time.monotonic() + DISCOVERY_S
        while not camera.connected():
            if time.monotonic() > deadline:
                raise TimeoutError(f'node and camera did not connect within {DISCOVERY_S:g} s')
            time.sleep(0.05)
        _play(camera, WARM_UP_FRAMES, options.rate)
        _settle(camera)
        camera.sent_ns.clear()
        used = _cpu_seconds()
        started = time.monotonic()
        _play(camera, round(options.seconds * options.rate), options.rate)
        seconds = time.monotonic() - started
        node_cpu = (_cpu_seconds() - used) / seconds
        _settle(camera)
        rss_mb = process.peak_rss_mb()
    executor.shutdown()
    rclpy.try_shutdown()
    thread.join()
    ages_ms = ages(camera.sent_ns, camera.arrived_ns)
    p50, p99 = np.percentile(ages_ms, (50, 99)) if ages_ms else (np.nan, np.nan)
    return {
        'method': f'depth_node, {camera.engine}',
        'data': f'{WIDTH}x{HEIGHT} JPEG, {len(jpeg) / 1e3:.0f} kB, {options.rate:g} Hz',
        'seconds': options.seconds,
        'n': len(camera.sent_ns),
        'dropped': len(camera.sent_ns) - len(ages_ms),
        'age_ms_p50': round(float(p50), 1),
        'age_ms_p99': round(float(p99), 1),
        'age_ms_max': round(max(ages_ms, default=np.nan), 1),
        'node_cores': round(node_cpu, 2),
        'peak_rss_mb': round(rss_mb),
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
    """Sum the processor time of the children that run: the node."""
    times = [child.cpu_times() for child in psutil.Process().children()]
    return sum(t.user + t.system for t in times)


def _play(camera: Camera, frames: int, rate_hz: float) -> None:
    start = time.monotonic()
    for index in range(frames):
        time.sleep(max(0.0, start + index / rate_hz - time.monotonic()))
        camera.send()


def _settle(camera: Camera) -> None:
    """Wait for the depth of the last picture."""
    deadline = time.monotonic() + DRAIN_S
    while camera.sent_ns[-1] not in camera.arrived_ns and time.monotonic() < deadline:
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
    parser.add_argument('--rate', type=float, default=12.0, help='pictures a second')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    row = measure(options)
    for name, value in row.items():
        print(f'{name:12} {value}')
    if options.json:
        result = Result(
            title='The node at work: drops, age and memory',
            command=shlex.join(['python', 'bench/node_speed.py', *arguments]),
            seed=0,
            data='a generated 1600x900 JPEG, quality 90, sent over DDS by another process',
            rows=(row,),
            notes=(
                'The camera and the listener (depth, camera_info, points) run on the same cores. '
                'Age is from the stamp to the arrival of the depth image in the other process.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
