"""A ROS 2 bag as raw bytes, with errors that name the path and the remedy.

`ssd_depth_core.bags.reader` gives messages; to play a bag again, the bytes are all that is needed.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
import struct

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

# A CDR message begins with 4 bytes of encapsulation, the second of which is 1 for little endian;
# in a stamped message std_msgs/Header and therefore its stamp (int32 s, uint32 ns) come first.
_STAMP = {0: struct.Struct('>iI'), 1: struct.Struct('<iI')}


@contextmanager
def open_bag(path: Path) -> Iterator[Reader]:
    """Open a bag that has something in it.

    Args:
        path: Bag folder with `metadata.yaml`, or a single `.mcap` or `.db3` file.

    Yields:
        The open reader; closed on leaving the context.

    Raises:
        FileNotFoundError: If there is nothing at the path.
        ValueError: If it is no ROS 2 bag, is damaged, or holds no message.
    """
    if not path.exists():
        raise FileNotFoundError(
            f'bag not found at {path}; give a bag folder or an .mcap or .db3 file'
        )
    with _naming_damage(path):
        reader = Reader(path)
        reader.open()
    try:
        if reader.message_count == 0:
            raise ValueError(f'bag {path} holds no message; was anything published meanwhile?')
        yield reader
    finally:
        reader.close()


def read_raw(
    bag: Reader,
    connections: Collection[Connection],
    start_ns: int | None = None,
    stop_ns: int | None = None,
) -> Iterator[tuple[str, int, bytes]]:
    """Read serialized messages in the order of time.

    Args:
        bag: As `open_bag` gives it.
        connections: Of the bag; at least one.
        start_ns: Log time of the first message, inclusive; None for the bag's start.
        stop_ns: Log time before which reading ends; None for the bag's end.

    Yields:
        Topic, log time [ns] and the message with its encapsulation.

    Raises:
        ValueError: If the bag is damaged.
    """
    assert connections, 'rosbags would read every topic'
    with _naming_damage(bag.path):
        for connection, log_time_ns, cdr in bag.messages(connections, start_ns, stop_ns):
            yield connection.topic, log_time_ns, cdr


def stamp_ns_of(cdr: bytes) -> int:
    """Read the header stamp of a serialized message without deserializing the rest.

    Args:
        cdr: A message whose first field is `std_msgs/Header`, with its encapsulation.

    Returns:
        The stamp, nanoseconds.
    """
    sec, nanosec = _STAMP[cdr[1] & 1].unpack_from(cdr, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)


@contextmanager
def _naming_damage(path: object) -> Iterator[None]:
    try:
        yield
    # Damaged bytes come out of rosbags as errors of YAML, struct, zstd, a KeyError...
    except Exception as error:
        raise ValueError(
            f'{path} cannot be read as a ROS 2 bag ({type(error).__name__}: {error}); is it '
            'complete? `ros2 bag reindex` mends a folder without metadata.yaml'
        ) from error
