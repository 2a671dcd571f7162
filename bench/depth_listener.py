"""Listen to the node of a bench: when its depth came, and what it tells of itself."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Condition, Thread
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.subscription import Subscription
from ros_bench import DISCOVERY_S
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

DRAIN_S = 2.0


class Listener:
    """Note when depth comes, and what the node tells of itself."""

    def __init__(self, node: Node, prefixes: list[str], *, has_stats: bool) -> None:
        """Subscribe; to clouds only of a single camera, as many would be 70 MB a second.

        Args:
            node: Spun by another thread.
            prefixes: What the topics of each camera begin with.
            has_stats: Whether the node tells statistics, as ours does.
        """
        self.arrived_ns: list[dict[int, int]] = [{} for _ in prefixes]
        """When depth came, by its stamp, for each camera."""
        self.engine = ''
        """What the node says that it runs on, once it has said so."""
        self._figures: dict[str, float] = {}
        self._told = Condition()
        self._node = node
        self._has_stats = has_stats
        self._subscriptions: list[Subscription] = []
        if has_stats:
            self._subscriptions.append(
                node.create_subscription(DiagnosticArray, 'depth_node/stats', self._on_stats, 5)
            )
        for prefix, arrived in zip(prefixes, self.arrived_ns, strict=True):
            topics: list[tuple[type, str, Callable[[Any], None]]] = [
                (Image, 'depth/image', partial(_note, arrived)),
                (CameraInfo, 'depth/camera_info', _ignore),
            ]
            if len(prefixes) == 1:
                topics.append((PointCloud2, 'points', _ignore))
            self._subscriptions += [
                node.create_subscription(kind, f'depth_node/{prefix}{name}', callback, 5)
                for kind, name, callback in topics
            ]

    def connected(self) -> bool:
        """Whether the node is listened to, and has told its engine where it tells anything."""
        topics = (subscription.topic_name for subscription in self._subscriptions)
        told = bool(self.engine) or not self._has_stats
        return told and all(map(self._node.count_publishers, topics))

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

    def settle(self, sent_ns: list[list[int]]) -> None:
        """Wait for the depth of the last pictures, a little.

        Args:
            sent_ns: Stamps of each camera's pictures.
        """
        deadline = time.monotonic() + DRAIN_S
        pairs = list(zip(sent_ns, self.arrived_ns, strict=True))
        while time.monotonic() < deadline and any(sent[-1] not in came for sent, came in pairs):
            time.sleep(0.01)

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


@contextmanager
def listening(prefixes: list[str], has_stats: bool = True) -> Iterator[tuple[Node, Listener]]:
    """Spin a listener in a thread of its own.

    Args:
        prefixes: As of `Listener`.
        has_stats: As of `Listener`.

    Yields:
        Who listens, and the listener.
    """
    rclpy.init()
    node = rclpy.create_node('bench_listener')
    listener = Listener(node, prefixes, has_stats=has_stats)
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
