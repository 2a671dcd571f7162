"""Read a bag with errors that name it and the remedy."""

from collections.abc import Iterator
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
            raise FileNotFoundError(f'bag not found at {path}; give a bag folder or an .mcap file')
        if path.suffix == '.bag':
            raise ValueError(f'bag {path} is of ROS 1; run `rosbags-convert` on it first')
        self.path = path

    def __enter__(self) -> 'BagReader':
        with self._naming_damage():
            self._bag = AnyReader([self.path], default_typestore=TYPESTORE)
            self._bag.open()
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
        """What is recorded: topics, types and counts."""
        return self._bag.connections

    def messages(self, connection: Connection) -> Iterator[tuple[int, Message]]:
        """Read one topic, every message of it.

        Args:
            connection: One of `connections`.

        Yields:
            Log time, nanoseconds, and message, in the order of time.

        Raises:
            ValueError: If the bag is damaged.
        """
        with self._naming_damage():
            for _, log_time_ns, raw in self._bag.messages([connection]):
                yield log_time_ns, self._bag.deserialize(raw, connection.msgtype)

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        # Damaged bytes come out of rosbags as errors of YAML, struct, zstd, a KeyError...
        except Exception as error:
            raise ValueError(
                f'bag {self.path} cannot be read ({type(error).__name__}: {error}); '
                'copy or record it again'
            ) from error
