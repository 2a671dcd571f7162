"""Play the cameras of a bench: a process of its own that publishes one picture at their pace.

Messages go through the shared memory profile that depth.launch.py gives the node.
"""

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
import multiprocessing
from multiprocessing.connection import Connection
import os
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from ros_bench import DISCOVERY_S, PROFILE, wait_for
from sensor_msgs.msg import CameraInfo, CompressedImage

HEIGHT, WIDTH, FOCAL_PX = 900, 1600, 1266.0  # nuScenes' front camera
NAMES = tuple(
    f'cam_{name}'
    for name in ('front', 'front_right', 'back_right', 'back', 'back_left', 'front_left')
)
SPREAD_S = 0.05
"""From the first of the cameras to the last and back to the first: a turn of nuScenes' LiDAR."""


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
    wait_for(cameras.connected, 'node and cameras')
    orders.send('connected')
    while (order := orders.recv()) is not None:
        orders.send(cameras.play(*order))
    rclpy.shutdown()


@contextmanager
def playing(prefixes: list[str], jpeg: bytes) -> Iterator[Connection]:
    """Start the cameras' process.

    Args:
        prefixes: What the topics of each camera begin with.
        jpeg: The picture.

    Yields:
        Where to order pictures: (frames, rate) gives the stamps, as `play_cameras` says.
    """
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
