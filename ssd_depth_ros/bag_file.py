"""Open a ROS 2 bag for reading, with errors that name the path and the remedy."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import struct

from rosbags.rosbag2 import Reader, ReaderError

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
    try:
        reader = Reader(path)
        reader.open()
    except (ReaderError, OSError) as error:
        raise ValueError(
            f'{path} cannot be read as a ROS 2 bag ({error}); is it complete? '
            '`ros2 bag reindex` mends a folder without metadata.yaml'
        ) from None
    try:
        if reader.message_count == 0:
            raise ValueError(
                f'bag {path} holds no message; was anything published while recording?'
            )
        yield reader
    finally:
        reader.close()


def stamp_ns_of(cdr: bytes) -> int:
    """Read the header stamp of a serialized message without deserializing the rest.

    Args:
        cdr: A message whose first field is `std_msgs/Header`, with its encapsulation.

    Returns:
        The stamp, nanoseconds.
    """
    sec, nanosec = _STAMP[cdr[1] & 1].unpack_from(cdr, 4)
    return int(sec) * 1_000_000_000 + int(nanosec)
