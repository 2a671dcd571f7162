"""Bag in, depth bag out, by `depth_bag`: every frame, the same result on every run.

The node drops frames when it is slower than the camera, as a robot must; an evaluation must not.
"""

import argparse
from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice
import logging
from pathlib import Path
import sys
from typing import get_args, Literal

from rosbags.interfaces import Connection
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.reader import BagReader
from ssd_depth_core.bags.writer import BagWriter
from ssd_depth_core.runtime.backends import BackendName
from ssd_depth_core.runtime.postprocess import millimetres
from ssd_depth_core.runtime.predictor import DepthPredictor

logger = logging.getLogger(__name__)

DepthEncoding = Literal['32FC1', '16UC1']
"""Metres with NaN where unknown, or millimetres with 0 where unknown (REP 118)."""

_IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
_INFO_TYPE = 'sensor_msgs/msg/CameraInfo'


def predict_bag(
    source: Path,
    out: Path,
    predictor: DepthPredictor,
    *,
    topic: str | None = None,
    info_topic: str | None = None,
    encoding: DepthEncoding = '32FC1',
) -> int:
    """Predict the depth of every picture of a topic.

    Writes `depth/image`, `depth/camera_info` and, if the model gives one, `confidence/image` into
    the camera's namespace, with the pictures' headers and log times. A picture goes with the
    camera_info of its own stamp; where there is none, with the newest earlier one, or else with
    the first (recorders often latch one info).

    Args:
        source: ROS 2 bag, as `BagReader` takes it.
        out: Bag to write, as `BagWriter` takes it.
        predictor: With the model loaded.
        topic: Of the pictures; None takes the only one with colour or grey pictures.
        info_topic: Of their calibration; None takes `camera_info` beside the pictures.
        encoding: Of the depth.

    Returns:
        How many pictures there were.

    Raises:
        FileExistsError: If `out` exists.
        FileNotFoundError: If there is no bag.
        ValueError: If the bag or a picture is damaged, a topic is missing, the choice of topic is
            not clear, or calibration and pictures contradict each other.
    """
    with BagReader(source) as bag, BagWriter(out) as writer:
        pictures = _choose_pictures(bag, topic)
        camera = pictures.topic.removesuffix('/compressed').rpartition('/')[0]
        infos = _Calibrations(bag, info_topic or f'{camera}/camera_info', pictures.topic)
        num_pictures = 0
        for log_time_ns, message in bag.messages(pictures):
            stamp_ns = messages.stamp_ns(message)
            try:
                image = messages.rgb_image(message)
                K = messages.intrinsics(infos.at(stamp_ns), image.shape[:2])
            except ValueError as error:
                raise ValueError(f'{pictures.topic} at {stamp_ns} ns: {error}') from None
            prediction = predictor.predict(image, K)
            assert prediction.K is not None, 'one was given'
            header = messages.header(stamp_ns, message.header.frame_id)
            depth = prediction.depth if encoding == '32FC1' else millimetres(prediction.depth)
            info = messages.camera_info(header, prediction.K, depth.shape)
            writer.write(f'{camera}/depth/camera_info', info, log_time_ns)
            writer.write(f'{camera}/depth/image', messages.depth_image(header, depth), log_time_ns)
            if prediction.confidence is not None:
                confidence = messages.depth_image(header, prediction.confidence)
                writer.write(f'{camera}/confidence/image', confidence, log_time_ns)
            num_pictures += 1
            _show_progress(num_pictures, pictures.msgcount)
    return num_pictures


def main(argv: Sequence[str] | None = None) -> int:
    """Run `depth_bag`.

    Args:
        argv: Without the program's name; None takes the process's.

    Returns:
        0; an error ends the process with 1 and one line that says what to do.

    Raises:
        SystemExit: On an error.
    """
    args = _parser().parse_args(argv)
    try:
        num_pictures = predict_bag(
            args.bag,
            args.out,
            DepthPredictor.load(args.model, args.backend),
            topic=args.topic,
            info_topic=args.camera_info,
            encoding=args.encoding,
        )
    except (OSError, ImportError, ValueError) as error:
        raise SystemExit(f'depth_bag: {error}') from None
    print(f'{num_pictures} pictures -> {args.out}')
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='depth_bag',
        description='Predict the depth of every picture in a bag; no frame is dropped.',
        epilog='example: depth_bag night_drive.mcap depth.mcap '
        '--topic /cam_front/image_rect_color/compressed',
    )
    parser.add_argument('bag', type=Path, help='folder, .mcap or .db3')
    parser.add_argument('out', type=Path, help='NAME.mcap for a single file, else a folder')
    parser.add_argument('--model', type=Path, metavar='ONNX', help='default: the shipped student')
    parser.add_argument('--backend', choices=get_args(BackendName), default='auto')
    parser.add_argument(
        '--topic', help='of the pictures; needed where the bag holds several cameras'
    )
    parser.add_argument('--camera-info', metavar='TOPIC', help='default: camera_info beside them')
    parser.add_argument('--encoding', choices=get_args(DepthEncoding), default='32FC1')
    return parser


def _choose_pictures(bag: BagReader, topic: str | None) -> Connection:
    """Find the topic with the pictures; where none is named, there must be one only."""
    candidates = {c.topic: c for c in bag.connections if c.msgtype in _IMAGE_TYPES}
    if topic is not None:
        if topic not in candidates:
            raise ValueError(
                f'bag {bag.path} has no images on {topic}; '
                f'it has images on {", ".join(sorted(candidates)) or "no topic"}'
            )
        return candidates[topic]
    pictures = {name: c for name, c in candidates.items() if not _holds_depth(bag, c)}
    if len(pictures) != 1:
        raise ValueError(
            f'bag {bag.path} has {len(pictures)} topics with pictures: '
            f'{", ".join(sorted(pictures)) or "none"}; name one with --topic'
        )
    return next(iter(pictures.values()))


def _holds_depth(bag: BagReader, connection: Connection) -> bool:
    return any(messages.is_depth(first) for _, first in islice(bag.messages(connection), 1))


class _Calibrations:
    """Find the camera_info that belongs to a picture."""

    def __init__(self, bag: BagReader, topic: str, picture_topic: str) -> None:
        infos = [
            info
            for connection in bag.connections
            if (connection.topic, connection.msgtype) == (topic, _INFO_TYPE)
            for _, info in bag.messages(connection)
        ]
        if not infos:
            raise ValueError(
                f'bag {bag.path} has no camera_info on {topic}, so the depth of {picture_topic} '
                'would have no scale; record it too, or name another with --camera-info'
            )
        if any(messages.calibration(info).is_distorted for info in infos):
            logger.warning(
                '%s has distortion: depth is right for rectified images only; is %s rectified?',
                topic,
                picture_topic,
            )
        self._infos = sorted(infos, key=messages.stamp_ns)
        self._stamps = [messages.stamp_ns(info) for info in self._infos]

    def at(self, stamp_ns: int) -> messages.Message:
        """Give the info of this stamp, else the newest earlier one, else the first."""
        return self._infos[max(0, bisect_right(self._stamps, stamp_ns) - 1)]


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        end = '\n' if done == total else ''
        print(f'\r{done}/{total} pictures', end=end, file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(main())
