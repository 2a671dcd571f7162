"""One replay to the real node: start it, play a bag to it, record what it says.

Three parties over DDS, as on a robot: this process plays and records, `depth_node` runs as a
process of its own, and both speak in a domain of their own, on this machine only.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
import os
from pathlib import Path
import threading
import time

from ament_index_python.packages import get_package_share_directory
import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from ssd_depth_core.bags.messages import cdr_stamp_ns
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_ros.node_process import NodeProcess
from ssd_depth_ros.progress import Progress
from ssd_depth_ros.recorder import Recorder
from ssd_depth_ros.replay import BagPlayer, CLOCK_TOPIC, DISCOVERY_POLL_S, ReplayOptions

NODE = 'depth_node'
IMAGE = '/cam_front/image_rect_color/compressed'
CAMERA_INFO = '/cam_front/camera_info'
DEPTH = f'/{NODE}/depth/image'
DEPTH_INFO = f'/{NODE}/depth/camera_info'
POINTS = f'/{NODE}/points'
DIAGNOSTICS = '/diagnostics'
RECORDED = {
    DEPTH: 'sensor_msgs/msg/Image',
    DEPTH_INFO: 'sensor_msgs/msg/CameraInfo',
    POINTS: 'sensor_msgs/msg/PointCloud2',
    f'/{NODE}/confidence/image': 'sensor_msgs/msg/Image',
    f'/{NODE}/stats': 'diagnostic_msgs/msg/DiagnosticArray',
    DIAGNOSTICS: 'diagnostic_msgs/msg/DiagnosticArray',
}
"""Topic to type; diagnostics last, see `_wait_for_connections`."""
AWAITED = (DEPTH, DEPTH_INFO, POINTS)
"""Those that a frame brings, whatever the model."""
THIS_MACHINE_ONLY = {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
# A slow disk and a busy machine included; the model loads in a second or two.
START_S = 60.0
# The last frame's depth takes a frame's time, on a busy machine several.
DRAIN_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """Hold what one replay to the node gave, besides the recording."""

    sent_ns: dict[int, int]
    """Stamp of each image to the monotonic time at which it was published [ns]."""
    arrived_ns: dict[int, int]
    """Stamp of each depth image to the monotonic time at which it came in [ns]."""
    seconds: float
    """Wall time of the replay."""
    node_rss_mb: float
    """Most memory that the node has held [MB]."""


def run_session(
    bag: Path, recording: Path, log: Path, progress: Progress, *, model: Path | None, rate: float
) -> Session:
    """Start the node, play a bag to it and record what it publishes.

    Args:
        bag: With `IMAGE` and `CAMERA_INFO`.
        recording: The `.mcap` file to write.
        log: File for the node's output.
        progress: Is told how it goes.
        model: The `.onnx` file; None for the node's own default.
        rate: Bag seconds per second.

    Returns:
        Times and memory.

    Raises:
        FileNotFoundError: If the bag is missing.
        ValueError: If the bag cannot be used.
        LookupError: If a message package is not installed.
        ChildProcessError: If the node ends or cannot be configured.
        TimeoutError: If the node does not come up or publishes no depth.
    """
    # Domains above 101 collide with ephemeral ports on Linux.
    domain_id = 1 + os.getpid() % 100
    options = ReplayOptions(
        rate=rate, topics=(IMAGE, CAMERA_INFO), wait_for_subscribers=(IMAGE, CAMERA_INFO)
    )
    env = {
        **THIS_MACHINE_ONLY,
        'ROS_DOMAIN_ID': str(domain_id),
        'FASTRTPS_DEFAULT_PROFILES_FILE': str(_dds_profile()),
    }
    sent_ns: dict[int, int] = {}
    with (
        BagReader(bag) as reader,
        _spun_node(domain_id) as node,
        Recorder(node, RECORDED, recording) as recorder,
        NodeProcess(NODE, _ros_args(model), env, log) as process,
    ):
        player = BagPlayer(node, reader, options)
        progress.say(f'starting {NODE}')
        process.wait_until_active(node, START_S)
        _wait_for_connections(player, recorder, process)
        num_images = sum(c.msgcount for c in reader.connections if c.topic == IMAGE)

        def on_publish(topic: str, cdr: bytes) -> None:
            if topic == IMAGE:
                process.check_alive()
                progress.update(
                    f'{len(sent_ns)} of {num_images} images sent, '
                    f'{recorder.count(DEPTH)} depth images back'
                )
                sent_ns[cdr_stamp_ns(cdr)] = time.monotonic_ns()

        player.play(on_publish)
        last_ns = max(sent_ns)
        # The cloud of a frame is published after its depth.
        recorder.wait_for(DEPTH, last_ns, DRAIN_S) and recorder.wait_for(POINTS, last_ns, DRAIN_S)
        progress.say(str(player.summary()))
        process.check_alive()
        if not recorder.count(DEPTH):
            raise TimeoutError(f'{NODE} published no depth for {len(sent_ns)} images; see {log}')
        return Session(
            sent_ns=sent_ns,
            arrived_ns=recorder.arrivals(DEPTH),
            seconds=player.summary().wall_s,
            node_rss_mb=process.peak_rss_mb(),
        )


@contextmanager
def _spun_node(domain_id: int) -> Iterator[Node]:
    """Give a node that a thread spins."""
    context = Context()
    with _environment(THIS_MACHINE_ONLY):  # which the middleware reads as it starts
        rclpy.init(
            context=context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO
        )
        node = rclpy.create_node('depth_demo', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    thread = threading.Thread(target=executor.spin)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process, which is the caller's as well, for a while."""
    before = {name: os.environ[name] for name in variables.keys() & os.environ.keys()}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
        os.environ.update(before)


def _dds_profile() -> Path:
    """Find the profile that `depth.launch.py` sets as well.

    With Fast DDS's own 512 KB of shared memory every tenth frame or so is repaired 0.1 to 2 s
    late, clouds being 1 MB; only the publishing process needs the profile.
    """
    place = Path('config', 'dds', 'fastdds_shm.xml')
    in_clone = Path(__file__).parents[1] / place
    if in_clone.exists():
        return in_clone
    return Path(get_package_share_directory('ssd_depth_ros')) / place


def _ros_args(model: Path | None) -> list[str]:
    rules = {
        'image': IMAGE.removesuffix('/compressed'),
        'image/compressed': IMAGE,
        'camera_info': CAMERA_INFO,
    }
    parameters = {'use_sim_time': 'true'}
    if model is not None:
        parameters['model'] = str(model.resolve())
    return [
        *(word for item in rules.items() for word in ('-r', ':='.join(item))),
        *(word for item in parameters.items() for word in ('-p', ':='.join(item))),
    ]


def _wait_for_connections(player: BagPlayer, recorder: Recorder, process: NodeProcess) -> None:
    """Wait until images would arrive at the node and depth here, so that no frame is lost.

    Each side finds the other on its own, and a best-effort image is lost until the node has found
    us, which our counts do not tell. Diagnostics with the time of our clock do: DDS announces
    endpoints in the order in which they were made, `/clock` is made after the images' publishers,
    and the subscription to diagnostics after those to depth.
    """
    deadline = time.monotonic() + START_S
    while (
        missing := player.missing_subscribers() + recorder.missing_publishers(AWAITED)
    ) or player.start_ns not in recorder.arrivals(DIAGNOSTICS):
        process.check_alive()
        if time.monotonic() > deadline:
            raise TimeoutError(
                f'{NODE} and this process have not found each other in {START_S:g} s: '
                f'nobody at the other end of {", ".join(missing) or CLOCK_TOPIC}'
            )
        player.publish_clock(player.start_ns)
        time.sleep(DISCOVERY_POLL_S)
