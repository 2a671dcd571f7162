"""Time what it costs to publish depth and clouds, beside the least that it can cost.

    python bench/publish_speed.py --json docs/results/publish_cpu.json

Nobody subscribes. The floor is one plain copy of the message's bytes plus `publish` of a message
that is filled already, which rclpy copies and serialises whatever it holds. The tutorial's way is
a fresh message each time, its points joined by NumPy and turned into bytes.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
import shlex
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from predictor_speed import times_ms
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2, PointField
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_ros.conversions import ImageWriter
from ssd_depth_ros.memory import keep_large_blocks
from ssd_depth_ros.outputs import OUTPUT_QOS
from ssd_depth_ros.parameters import PointsParameters
from ssd_depth_ros.point_cloud import PointCloudWriter
from std_msgs.msg import Header

_SIZE = (900, 1600)  # nuScenes' cameras
_STRIDE = 4  # of the cloud: 90 000 points
_K = np.array([[1266.0, 0.0, 799.5], [0.0, 1266.0, 449.5], [0.0, 0.0, 1.0]])
_SEED = 0


def tutorial_image(depth: NDArray[np.float32]) -> Image:
    """Make a depth image as a first program would.

    Args:
        depth: (h, w) [m].

    Returns:
        A fresh message.
    """
    height, width = depth.shape
    message = Image(height=height, width=width, step=4 * width, encoding='32FC1')
    message.data = depth.tobytes()
    return message


def tutorial_cloud(depth: NDArray[np.float32], fields: str, fourth: NDArray[Any]) -> PointCloud2:
    """Make a cloud as a first program would.

    Args:
        depth: (h, w) [m].
        fields: As of `PointsParameters`.
        fourth: (h, w) of 32 bits, what follows x, y, z.

    Returns:
        A fresh message.
    """
    z = depth[::_STRIDE, ::_STRIDE]
    v, u = np.mgrid[: depth.shape[0] : _STRIDE, : depth.shape[1] : _STRIDE]
    x, y = (u - _K[0, 2]) / _K[0, 0] * z, (v - _K[1, 2]) / _K[1, 1] * z
    columns = [x, y, z] if fields == 'xyz' else [x, y, z, fourth.view(np.float32)]
    points = np.stack(columns, axis=-1).astype(np.float32)
    names = ('x', 'y', 'z', 'rgb')[: len(columns)]
    message = PointCloud2(height=z.shape[0], width=z.shape[1], point_step=4 * len(columns))
    message.row_step = message.point_step * message.width
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    message.data = points.tobytes()
    return message


def row(
    node: Node,
    what: str,
    write: Callable[[], Any],
    tutorial: Callable[[], Any],
    rounds: int,
) -> dict[str, Any]:
    """Time one kind of message.

    Args:
        node: Who publishes.
        what: Name of the row.
        write: Gives the node's message, filled anew.
        tutorial: Gives the tutorial's.
        rounds: How often.

    Returns:
        Medians [ms], and how many times the floor they are.
    """
    message = write()
    publisher = node.create_publisher(type(message), 'bench', OUTPUT_QOS)
    # A copy: the memory of a message whose length changes must have no view.
    source = np.array(message.data)
    target = np.empty_like(source)
    _, copy_ms, _ = times_ms(lambda: np.copyto(target, source), rounds)
    _, publish_ms, _ = times_ms(lambda: publisher.publish(message), rounds)
    _, ours_ms, _ = times_ms(lambda: publisher.publish(write()), rounds)
    _, theirs_ms, _ = times_ms(lambda: publisher.publish(tutorial()), rounds)
    node.destroy_publisher(publisher)
    floor_ms = copy_ms + publish_ms
    return {
        'message': what,
        'mb': round(source.nbytes / 1e6, 2),
        'copy_ms': round(copy_ms, 3),
        'publish_ms': round(publish_ms, 3),
        'node_ms': round(ours_ms, 3),
        'node_over_floor': round(ours_ms / floor_ms, 2),
        'tutorial_ms': round(theirs_ms, 3),
        'tutorial_over_floor': round(theirs_ms / floor_ms, 2),
        'n': rounds,
    }


def measure(rounds: int) -> tuple[dict[str, Any], ...]:
    """Time every kind of message.

    Args:
        rounds: How often each.

    Returns:
        The rows of the table.
    """
    rng = np.random.default_rng(_SEED)
    # Smooth, as depth is, with a sky: a random mask would cost more than any real one.
    rows = np.linspace(-0.3, 1.0, _SIZE[0], dtype=np.float32)[:, None]
    depth = np.where(rows > 0.02, 1.5 / np.maximum(rows, 0.02), np.nan).repeat(_SIZE[1], axis=1)
    confidence = rng.uniform(0, 1, _SIZE).astype(np.float32)
    # As a JPEG of that size is decoded for a small network.
    image = rng.integers(0, 256, (_SIZE[0] // 4, _SIZE[1] // 4, 3), np.uint8)
    header = Header(frame_id='camera')
    node = rclpy.create_node('bench_publisher')
    images = ImageWriter()
    table = [
        row(
            node,
            'depth image 1600x900 32FC1',
            partial(images.write, header, '32FC1', depth),
            partial(tutorial_image, depth),
            rounds,
        )
    ]
    fourth = confidence[::_STRIDE, ::_STRIDE].copy()
    for organized in (True, False):
        for fields in ('xyz', 'xyzrgb', 'xyzi'):
            settings = PointsParameters(fields=fields, stride=_STRIDE, organized=organized)
            write = partial(PointCloudWriter().write, header, depth, _K, settings)
            kind = '' if organized else ', known points only'
            table.append(
                row(
                    node,
                    f'cloud of 90 000 pixels, {fields}{kind}',
                    partial(write, confidence=confidence, image=image),
                    partial(tutorial_cloud, depth, fields, fourth),
                    rounds,
                )
            )
    node.destroy_node()
    return tuple(table)


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=300)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    keep_large_blocks()  # as the node does
    rclpy.init()
    rows = measure(options.rounds)
    rclpy.shutdown()
    for line in rows:
        print('  '.join(f'{name} {value}' for name, value in line.items()))
    if options.json:
        result = Result(
            title='Publishing: depth and clouds beside the floor',
            command=shlex.join(['python', 'bench/publish_speed.py', *arguments]),
            seed=_SEED,
            data='a flat road to 75 m under a sky, generated',
            rows=rows,
            notes=(
                'Nobody subscribes. The floor is a plain copy of the bytes (copy) plus publishing '
                'a message that is filled already (publish). Clouds are of every fourth row and '
                'column of 1600x900, coloured from a 400x225 picture. The tutorial makes a fresh '
                'message each time, from NumPy arrays by tobytes; its colours come packed.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
