"""Read a bag, as messages or as the bytes of messages, with errors that name it and the remedy."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rosbags.highlevel import AnyReader
from rosbags.interfaces import Connection
from ssd_depth_core.bags.messages import Message, TYPESTORE


class BagReader:
    """Read a ROS 2 bag: a folder with `metadata.yaml`, an `.mcap` or a `.db3` file."""

    def __init__(self, path: Path) -> None:
        """Name the bag; it is opened on entering the context.

        Args:
            path: The bag.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is a ROS 1 bag, whose messages have other field names.
        """
        if not path.exists():
            raise FileNotFoundError(
                f'bag not found at {path}; give a bag folder or an .mcap or .db3 file'
            )
        if path.suffix == '.bag':
            raise ValueError(f'bag {path} is of ROS 1; run `rosbags-convert` on it first')
        self.path = path

    def __enter__(self) -> 'BagReader':
        """Open the bag.

        Returns:
            This reader.

        Raises:
            ValueError: If it is no bag, is damaged, or holds no message.
        """
        with self._naming_damage():
            self._bag = AnyReader([self.path], default_typestore=TYPESTORE)
            self._bag.open()
        if not self._bag.message_count:
            self._bag.close()
            raise ValueError(
                f'bag {self.path} holds no message; was anything published meanwhile?'
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bag.close()

    @property
    def connections(self) -> list[Connection]:
        """What is recorded: topics, types, counts, and in `ext` the QoS that was offered."""
        return self._bag.connections

    @property
    def start_ns(self) -> int:
        """Log time of the first message, nanoseconds since the epoch."""
        return self._bag.start_time

    @property
    def stop_ns(self) -> int:
        """One nanosecond after the log time of the last message."""
        return self._bag.end_time

    def messages(self, connection: Connection) -> Iterator[tuple[int, Message]]:
        """Read one topic, every message of it.

        Args:
            connection: One of `connections`.

        Yields:
            Log time, nanoseconds, and message, in the order of time.

        Raises:
            ValueError: If the bag is damaged.
        """
        for _, log_time_ns, cdr in self.raw_messages([connection]):
            with self._naming_damage():
                message = self._bag.deserialize(cdr, connection.msgtype)
            yield log_time_ns, message

    def raw_messages(
        self,
        connections: Collection[Connection],
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[tuple[str, int, bytes]]:
        """Read serialized messages, which is all that playing a bag again takes.

        Args:
            connections: Of `connections`, at least one.
            start_ns: Log time of the first message, inclusive; None for the bag's start.
            stop_ns: Log time before which reading ends; None for the bag's end.

        Yields:
            Topic, log time, nanoseconds, and CDR with its encapsulation, in the order of time.

        Raises:
            ValueError: If the bag is damaged.
        """
        assert connections, 'rosbags would read every topic'
        with self._naming_damage():
            for connection, log_time_ns, cdr in self._bag.messages(connections, start_ns, stop_ns):
                yield connection.topic, log_time_ns, cdr

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        # Damaged bytes come out of rosbags as errors of YAML, struct, zstd, a KeyError...
        except Exception as error:
            raise ValueError(
                f'bag {self.path} cannot be read ({type(error).__name__}: {error}); is it '
                'complete? `ros2 bag reindex` makes a lost metadata.yaml, else record it again'
            ) from error
