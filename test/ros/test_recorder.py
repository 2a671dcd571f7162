# ruff: noqa: E402  (imports follow importorskip)
from collections.abc import Iterator
from pathlib import Path
import threading
import time

import pytest

rclpy = pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from ssd_depth_ros.bag_depth import read_messages
from ssd_depth_ros.recorder import QOS, Recorder
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

TIMEOUT_S = 10.0
SECOND = 1_000_000_000


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=66)
    node = rclpy.create_node('recorder', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    yield node
    executor.shutdown()
    thread.join(TIMEOUT_S)
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def image(second: int, value: int) -> Image:
    header = Header(stamp=Time(sec=second, nanosec=7), frame_id='camera')
    message = Image(header=header, height=1, width=4, encoding='mono8', step=4)
    message.data.extend([value] * 4)
    return message


def test_messages_are_kept_with_arrival_time_and_written(node: Node, tmp_path: Path) -> None:
    path = tmp_path / 'depth.mcap'
    path.write_text('of an earlier run')
    publisher = node.create_publisher(Image, '/image', QOS)
    with Recorder(node, {'/image': 'sensor_msgs/msg/Image'}, path) as recorder:
        before = time.monotonic_ns()
        sent = [(1, 10), (2, 20), (2, 21), (3, 30)]
        for second, value in sent:
            publisher.publish(image(second, value))
        publisher.publish(Image())  # stamped 0: sent before there was a clock
        assert recorder.wait_for('/image', 3 * SECOND + 7, TIMEOUT_S)
        assert not recorder.wait_for('/image', 4 * SECOND + 7, 0.05)
        assert recorder.count('/image') == 3
        arrivals = recorder.arrivals('/image')
    assert sorted(arrivals) == [second * SECOND + 7 for second in (1, 2, 3)]
    assert all(before < arrival < time.monotonic_ns() for arrival in arrivals.values())
    written = [
        ((stamp - 7) // SECOND, int(m.data[0])) for stamp, m in read_messages(path, '/image')
    ]
    assert written == sent
    assert list(tmp_path.iterdir()) == [path]


def test_recording_survives_an_error_of_its_user(node: Node, tmp_path: Path) -> None:
    path = tmp_path / 'depth.mcap'
    publisher = node.create_publisher(Image, '/image', QOS)

    def record_until_interrupted() -> None:
        with Recorder(node, {'/image': 'sensor_msgs/msg/Image'}, path) as recorder:
            publisher.publish(image(1, 10))
            assert recorder.wait_for('/image', SECOND + 7, TIMEOUT_S)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record_until_interrupted()
    assert len(list(read_messages(path, '/image'))) == 1


def test_where_nothing_came_there_is_no_file(node: Node, tmp_path: Path) -> None:
    path = tmp_path / 'depth.mcap'
    path.write_text('of an earlier run')
    with Recorder(node, {'/image': 'sensor_msgs/msg/Image'}, path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_publishers_are_missed_until_they_are_matched(node: Node, tmp_path: Path) -> None:
    topics = {name: 'sensor_msgs/msg/Image' for name in ('/image', '/other')}
    recorder = Recorder(node, topics, tmp_path / 'depth.mcap')
    assert recorder.missing_publishers(topics) == ['/image', '/other']
    publisher = node.create_publisher(Image, '/image', QOS)
    with recorder:
        publisher.publish(image(1, 10))
        assert recorder.wait_for('/image', SECOND + 7, TIMEOUT_S)
    assert recorder.missing_publishers(topics) == ['/other']


def test_file_that_cannot_be_written_is_an_error(node: Node, tmp_path: Path) -> None:
    path = tmp_path / 'depth.mcap'
    publisher = node.create_publisher(Image, '/image', QOS)

    def record() -> None:
        with Recorder(node, {'/image': 'sensor_msgs/msg/Image'}, path) as recorder:
            path.write_text('of another program')
            publisher.publish(image(1, 10))
            assert recorder.wait_for('/image', SECOND + 7, TIMEOUT_S)

    with pytest.raises(FileExistsError, match='depth.mcap exists already'):
        record()
    assert path.read_text() == 'of another program'
