"""Measure the node as a robot runs it: a process of its own, fed over DDS at the cameras' pace.

    python bench/node_speed.py --json docs/results/node_cpu.json

Another process plays the cameras (1600x900 JPEG with camera_info), first one, then nuScenes' six,
which its LiDAR triggers one after the other; this one listens. Age is from the stamp, taken just
before publishing, to the depth image's arrival here. Node and cameras have the shared memory
profile that depth.launch.py gives the node.
"""

import argparse
from array import array
from pathlib import Path
import shlex
import sys
import tempfile
import time
from typing import Any

from camera_player import HEIGHT, NAMES, playing, WIDTH
from depth_listener import listening
import numpy as np
from predictor_speed import street_like_jpeg, times_ms
from ros_bench import cpu_s, keep_apart, PROFILE, START_S, wait_for
from sensor_msgs.msg import CompressedImage
from ssd_depth_core.preprocess import focal_of
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.postprocess import check_outputs, metric_depth
from ssd_depth_core.runtime.predictor import DepthPredictor, SHIPPED_MODEL
from ssd_depth_ros.conversions import rgb_from_compressed
from ssd_depth_ros.node_process import NodeProcess

WARM_UP_FRAMES = 12
SPLIT_ROUNDS = 50
STAGES = ('receive', 'wait', 'decode', 'join', 'ready', 'predict', 'publish', 'latency')


def measure(options: argparse.Namespace, num_cameras: int) -> tuple[dict[str, Any], ...]:
    """Run the node and the cameras.

    Args:
        options: Of the command line.
        num_cameras: How many; one has no name.

    Returns:
        One row of the table, and one of the stages.

    Raises:
        TimeoutError: If the node does not come up or does not connect.
    """
    prefixes = [f'{name}/' for name in NAMES[:num_cameras]] if num_cameras > 1 else ['']
    arguments = ['-p', f'backend:={options.backend}', '-p', f'num_threads:={options.threads}']
    if options.model:
        arguments += ['-p', f'model:={options.model}']
    if num_cameras > 1:
        arguments += ['-p', f'cameras:=[{", ".join(NAMES[:num_cameras])}]']
    jpeg = street_like_jpeg()
    with (
        tempfile.TemporaryDirectory() as folder,
        listening(prefixes) as (node, listener),
        NodeProcess('depth_node', arguments, PROFILE, Path(folder) / 'node.log') as process,
    ):
        process.wait_until_active(node, START_S)
        wait_for(listener.connected, 'node and listener')
        with playing(prefixes, jpeg) as cameras:
            cameras.recv()
            cameras.send((WARM_UP_FRAMES, options.rate))
            listener.settle(cameras.recv())
            before = listener.figures()
            used_s = cpu_s(process.pid)
            started = time.monotonic()
            cameras.send((round(options.seconds * options.rate), options.rate))
            sent_ns = cameras.recv()
            seconds = time.monotonic() - started
            node_cores = (cpu_s(process.pid) - used_s) / seconds
            listener.settle(sent_ns)
            after = listener.figures()
            rss_mb = process.peak_rss_mb()
    ages_ms = [
        age
        for sent, came in zip(sent_ns, listener.arrived_ns, strict=True)
        for age in ages(sent, came)
    ]
    p50, p99 = np.percentile(ages_ms, (50, 99)) if ages_ms else (np.nan, np.nan)
    n = sum(map(len, sent_ns))
    row = {
        'method': f'depth_node, {listener.engine}',
        'data': f'{num_cameras} x {WIDTH}x{HEIGHT} JPEG, {len(jpeg) / 1e3:.0f} kB, '
        f'{options.rate:g} Hz',
        'seconds': options.seconds,
        'n': n,
        'in': round(after['frames_in'] - before['frames_in']),
        'out': round(after['frames_out'] - before['frames_out']),
        'dropped': n - len(ages_ms),
        'age_ms_p50': round(float(p50), 1),
        'age_ms_p99': round(float(p99), 1),
        'age_ms_max': round(max(ages_ms, default=np.nan), 1),
        'node_cores': round(node_cores, 2),
        'peak_rss_mb': round(rss_mb),
    }
    stages = {'cameras': num_cameras} | {
        f'{stage}_ms': after.get(f'{stage}_ms_p50', np.nan) for stage in STAGES
    }
    return row, stages | split(options, jpeg, num_cameras)


def split(options: argparse.Namespace, jpeg: bytes, batch: int) -> dict[str, float]:
    """Time the parts of `predict`, by themselves: the node tells their sum alone.

    Args:
        options: Of the command line.
        jpeg: The picture.
        batch: How many pictures go through the network together.

    Returns:
        Medians for a batch [ms]: before the network, in it, and after it.
    """
    predictor = DepthPredictor.load(options.model, options.backend, options.threads or None)
    spec, size = predictor.spec, (predictor.spec.input_height, predictor.spec.input_width)
    image, _ = rgb_from_compressed(CompressedImage(data=array('B', jpeg)), size)
    K = np.diag((image.shape[1], image.shape[1], 1.0))
    blob = np.zeros((batch, 3, *size), np.float32)
    # The engine that was chosen; asked for again, it might be another model's.
    engine = predictor._backend

    def finish(outputs: dict[str, Any]) -> None:
        check_outputs(outputs, spec)
        for index in range(batch):
            metric_depth(outputs['inverse_depth'][index, 0], spec, focal_of(K))

    _, whole, _ = times_ms(
        lambda: predictor.predict_batch([image] * batch, [K] * batch), SPLIT_ROUNDS
    )
    _, network, _ = times_ms(lambda: engine.run(blob), SPLIT_ROUNDS)
    outputs = engine.run(blob)
    _, post, _ = times_ms(lambda: finish(outputs), SPLIT_ROUNDS)
    return {
        'pre_ms': round(max(whole - network - post, 0.0), 2),
        'network_ms': round(network, 2),
        'post_ms': round(post, 2),
    }


def ages(sent_ns: list[int], arrived_ns: dict[int, int]) -> list[float]:
    """Tell how old depth was when it came.

    Args:
        sent_ns: Stamps of the pictures that count.
        arrived_ns: When depth came, by its stamp; a late one of the warm-up is left out.

    Returns:
        Age of each depth image that came [ms].
    """
    return [1e-6 * (arrived_ns[stamp] - stamp) for stamp in sent_ns if stamp in arrived_ns]


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--model', type=Path, help=f'ONNX file; {SHIPPED_MODEL.name} if left out')
    parser.add_argument('--backend', default='auto')
    parser.add_argument(
        '--threads', type=int, default=0, help='of the engine; 0 for its own choice'
    )
    parser.add_argument('--cameras', type=int, nargs='+', default=[1, 6], help='how many, 1 to 6')
    parser.add_argument('--rate', type=float, default=12.0, help='pictures a second of each')
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    if not all(1 <= number <= len(NAMES) for number in options.cameras):
        parser.error(f'--cameras must be from 1 to {len(NAMES)}, got {options.cameras}')
    keep_apart()
    rows, stages = zip(*(measure(options, number) for number in options.cameras), strict=True)
    for table in (rows, stages):
        for row in table:
            print('  '.join(f'{name} {value}' for name, value in row.items()))
    if options.json:
        result = Result(
            title='The node at work: drops, age and memory',
            command=shlex.join(['python', 'bench/node_speed.py', *arguments]),
            seed=0,
            data='a generated 1600x900 JPEG, quality 90, sent over DDS by another process',
            rows=rows,
            further={'stages': stages},
            notes=(
                'Cameras and listener (depth and camera_info, of a single camera points too) are '
                'processes on the same cores. Age is from the stamp to the arrival of the depth '
                'image at the listener; dropped is what did not arrive, in and out are as the '
                'node counts. Six cameras take their pictures one after the other within 50 ms, '
                'and the first of them waits for the last. Stages are medians as the node tells '
                'them, pictures of a batch waiting for each other; pre, network and post, for the '
                'batch, were timed by themselves after it.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
