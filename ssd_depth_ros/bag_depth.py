"""Read depth and pictures back from bags, with neither ROS nor its message packages."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.bags.messages import stamp_ns
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_core.exact_depth import decode_exact_depth, MESSAGE_FORMAT


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthGrid:
    """Hold a depth image together with its camera."""

    depth: NDArray[np.float32]
    """(h, w) along the optical axis [m]; NaN where unknown, inf beyond range."""
    K: NDArray[np.float64]
    """(3, 3), pixels of this grid."""


def read_messages(bag: Path, topic: str) -> Iterator[tuple[int, Any]]:
    """Read the messages of one topic of stamped messages.

    Args:
        bag: Bag folder or file.
        topic: Its name.

    Yields:
        Header stamp [ns] and message, in the order of their log time.

    Raises:
        FileNotFoundError: If there is no bag.
        ValueError: If the bag cannot be read or has no such topic.
    """
    with BagReader(bag) as reader:
        connections = {connection.topic: connection for connection in reader.connections}
        if topic not in connections:
            raise ValueError(
                f'bag {bag} has no topic {topic}; it has {", ".join(sorted(connections))}'
            )
        for _, message in reader.messages(connections[topic]):
            yield stamp_ns(message), message


def read_depth(bag: Path, topic: str, info_topic: str) -> dict[int, DepthGrid]:
    """Read depth images that have a camera_info of the same stamp.

    Args:
        bag: Bag folder or file.
        topic: `sensor_msgs/Image` of encoding 32FC1 or 16UC1, or `sensor_msgs/CompressedImage`
            of `exact_depth.MESSAGE_FORMAT`.
        info_topic: Its `sensor_msgs/CameraInfo`.

    Returns:
        By header stamp [ns].

    Raises:
        FileNotFoundError: If there is no bag.
        ValueError: If the bag cannot be read, lacks a topic, or holds another encoding.
    """
    intrinsics = {stamp: info.k.reshape(3, 3) for stamp, info in read_messages(bag, info_topic)}
    return {
        stamp: DepthGrid(depth=_depth_of(message, f'{bag}: {topic}'), K=intrinsics[stamp])
        for stamp, message in read_messages(bag, topic)
        if stamp in intrinsics
    }


def _depth_of(message: Any, where: str) -> NDArray[np.float32]:
    if message.__msgtype__ == 'sensor_msgs/msg/CompressedImage':
        # A 16-bit PNG does not tell what its steps are: by REP 118 they would be millimetres.
        if message.format != MESSAGE_FORMAT:
            raise ValueError(
                f'{where} must be of format {MESSAGE_FORMAT!r}, got {message.format!r}; '
                'write the bag with `depth_convert_nuscenes --exact-depth-stride`'
            )
        coded = cv2.imdecode(message.data, cv2.IMREAD_UNCHANGED)
        if coded is None or coded.dtype != np.uint16:
            raise ValueError(f'{where} must hold a 16-bit PNG; was it cut short?')
        return decode_exact_depth(coded)
    byte_order = '>' if message.is_bigendian else '<'
    if message.encoding == '32FC1':
        return _pixels(message, np.dtype(f'{byte_order}f4')).astype(np.float32)
    if message.encoding == '16UC1':
        millimetres = _pixels(message, np.dtype(f'{byte_order}u2'))
        return np.where(millimetres == 0, np.nan, millimetres / 1000).astype(np.float32)
    raise ValueError(f'{where} must be 32FC1 or 16UC1, got {message.encoding!r}')


def _pixels(message: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    rows = message.data.reshape(message.height, message.step)[:, : message.width * dtype.itemsize]
    return np.ascontiguousarray(rows).view(dtype)
