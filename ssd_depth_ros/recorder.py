"""Record what a node publishes: its bytes into an MCAP file, its arrival times in memory."""

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from threading import Condition
import time
from types import TracebackType

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ssd_depth_core.bags.messages import cdr_stamp_ns
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_ros.bag_publishers import message_class

# Best effort loses most of what is larger than 0.5 MB on default Fast DDS; the depth of the queue
# carries the recorder over a second in which other processes had the CPU.
QOS = QoSProfile(depth=30, reliability=ReliabilityPolicy.RELIABLE)


class Recorder:
    """Record topics of stamped messages from construction until the context is left.

    The file's log time is the message's own stamp, so that the file plays beside the bag that the
    node was fed from; messages stamped 0 (sent before `/clock` began) are left out.
    """

    def __init__(self, node: Node, topics: Mapping[str, str], path: Path) -> None:
        """Subscribe.

        Args:
            node: Owns the subscriptions; spun by another thread.
            topics: Topic to message type, e.g. `sensor_msgs/msg/Image`; stamped types only.
            path: The `.mcap` file, there once the context is left and if anything came; one of an
                earlier run is deleted.
        """
        self._topics = topics
        self._path = path
        self._arrivals: dict[str, dict[int, int]] = {topic: {} for topic in topics}
        self._arrived = Condition()
        self._queue: SimpleQueue[tuple[str, int, bytes] | None] = SimpleQueue()
        self._subscriptions = {
            topic: node.create_subscription(
                message_class(msgtype), topic, partial(self._take, topic), QOS, raw=True
            )
            for topic, msgtype in topics.items()
        }
        self._pool = ThreadPoolExecutor(1)
        self._written: Future[None] | None = None

    def __enter__(self) -> 'Recorder':
        """Start the thread that writes.

        Returns:
            This recorder.

        Raises:
            OSError: If the file of an earlier run cannot be deleted.
        """
        self._path.unlink(missing_ok=True)
        self._written = self._pool.submit(self._write)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Finish the file.

        Args:
            kind: Ignored; a recording that an error cut short is worth keeping.
            error: Ignored.
            traceback: Ignored.

        Raises:
            OSError: If the file could not be written.
        """
        self._queue.put(None)
        assert self._written is not None
        self._written.result()
        self._pool.shutdown()

    def missing_publishers(self, topics: Iterable[str]) -> list[str]:
        """Tell which topics nobody publishes to this recorder yet.

        Args:
            topics: Some of those recorded.

        Returns:
            Their names.
        """
        return [topic for topic in topics if not self._subscriptions[topic].get_publisher_count()]

    def arrivals(self, topic: str) -> dict[int, int]:
        """Tell what has come in on a topic.

        Args:
            topic: One of those recorded.

        Returns:
            Stamp [ns] to `time.monotonic_ns()` of its first arrival.
        """
        with self._arrived:
            return dict(self._arrivals[topic])

    def count(self, topic: str) -> int:
        """Count the stamps that have come in on a topic.

        Args:
            topic: One of those recorded.

        Returns:
            How many.
        """
        return len(self._arrivals[topic])

    def wait_for(self, topic: str, stamp_ns: int, timeout_s: float) -> bool:
        """Wait for one message.

        Args:
            topic: One of those recorded.
            stamp_ns: Its header stamp [ns].
            timeout_s: How long to wait.

        Returns:
            Whether it has come.
        """
        seen = self._arrivals[topic]
        with self._arrived:
            return self._arrived.wait_for(lambda: stamp_ns in seen, timeout_s)

    def _take(self, topic: str, cdr: bytes) -> None:
        now_ns = time.monotonic_ns()
        stamp_ns = cdr_stamp_ns(cdr)
        if stamp_ns == 0:
            return
        with self._arrived:
            self._arrivals[topic].setdefault(stamp_ns, now_ns)
            self._arrived.notify_all()
        self._queue.put((topic, stamp_ns, cdr))

    def _write(self) -> None:
        """Empty the queue into the file, on a thread of its own: compression takes its time."""
        messages = iter(self._queue.get, None)
        if (first := next(messages, None)) is None:
            return
        with BagWriter(self._path) as bag:
            for topic, stamp_ns, cdr in chain([first], messages):
                bag.write_raw(topic, self._topics[topic], cdr, stamp_ns)
