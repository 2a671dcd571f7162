"""`depth_replay`: play a ROS 2 bag through rclpy, for machines without rosbag2.

Messages go out as the bytes that were recorded, in time order, each at its own absolute deadline
on the monotonic clock, so that lateness of one never delays the next.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
import signal
import sys
import threading
import time

from builtin_interfaces.msg import Time
import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy
from rclpy.signals import SignalHandlerOptions
from rosbags.interfaces import Connection
from rosgraph_msgs.msg import Clock
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_ros.bag_publishers import message_class, recorded_qos

CLOCK_TOPIC = '/clock'
# How often subscriber counts are looked at: DDS discovery itself takes some 100 ms.
DISCOVERY_POLL_S = 0.02
# How long the last messages may take to reach slow, reliable subscribers.
ACKNOWLEDGE = Duration(seconds=2)
SECOND_NS = 1_000_000_000

OnPublish = Callable[[str, bytes], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOptions:
    """Choose what is played, and how."""

    rate: float = 1.0
    """Bag seconds per second; above 0."""
    loop: bool = False
    """Whether to start again at the end, until stopped. `/clock` then jumps back."""
    start_offset_s: float = 0.0
    """Bag seconds to skip. Latched topics (`/tf_static`) are still published from before it."""
    topics: tuple[str, ...] = ()
    """The recorded names to play; all where empty."""
    remaps: dict[str, str] = field(default_factory=dict)
    """Recorded name to published name."""
    wait_for_subscribers: tuple[str, ...] = ()
    """Published names that must have a subscriber before the first message goes out."""
    clock_hz: float = 40.0
    """Rate of `/clock` by the wall clock; 0 publishes none. It lags by one period at most."""

    def __post_init__(self) -> None:
        """Validate the numbers.

        Raises:
            ValueError: If one is out of its range.
        """
        if not 0 < self.rate <= 1000:
            raise ValueError(f'--rate must be in (0, 1000], got {self.rate:g}')
        if not 0 <= self.clock_hz <= 1000:
            raise ValueError(f'--clock must be in [0, 1000] Hz, got {self.clock_hz:g}')
        if self.start_offset_s < 0:
            raise ValueError(f'--start-offset must be >= 0 s, got {self.start_offset_s:g}')


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplaySummary:
    """Hold what a replay did."""

    messages: int
    """Published, `/clock` aside."""
    bag_s: float
    """Bag time played, all loops together."""
    wall_s: float
    """Wall time taken."""
    late_ms_p50: float
    """Median of how long after its deadline a message was handed to rclpy."""
    late_ms_max: float
    """Largest of these."""

    def __str__(self) -> str:
        rate = self.bag_s / self.wall_s if self.wall_s else 0.0
        return (
            f'played {self.messages} messages, {self.bag_s:.2f} s of bag in {self.wall_s:.2f} s '
            f'(rate {rate:.3f}); late by {self.late_ms_p50:.2f} ms in the median, '
            f'{self.late_ms_max:.2f} ms at most'
        )


class BagPlayer:
    """Play an open bag through a node's publishers.

    Publishers exist from construction on, so that discovery can run before `play`. `start_ns` is
    the log time at which it begins.
    """

    def __init__(self, node: Node, bag: BagReader, options: ReplayOptions) -> None:
        """Make the publishers.

        Args:
            node: Owns the publishers; need not be spun.
            bag: An open bag.
            options: What is played, and how.

        Raises:
            LookupError: If a topic of `options.topics` has a message type that is not installed.
            ValueError: If a topic named in the options is not in the bag, or nothing is left to
                play.
        """
        self._bag = bag
        self._options = options
        self._stop = threading.Event()
        self._interrupted = False
        self._connections = _choose(bag, options, node.get_logger().warning)
        self._publishers = {
            topic: node.create_publisher(
                message_class(connection.msgtype),
                options.remaps.get(topic, topic),
                recorded_qos(connection),
            )
            for topic, connection in {c.topic: c for c in self._connections}.items()
        }
        # The last one, so that who hears it has found the others too.
        self._clock = node.create_publisher(Clock, CLOCK_TOPIC, 1) if options.clock_hz else None
        self._awaited = self._find_awaited()
        self.start_ns = bag.start_ns + round(options.start_offset_s * SECOND_NS)
        if self.start_ns >= bag.stop_ns:
            raise ValueError(
                f'--start-offset {options.start_offset_s:g} s is at or after the end of '
                f'{bag.path}, which is {(bag.stop_ns - bag.start_ns) / 1e9:.2f} s long'
            )
        self._late_ns: list[int] = []
        self._bag_ns = self._wall_ns = 0

    def missing_subscribers(self) -> list[str]:
        """Tell which awaited topics nobody listens to yet.

        Returns:
            Published names, in the order of the options.
        """
        return [name for name, p in self._awaited.items() if p.get_subscription_count() == 0]

    def wait_for_subscribers(self) -> None:
        """Block until every awaited topic has a subscriber, or `stop`."""
        while self.missing_subscribers() and not self._interrupted:
            if self._stop.wait(DISCOVERY_POLL_S):
                break

    @property
    def is_interrupted(self) -> bool:
        """Tell whether `interrupt` was called."""
        return self._interrupted

    def stop(self) -> None:
        """End `play` and `wait_for_subscribers` soon; for another thread."""
        self._stop.set()

    def interrupt(self, *_: object) -> None:
        """End `play` from a signal handler.

        `stop` could deadlock there: a handler runs in the thread that may hold the event's lock.

        Raises:
            KeyboardInterrupt: Always; and where some callback of a library swallows it, `play`
                returns at the next message all the same.
        """
        self._interrupted = True
        raise KeyboardInterrupt

    def play(self, on_publish: OnPublish | None = None) -> None:
        """Play the bag to its end, or until `stop` where it loops.

        Args:
            on_publish: Called with the recorded topic and the message's bytes right before it
                goes out.
        """
        began_ns = origin_ns = time.monotonic_ns()
        self._publish_latched()
        while not self._stop.is_set():
            previous_ns = self.start_ns
            for bag_ns, topic, cdr in self._timeline():
                due_ns = origin_ns + round((bag_ns - self.start_ns) / self._options.rate)
                wait_s = max(0, due_ns - time.monotonic_ns()) / SECOND_NS
                if self._stop.wait(wait_s) or self._interrupted:
                    return
                if topic is None:
                    self.publish_clock(bag_ns)
                    continue
                if on_publish:
                    on_publish(topic, cdr)
                now_ns = time.monotonic_ns()
                self._publishers[topic].publish(cdr)
                self._late_ns.append(now_ns - due_ns)
                self._wall_ns = now_ns - began_ns
                self._bag_ns += bag_ns - previous_ns
                previous_ns = bag_ns
            if not self._options.loop:
                break
            origin_ns = time.monotonic_ns()
        for publisher in self._publishers.values():
            publisher.wait_for_all_acked(ACKNOWLEDGE)

    def publish_clock(self, bag_ns: int) -> None:
        """Tell the time; `play` does so itself, but nodes may want it before.

        Args:
            bag_ns: Nanoseconds since the epoch.
        """
        assert self._clock is not None, 'clock_hz is 0'
        sec, nanosec = divmod(bag_ns, SECOND_NS)
        self._clock.publish(Clock(clock=Time(sec=sec, nanosec=nanosec)))

    def summary(self) -> ReplaySummary:
        """Sum up what has been played, also after an interrupted `play`.

        Returns:
            The summary.
        """
        late_ms = np.array(self._late_ns or [0]) / 1e6
        return ReplaySummary(
            messages=len(self._late_ns),
            bag_s=self._bag_ns / 1e9,
            wall_s=self._wall_ns / 1e9,
            late_ms_p50=float(np.median(late_ms)),
            late_ms_max=float(late_ms.max()),
        )

    def _find_awaited(self) -> dict[str, Publisher]:
        remaps, names = self._options.remaps, self._options.wait_for_subscribers
        by_name = {remaps.get(topic, topic): p for topic, p in self._publishers.items()}
        if self._clock:
            by_name[CLOCK_TOPIC] = self._clock
        if unknown := sorted(set(names) - set(by_name)):
            raise ValueError(
                f'--wait-for-subscribers: {", ".join(unknown)} is not played; '
                f'published are {", ".join(sorted(by_name))}'
            )
        return {name: by_name[name] for name in names}

    def _timeline(self) -> Iterator[tuple[int, str | None, bytes]]:
        """Merge messages (time, topic, bytes) with clock ticks (time, None, nothing)."""
        tick_ns = self.start_ns
        for topic, bag_ns, cdr in self._bag.raw_messages(self._connections, self.start_ns):
            while self._clock and tick_ns <= bag_ns:
                yield tick_ns, None, b''
                tick_ns += round(SECOND_NS * self._options.rate / self._options.clock_hz)
            yield bag_ns, topic, cdr

    def _publish_latched(self) -> None:
        """Give late starters what a latched topic said before the offset."""
        if not self._options.start_offset_s:
            return
        latched = [
            c
            for c in self._connections
            if recorded_qos(c).durability is DurabilityPolicy.TRANSIENT_LOCAL
        ]
        if latched:
            for topic, _, cdr in self._bag.raw_messages(latched, stop_ns=self.start_ns):
                self._publishers[topic].publish(cdr)


def _choose(
    bag: BagReader, options: ReplayOptions, warn: Callable[[str], object]
) -> list[Connection]:
    """Pick the connections to play; a type that is not installed is an error only if asked for."""
    known = {connection.topic for connection in bag.connections}
    if unknown := sorted({*options.topics, *options.remaps} - known):
        raise ValueError(
            f'{bag.path} has no topic {", ".join(unknown)}; it has {", ".join(sorted(known))}'
        )
    chosen = []
    for connection in bag.connections:
        if options.topics and connection.topic not in options.topics:
            continue
        if connection.topic == CLOCK_TOPIC and options.clock_hz:
            continue  # ours takes its place: two clocks would jump back and forth
        try:
            message_class(connection.msgtype)
        except LookupError as error:
            if options.topics:
                raise
            warn(f'{connection.topic} is not played: {error}')
            continue
        chosen.append(connection)
    if not chosen:
        raise ValueError(f'{bag.path} has no topic that can be played; it has {sorted(known)}')
    return chosen


def main(argv: list[str] | None = None) -> int:
    """Run `depth_replay`.

    Args:
        argv: Command line without the program's name; the process's own where None.

    Returns:
        0 when played or interrupted; 1 when the bag or an option is at fault.
    """
    args = sys.argv[1:] if argv is None else argv
    # Split by hand: rclpy takes any bare A:=B for its own, and so the values of --remap.
    ours = args.index('--ros-args') if '--ros-args' in args else len(args)
    parsed = _parser().parse_args(args[:ours])
    rclpy.init(args=args[ours:], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node('depth_replay')
    try:
        options = _options(parsed)
        with BagReader(parsed.bag) as bag:
            player = BagPlayer(node, bag, options)
            # In place of rclpy's handlers, which would shut the context down while a message
            # goes out.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, player.interrupt)
            try:
                _wait_aloud(player)
                player.play()
            except KeyboardInterrupt:
                pass
            if player.is_interrupted:
                print('stopped')
            print(player.summary())
    except (FileNotFoundError, LookupError, ValueError) as error:
        print(f'depth_replay: {error}', file=sys.stderr)
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


def _wait_aloud(player: BagPlayer) -> None:
    if missing := player.missing_subscribers():
        print(f'waiting for subscribers of {", ".join(missing)}', flush=True)
    player.wait_for_subscribers()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='depth_replay',
        description='Play a ROS 2 bag (MCAP or SQLite) with /clock, without rosbag2.',
        epilog='Example: depth_replay demo/night_drive.mcap --rate 0.5 '
        '--remap /cam_front/camera_info:=/camera_info',
    )
    default = ReplayOptions()
    parser.add_argument('bag', type=Path, help='bag folder, .mcap or .db3 file')
    parser.add_argument('--rate', type=float, default=default.rate, help='bag seconds per second')
    parser.add_argument('--loop', action='store_true', help='start again at the end')
    parser.add_argument(
        '--start-offset',
        type=float,
        default=default.start_offset_s,
        metavar='S',
        help='bag seconds to skip',
    )
    parser.add_argument('--topics', nargs='+', default=(), metavar='TOPIC', help='play only these')
    parser.add_argument(
        '--remap', nargs='+', default=(), metavar='FROM:=TO', help='publish under other names'
    )
    parser.add_argument(
        '--wait-for-subscribers',
        nargs='+',
        default=(),
        metavar='TOPIC',
        help='published topics that must have a subscriber first',
    )
    parser.add_argument(
        '--clock',
        type=float,
        default=default.clock_hz,
        metavar='HZ',
        help='rate of /clock; 0 publishes none',
    )
    return parser


def _options(parsed: argparse.Namespace) -> ReplayOptions:
    pairs = [item.partition(':=') for item in parsed.remap]
    for source, separator, target in pairs:
        if not (source and separator and target):
            raise ValueError(f'--remap takes FROM:=TO, got {source + separator + target!r}')
    return ReplayOptions(
        rate=parsed.rate,
        loop=parsed.loop,
        start_offset_s=parsed.start_offset,
        topics=tuple(parsed.topics),
        remaps={source: target for source, _, target in pairs},
        wait_for_subscribers=tuple(parsed.wait_for_subscribers),
        clock_hz=parsed.clock,
    )


if __name__ == '__main__':
    sys.exit(main())
