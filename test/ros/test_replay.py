# ruff: noqa: E402  (imports follow importorskip)
"""The player over real DDS: one process, one context of its own, one node that listens."""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy')

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    QoSPresetProfiles,
    QoSProfile,
    ReliabilityPolicy,
)
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores
from rosgraph_msgs.msg import Clock
from ssd_depth_core.bags.messages import cdr_stamp_ns
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_ros.bag_publishers import DEFAULT_DEPTH, recorded_qos
from ssd_depth_ros.replay import BagPlayer, main, ReplayOptions
from std_msgs.msg import Header, String

pytestmark = pytest.mark.ros

DOMAIN = 61
TIMEOUT_S = 10.0
SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
STEP = SECOND // 20
TYPES = get_typestore(Stores.ROS2_JAZZY)
FOREVER = QosTime(2147483647, 4294967295)


def qos(reliability: QosReliability, durability: QosDurability, depth: int = 3) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        reliability,
        durability,
        FOREVER,
        FOREVER,
        QosLiveliness.AUTOMATIC,
        FOREVER,
        False,
    )


RELIABLE = qos(QosReliability.RELIABLE, QosDurability.VOLATILE)
BEST_EFFORT = qos(QosReliability.BEST_EFFORT, QosDurability.VOLATILE)
LATCHED = qos(QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL)


def header(index: int) -> object:
    sec, nanosec = divmod(START + index * STEP, SECOND)
    stamp = TYPES.types['builtin_interfaces/msg/Time'](sec, nanosec)
    return TYPES.types['std_msgs/msg/Header'](stamp, f'frame {index}')


def text(value: str) -> object:
    return TYPES.types['std_msgs/msg/String'](value)


Row = tuple[str, str, list[Qos], int, object]
HEADERS: list[Row] = [('/tick', 'std_msgs/msg/Header', [RELIABLE], i, header(i)) for i in range(5)]
STATIC: Row = ('/static', 'std_msgs/msg/String', [LATCHED], 0, text('fixed'))
TYPES.register(get_types_from_msg('uint8 value', 'ghost_msgs/msg/Ghost'))
GHOST: Row = (
    '/ghost',
    'ghost_msgs/msg/Ghost',
    [RELIABLE],
    0,
    TYPES.types['ghost_msgs/msg/Ghost'](7),
)


def write_bag(path: Path, rows: list[Row], storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, msgtype, offered, index, message in rows:
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, msgtype, typestore=TYPES, offered_qos_profiles=offered
                )
            cdr = TYPES.serialize_cdr(message, msgtype)
            writer.write(connections[topic], START + index * STEP, cdr)
    return path


class Listener:
    """Collect messages of a topic on the executor's thread."""

    def __init__(self, node: Node, msgtype: type, topic: str, profile: QoSProfile | int) -> None:
        self.messages: list[object] = []
        self._arrived = threading.Condition()
        node.create_subscription(msgtype, topic, self._take, profile)

    def _take(self, message: object) -> None:
        with self._arrived:
            self.messages.append(message)
            self._arrived.notify_all()

    def wait(self, count: int) -> list[object]:
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.messages) >= count, TIMEOUT_S)
        assert arrived, f'{len(self.messages)} of {count} messages came in {TIMEOUT_S:g} s'
        return self.messages


@pytest.fixture(autouse=True)
def own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_DOMAIN_ID', str(DOMAIN))
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')


@pytest.fixture
def make_node() -> Iterator[Callable[[str], Node]]:
    """Nodes of one context, spun on a thread until the test ends."""
    context = rclpy.Context()
    rclpy.init(context=context)
    executor = SingleThreadedExecutor(context=context)
    nodes = []

    def make(name: str) -> Node:
        nodes.append(rclpy.create_node(name, context=context))
        executor.add_node(nodes[-1])
        return nodes[-1]

    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield make
    executor.shutdown()
    thread.join(TIMEOUT_S)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown(context=context)


@pytest.mark.parametrize('storage', [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_messages_arrive_as_recorded_and_in_order(
    make_node: Callable[[str], Node], tmp_path: Path, storage: StoragePlugin
) -> None:
    bag_path = write_bag(tmp_path / 'bag', HEADERS, storage)
    ticks = Listener(make_node('listener'), Header, '/renamed', 10)
    options = ReplayOptions(
        remaps={'/tick': '/renamed'}, wait_for_subscribers=('/renamed',), rate=10.0
    )
    with BagReader(bag_path) as bag:
        player = BagPlayer(make_node('player'), bag, options)
        player.wait_for_subscribers()
        player.play()
    got = ticks.wait(5)
    assert [message.frame_id for message in got] == [f'frame {i}' for i in range(5)]
    assert [m.stamp.sec * SECOND + m.stamp.nanosec for m in got] == [
        START + i * STEP for i in range(5)
    ]
    assert player.summary().messages == 5


def test_rate_scales_the_schedule_and_lateness_does_not_add_up(
    make_node: Callable[[str], Node], tmp_path: Path
) -> None:
    rows = [('/tick', 'std_msgs/msg/Header', [RELIABLE], i, header(i)) for i in range(21)]
    with BagReader(write_bag(tmp_path / 'bag', rows)) as bag:
        player = BagPlayer(make_node('player'), bag, ReplayOptions(rate=2.0))
        held_up = iter([True])  # only the first message
        player.play(lambda *_: time.sleep(0.2) if next(held_up, False) else None)
    summary = player.summary()
    assert summary.bag_s == pytest.approx(1.0)
    # 0.5 s of wall time on schedule; 0.7 s would mean that the delay was carried along.
    assert 0.49 < summary.wall_s < 0.65
    assert summary.late_ms_max >= 200.0
    assert summary.late_ms_p50 < 25.0


def test_clock_runs_from_start_to_end(make_node: Callable[[str], Node], tmp_path: Path) -> None:
    bag_path = write_bag(tmp_path / 'bag', HEADERS)
    clock = Listener(make_node('listener'), Clock, '/clock', QoSPresetProfiles.SENSOR_DATA.value)
    options = ReplayOptions(clock_hz=100.0, wait_for_subscribers=('/clock',))
    with BagReader(bag_path) as bag:
        player = BagPlayer(make_node('player'), bag, options)
        player.wait_for_subscribers()
        player.play()
    times = [m.clock.sec * SECOND + m.clock.nanosec for m in clock.wait(20)]
    assert np.diff(times).min() > 0
    assert times[0] >= START
    assert START + 4 * STEP - 2 * SECOND // 100 <= times[-1] <= START + 4 * STEP


def test_loop_starts_again_until_stopped(make_node: Callable[[str], Node], tmp_path: Path) -> None:
    bag_path = write_bag(tmp_path / 'bag', HEADERS)
    sent: list[int] = []
    with BagReader(bag_path) as bag:
        player = BagPlayer(make_node('player'), bag, ReplayOptions(loop=True, rate=50.0))

        def count(_: str, cdr: bytes) -> None:
            sent.append((cdr_stamp_ns(cdr) - START) // STEP)
            if len(sent) == 12:
                player.stop()

        player.play(count)
    assert sent == [0, 1, 2, 3, 4] * 2 + [0, 1]


def test_latched_topic_reaches_a_late_subscriber_despite_the_offset(
    make_node: Callable[[str], Node], tmp_path: Path
) -> None:
    bag_path = write_bag(tmp_path / 'bag', [STATIC, *HEADERS])
    options = ReplayOptions(start_offset_s=0.1, rate=10.0)
    latched = QoSProfile(
        depth=1,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
        reliability=ReliabilityPolicy.RELIABLE,
    )
    with BagReader(bag_path) as bag:
        player = BagPlayer(make_node('player'), bag, options)
        player.play()
        static = Listener(make_node('late'), String, '/static', latched)
        assert static.wait(1)[0].data == 'fixed'
    assert player.summary().messages == 3  # frames 2, 3 and 4


def test_type_that_is_not_installed_is_skipped_with_a_warning_unless_asked_for(
    make_node: Callable[[str], Node], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with BagReader(write_bag(tmp_path / 'bag', [GHOST, *HEADERS])) as bag:
        player = BagPlayer(make_node('player'), bag, ReplayOptions(rate=50.0))
        player.play()
        assert player.summary().messages == 5
        assert capfd.readouterr().err.count('/ghost is not played') == 1
        with pytest.raises(LookupError, match=r'ghost_msgs/msg/Ghost .* install'):
            BagPlayer(make_node('asked'), bag, ReplayOptions(topics=('/ghost',)))


@pytest.mark.parametrize(
    ('offers', 'reliability', 'durability', 'depth'),
    [
        ([RELIABLE], ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 3),
        ([BEST_EFFORT], ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 3),
        ([LATCHED], ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 3),
        ([BEST_EFFORT, LATCHED], ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 3),
        ([], ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, DEFAULT_DEPTH),
    ],
)
def test_qos_is_the_recorded_one(
    tmp_path: Path,
    offers: list[Qos],
    reliability: ReliabilityPolicy,
    durability: DurabilityPolicy,
    depth: int,
) -> None:
    row = ('/text', 'std_msgs/msg/String', offers, 0, text('a'))
    with BagReader(write_bag(tmp_path / 'bag', [row])) as bag:
        profile = recorded_qos(bag.connections[0])
    assert (profile.reliability, profile.durability, profile.depth) == (
        reliability,
        durability,
        depth,
    )


def test_static_transforms_without_recorded_qos_are_latched(tmp_path: Path) -> None:
    row = ('/tf_static', 'std_msgs/msg/String', [], 0, text('a'))
    with BagReader(write_bag(tmp_path / 'bag', [row])) as bag:
        assert recorded_qos(bag.connections[0]).durability is DurabilityPolicy.TRANSIENT_LOCAL


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (ReplayOptions(topics=('/none',)), r'has no topic /none; it has /tick'),
        (ReplayOptions(remaps={'/none': '/a'}), r'has no topic /none; it has /tick'),
        (
            ReplayOptions(wait_for_subscribers=('/none',)),
            r'/none is not played; published are /clock, /tick',
        ),
        (ReplayOptions(start_offset_s=9.0), r'--start-offset 9 s is at or after the end'),
    ],
)
def test_options_that_do_not_fit_the_bag_are_errors(
    make_node: Callable[[str], Node], tmp_path: Path, options: ReplayOptions, message: str
) -> None:
    with (
        BagReader(write_bag(tmp_path / 'bag', HEADERS)) as bag,
        pytest.raises(ValueError, match=message),
    ):
        BagPlayer(make_node('player'), bag, options)


@pytest.mark.parametrize(
    ('field', 'value'), [('rate', 0.0), ('rate', -1.0), ('clock_hz', -1.0), ('start_offset_s', -1)]
)
def test_options_out_of_range_are_errors(field: str, value: float) -> None:
    with pytest.raises(ValueError, match='must be'):
        ReplayOptions(**{field: value})


def test_command_says_what_is_wrong_with_the_bag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'garbage.mcap').write_bytes(b'no bag at all' * 10)
    (tmp_path / 'folder').mkdir()
    with Writer(tmp_path / 'empty', version=9, storage_plugin=StoragePlugin.MCAP):
        pass
    for name, message in (
        ('missing', 'bag not found at'),
        ('garbage.mcap', 'cannot be read'),
        ('folder', 'cannot be read'),
        ('empty', 'holds no message'),
    ):
        assert main([str(tmp_path / name)]) == 1
        assert message in (error := capsys.readouterr().err)
        assert str(tmp_path / name) in error


def test_command_refuses_a_malformed_remap(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag_path = write_bag(tmp_path / 'bag', HEADERS)
    assert main([str(bag_path), '--remap', '/a:=']) == 1
    assert '--remap takes FROM:=TO' in capsys.readouterr().err


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_interrupted_command_sums_up_and_exits_cleanly(
    make_node: Callable[[str], Node], tmp_path: Path, number: signal.Signals
) -> None:
    bag_path = write_bag(tmp_path / 'bag', HEADERS)
    ticks = Listener(make_node('listener'), Header, '/tock', 10)
    command = [sys.executable, '-m', 'ssd_depth_ros.replay', str(bag_path), '--loop']
    command += ['--remap', '/tick:=/tock']
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            ticks.wait(3)
            process.send_signal(number)
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 0
    assert b'Traceback' not in err
    assert b'stopped' in out
    assert b'played' in out


def test_an_interrupt_that_a_library_swallows_still_ends_the_loop(
    make_node: Callable[[str], Node], tmp_path: Path
) -> None:
    with BagReader(write_bag(tmp_path / 'bag', HEADERS)) as bag:
        player = BagPlayer(make_node('player'), bag, ReplayOptions(loop=True))

        def swallow(_topic: str, _cdr: bytes) -> None:
            with contextlib.suppress(KeyboardInterrupt):
                player.interrupt()

        player.play(swallow)
    assert player.is_interrupted
    assert player.summary().messages == 1
