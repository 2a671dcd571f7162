"""See how soon the node gives depth after its start, and whether its memory stays flat.

    python bench/node_endurance.py --json docs/results/node_endurance_cpu.json

The first from the start of the process to the first depth image at the listener; the one camera
plays as soon as the node subscribes, and the file caches are warm from a start before. The second
over 10,000 pictures of nuScenes' six cameras at 12 Hz, the resident set read every second.
"""

import argparse
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
import shlex
import sys
import tempfile
import time
from typing import Any

from camera_player import NAMES, playing
from depth_listener import Listener, listening
import numpy as np
from predictor_speed import street_like_jpeg
import psutil
from ros_bench import keep_apart, PROFILE, START_S, wait_for
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_ros.node_process import NodeProcess

RATE_HZ = 12.0
STARTS = 5
START_FRAMES = 60
"""Pictures that a start may take."""
LEAST_FRAMES = 500
"""Of all cameras: fewer are through in a few seconds, and no slope."""
WARM_UP_FRAMES = 60
"""Of each camera, before memory counts: engines and middleware take theirs with the first ones."""


def start_s() -> tuple[float, float]:
    """Start the node beside a camera.

    Returns:
        From the start of the process to where it listens, its model loaded, and to its first
        depth image [s]; between these the middleware lets the node find who listens to it.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        listening(['']) as (_, listener),
        playing([''], street_like_jpeg()) as cameras,
    ):
        started_ns = time.time_ns()
        with NodeProcess('depth_node', [], PROFILE, Path(folder) / 'node.log'):
            cameras.recv()
            listens_ns = time.time_ns()
            cameras.send((START_FRAMES, RATE_HZ))
            wait_for(lambda: bool(listener.arrived_ns[0]), 'node, camera and listener')
            cameras.recv()
    first_ns = min(listener.arrived_ns[0].values())
    return 1e-9 * (listens_ns - started_ns), 1e-9 * (first_ns - started_ns)


def slope_per_1000(frames: Sequence[float], values: Sequence[float]) -> float:
    """Fit a line.

    Args:
        frames: (N,) how many pictures had been through.
        values: (N,) of anything, then.

    Returns:
        By how much the values grow a thousand pictures, by least squares.
    """
    return 1000 * float(np.polyfit(frames, values, 1)[0])


def memory_mb(pid: int, cameras: Connection, listener: Listener) -> list[tuple[int, float]]:
    """Read the node's memory every second while the cameras play.

    Args:
        pid: The node's.
        cameras: Say when they are through.
        listener: Knows how many pictures have been through: a busy node leaves some out.

    Returns:
        (depth images that came, resident set [MB of 10^6 bytes]) by time.
    """
    process = psutil.Process(pid)
    samples = []
    while not cameras.poll(1.0):
        came = sum(map(len, listener.arrived_ns))
        samples.append((came, process.memory_info().rss / 1e6))
    return samples


def endure(frames: int) -> dict[str, Any]:
    """Run the node on six cameras.

    Args:
        frames: Of all cameras together.

    Returns:
        A row of the table.

    Raises:
        ChildProcessError: If the node ends before the cameras do.
        TimeoutError: If it does not come up or does not connect.
    """
    prefixes = [f'{name}/' for name in NAMES]
    each = -(-frames // len(NAMES))
    with (
        tempfile.TemporaryDirectory() as folder,
        listening(prefixes) as (node, listener),
        NodeProcess(
            'depth_node',
            ['-p', f'cameras:=[{", ".join(NAMES)}]'],
            PROFILE,
            Path(folder) / 'node.log',
        ) as process,
    ):
        process.wait_until_active(node, START_S)
        wait_for(listener.connected, 'node and listener')
        with playing(prefixes, street_like_jpeg()) as cameras:
            cameras.recv()
            cameras.send((WARM_UP_FRAMES, RATE_HZ))
            listener.settle(cameras.recv())
            cameras.send((each, RATE_HZ))
            samples = memory_mb(process.pid, cameras, listener)
            sent_ns = cameras.recv()
            listener.settle(sent_ns)
        process.check_alive()  # memory of what has ended reads as 0
    through, rss_mb = zip(*samples, strict=True)
    came = [set(s) & c.keys() for s, c in zip(sent_ns, listener.arrived_ns, strict=True)]
    return {
        'figure': 'resident memory over the pictures of six cameras',
        'value': round(slope_per_1000(through, rss_mb), 3),
        'unit': 'MB a 1000 pictures',
        'least': round(min(rss_mb), 1),
        'most': round(max(rss_mb), 1),
        'n': sum(map(len, came)),
    }


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--frames', type=int, default=10_000, help='over which memory is seen')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    if options.frames < LEAST_FRAMES:
        parser.error(f'--frames must be at least {LEAST_FRAMES}, got {options.frames}')
    keep_apart()
    start_s()  # fills the file caches
    starts = zip(*(start_s() for _ in range(STARTS)), strict=True)
    figures = ('start of the process to where it listens', '... to its first depth image')
    rows: list[dict[str, Any]] = [
        {
            'figure': figure,
            'value': round(float(np.median(seconds)), 2),
            'unit': 's, median',
            'least': round(min(seconds), 2),
            'most': round(max(seconds), 2),
            'n': STARTS,
        }
        for figure, seconds in zip(figures, starts, strict=True)
    ]
    rows.append(endure(options.frames))
    for row in rows:
        print('  '.join(f'{name} {value}' for name, value in row.items()))
    if options.json:
        result = Result(
            title='The node: first depth, and memory over time',
            command=shlex.join(['python', 'bench/node_endurance.py', *arguments]),
            seed=0,
            data='a generated 1600x900 JPEG, quality 90, at 12 Hz of each camera over DDS',
            rows=tuple(rows),
            notes=(
                'n counts starts, and depth images that came. Least and most are seconds, and MB '
                'of the resident set; the slope is by least squares over a reading a second, '
                f'after {WARM_UP_FRAMES} pictures of each camera.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
