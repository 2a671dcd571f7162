"""Write an MCAP bag that `ros2 bag play`, Foxglove and `rosbags` read, all of it or nothing."""

import os
from pathlib import Path
import tempfile
from types import TracebackType
from typing import Any, Literal

from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from ssd_depth_core.bags.messages import TYPESTORE

BagVersion = Literal[8, 9]
"""Of rosbag2's metadata: 9 from Jazzy on, 8 for Humble and Iron."""

# RMW_DURATION_INFINITE, as rosbag2 records it: no deadline, no lifespan, no lease.
_INFINITE = QosTime(9223372036, 854775807)


def _qos(durability: QosDurability, depth: int) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        # A reliable publisher serves reliable and best-effort subscribers alike.
        QosReliability.RELIABLE,
        durability,
        _INFINITE,
        _INFINITE,
        QosLiveliness.AUTOMATIC,
        _INFINITE,
        False,
    )


VOLATILE = _qos(QosDurability.VOLATILE, 10)
"""Offered by every topic but `/tf_static`."""
LATCHED = _qos(QosDurability.TRANSIENT_LOCAL, 1)
"""Offered by `/tf_static`: whoever joins late still gets it."""


class BagWriter:
    """Write messages into a bag beside its final place, and move it there when it is complete.

    Example:
        >>> with BagWriter(Path('drive.mcap')) as bag:
        ...     bag.write('/tf_static', message, stamp_ns)
    """

    def __init__(
        self,
        path: Path,
        *,
        version: BagVersion = 9,
        compression: Literal['zstd', 'none'] = 'zstd',
    ) -> None:
        """Choose the form of the bag.

        Args:
            path: Ending in `.mcap` for a single file, else a folder with its `metadata.yaml`.
            version: Of rosbag2's metadata.
            compression: Of the chunks inside the MCAP file.

        Raises:
            FileExistsError: If there is something at `path`.
        """
        if path.exists():
            raise FileExistsError(f'{path} exists already; delete it or choose another name')
        self._path = path
        self._version = version
        self._compression = compression
        self._connections: dict[str, Connection] = {}

    def __enter__(self) -> 'BagWriter':
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # On the same file system as the final place, so that the last step is one rename.
        self._scratch = tempfile.TemporaryDirectory(dir=self._path.parent, prefix='.bag-')
        name = self._path.name.removesuffix('.mcap')
        self._writer = Writer(
            Path(self._scratch.name) / name,
            version=self._version,
            storage_plugin=StoragePlugin.MCAP,
        )
        if self._compression == 'zstd':
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        return self

    def write(self, topic: str, message: Any, log_time_ns: int) -> None:
        """Append a message; its topic is made known at its first one.

        Args:
            topic: Absolute name.
            message: As `ssd_depth_core.bags.messages` makes them.
            log_time_ns: When it is played back, nanoseconds since the epoch.
        """
        cdr = TYPESTORE.serialize_cdr(message, message.__msgtype__)
        self.write_raw(topic, message.__msgtype__, cdr, log_time_ns)

    def write_raw(
        self, topic: str, msgtype: str, cdr: bytes | memoryview, log_time_ns: int
    ) -> None:
        """Append a message that is serialized already.

        Args:
            topic: Absolute name.
            msgtype: Of the topic's every message, e.g. `sensor_msgs/msg/Image`; one that
                `messages.TYPESTORE` knows.
            cdr: The message with its encapsulation.
            log_time_ns: When it is played back, nanoseconds since the epoch.
        """
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(
                topic,
                msgtype,
                typestore=TYPESTORE,
                offered_qos_profiles=[LATCHED if topic == '/tf_static' else VOLATILE],
            )
        self._writer.write(self._connections[topic], log_time_ns, cdr)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._scratch:
            if kind is not None:
                self._writer.abort()
                return
            if not self._connections:
                self._writer.abort()
                raise ValueError(f'there is no message to write to {self._path}')
            self._writer.close()
            complete = self._writer.path
            if self._path.suffix == '.mcap':
                complete /= f'{complete.name}.mcap'  # holds its metadata too
            os.replace(complete, self._path)
