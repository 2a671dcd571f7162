"""Weigh what a picture costs the processor: network, all else, and a tutorial's node beside it.

    python bench/node_cost.py --json docs/results/node_cost_cpu.json

One 1600x900 JPEG camera at 12 Hz, depth, camera_info and cloud listened to. Cost is processor
time of the node's process a picture, in the kernel and of all threads. The network's own is taken
from running it at the same pace, as caches are cold and clocks low between pictures.
"""

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
import os
from pathlib import Path
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from camera_player import playing
from depth_listener import listening
import numpy as np
from predictor_speed import street_like_jpeg
from rclpy.node import Node
from ros_bench import cpu_s, keep_apart, PROFILE, START_S, wait_for
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.backends import choose_backend, load_backend
from ssd_depth_core.runtime.predictor import shipped_model
from ssd_depth_ros.node_process import NodeProcess

STOP_S = 10.0
WARM_UP_FRAMES = 12
TUTORIAL = Path(__file__).with_name('tutorial_node.py')


def network_ms(rate_hz: float, frames: int) -> float:
    """Run the shipped student alone, at the cameras' pace.

    Args:
        rate_hz: Runs a second.
        frames: How many runs.

    Returns:
        Processor time of one run [ms].
    """
    backend = choose_backend('auto')
    model = shipped_model(backend)
    spec = load_spec(model)
    network = load_backend(backend, model, None, 1, None)
    blob = np.zeros((1, 3, spec.input_height, spec.input_width), np.float32)
    network.run(blob)
    # The pauses as well: an engine's threads may go on for a while after their answer.
    used_s, start = time.process_time(), time.monotonic()
    for index in range(1, frames + 1):
        network.run(blob)
        time.sleep(max(0.0, start + index / rate_hz - time.monotonic()))
    return 1e3 * (time.process_time() - used_s) / frames


@contextmanager
def _our_node(node: Node, log: Path) -> Iterator[int]:
    with NodeProcess('depth_node', [], PROFILE, log) as process:
        process.wait_until_active(node, START_S)
        yield process.pid


@contextmanager
def _tutorials_node(option: str, _: Node, log: Path) -> Iterator[int]:
    command = [sys.executable, str(TUTORIAL), option]
    with log.open('wb') as output:
        process = subprocess.Popen(command, env=os.environ | PROFILE, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NODES: dict[str, Callable[[Node, Path], AbstractContextManager[int]]] = {
    'depth_node': _our_node,
    'tutorial, tobytes': partial(_tutorials_node, '--tobytes'),
    'tutorial, tolist': partial(_tutorials_node, '--tolist'),
}


def picture_ms(name: str, rate_hz: float, frames: int) -> tuple[float, int]:
    """Run a node beside a camera.

    Args:
        name: Of `NODES`.
        rate_hz: Pictures a second.
        frames: How many pictures.

    Returns:
        Processor time of one picture [ms], and of how many depth came.

    Raises:
        RuntimeError: If none came.
        TimeoutError: If the node does not come up or does not connect.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        listening([''], has_stats=name == 'depth_node') as (node, listener),
        NODES[name](node, log := Path(folder) / 'node.log') as pid,
        playing([''], street_like_jpeg()) as cameras,
    ):
        wait_for(listener.connected, f'{name} and listener')
        cameras.recv()
        cameras.send((WARM_UP_FRAMES, rate_hz))
        listener.settle(cameras.recv())
        before_s = cpu_s(pid)
        cameras.send((frames, rate_hz))
        sent_ns = cameras.recv()
        listener.settle(sent_ns)
        used_s = cpu_s(pid) - before_s
        came = set(sent_ns[0]) & listener.arrived_ns[0].keys()
        if not came:
            raise RuntimeError(f'{name} gave no depth; its log:\n{log.read_text()}')
    return 1e3 * used_s / len(came), len(came)


def measure(rate_hz: float, frames: int) -> tuple[dict[str, Any], ...]:
    """Weigh each node.

    Args:
        rate_hz: Pictures a second.
        frames: How many pictures.

    Returns:
        The rows of the table.
    """
    network = network_ms(rate_hz, frames)
    costs = {name: picture_ms(name, rate_hz, frames) for name in NODES}
    ours = costs['depth_node'][0] - network
    return tuple(
        {
            'method': name,
            'picture_ms': round(whole, 2),
            'network_ms': round(network, 2),
            'all_else_ms': round(whole - network, 2),
            'all_else_over_network': round((whole - network) / network, 2),
            'all_else_over_ours': round((whole - network) / ours, 2),
            'sent': frames,
            'n': came,
        }
        for name, (whole, came) in costs.items()
    )


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--rate', type=float, default=12.0, help='pictures a second')
    parser.add_argument('--frames', type=int, default=360)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    keep_apart()
    rows = measure(options.rate, options.frames)
    for row in rows:
        print('  '.join(f'{name} {value}' for name, value in row.items()))
    if options.json:
        result = Result(
            title='What a picture costs the processor: the network, and all else',
            command=shlex.join(['python', 'bench/node_cost.py', *arguments]),
            seed=0,
            data=f'a generated 1600x900 JPEG, quality 90, at {options.rate:g} Hz over DDS',
            rows=rows,
            notes=(
                'Processor time of all threads. The network is the same in both nodes and was '
                'run by itself at the same pace; all else is the rest of the process: receiving, '
                'decoding, preparing, depth, cloud, publishing, and statistics where there are '
                'any. All publish depth and a coloured cloud of 320x192. The tutorial prepares '
                'pictures as the reference code of MiDaS does, and makes each message anew, its '
                'bytes by tobytes or by tolist. n is of how many pictures depth came.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
