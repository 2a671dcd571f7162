"""nuScenes -> ROS 2 bag, by `depth_convert_nuscenes`.

A bag holds, for each camera (frames and topics in lower case):

    /cam_front/image_rect_color/compressed   the data set's own JPEG, rectified as nuScenes' are
    /cam_front/camera_info                   with the picture's stamp
    /cam_front/exact_depth/...               rendered data sets only, see `_add_exact_depth`
    /lidar_top                               x, y, z, intensity, ring
    /tf                                      map -> base_link at every stamp above
    /tf_static                               base_link -> sensors, transient local
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
import sys
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.bags import messages
from ssd_depth_core.bags.writer import BagVersion, BagWriter
from ssd_depth_core.checks import check_file
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar, SceneRecord, SensorRecord
from ssd_depth_core.exact_depth import MESSAGE_FORMAT
from ssd_depth_core.runtime.images import decode_image

LIDAR_CHANNEL = 'LIDAR_TOP'
"""The only LiDAR of nuScenes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Choose what of a scene goes into the bag."""

    cameras: tuple[str, ...] | None = None
    """Channels; None for all cameras."""
    lidar: bool = False
    """Whether to take `LIDAR_TOP`."""
    exact_depth_stride: int | None = None
    """Take every n-th row and column of the exact depth; None leaves it out."""
    start_s: float = 0.0
    """Since the scene's first record, seconds."""
    duration_s: float | None = None
    """Seconds, the end not included; None for the rest of the scene."""

    def __post_init__(self) -> None:
        """Validate.

        Raises:
            ValueError: If a value is out of its range.
        """
        if self.start_s < 0:
            raise ValueError(f'start must be >= 0 s, got {self.start_s:g}')
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError(f'duration must be > 0 s, got {self.duration_s:g}')
        if self.exact_depth_stride is not None and self.exact_depth_stride < 1:
            raise ValueError(f'exact depth stride must be >= 1, got {self.exact_depth_stride}')


def convert_scene(
    data: NuScenes,
    scene: SceneRecord,
    out: Path,
    selection: Selection,
    *,
    version: BagVersion = 9,
    compression: Literal['zstd', 'none'] = 'zstd',
) -> int:
    """Write one scene as a bag.

    Messages lie in the order of their stamps, and are logged at them, so that a player's clock
    and the headers agree.

    Args:
        data: The data set.
        scene: One of its scenes.
        out: The bag, as `BagWriter` takes it.
        selection: What to take.
        version: Of rosbag2's metadata.
        compression: Of the bag.

    Returns:
        How many pictures and sweeps were written.

    Raises:
        FileExistsError: If the bag exists.
        FileNotFoundError: If a picture, a sweep or exact depth is missing.
        ValueError: If nothing of the scene is selected, or a file or a table is broken.
    """
    records = _select(data.records(scene), selection, scene.name)
    with BagWriter(out, version=version, compression=compression) as bag:
        first_ns = _stamp_ns(records[0])
        sensors = {_frame_of(record): record.T_ego_sensor for record in records}
        bag.write(
            '/tf_static', messages.transforms(first_ns, 'base_link', [*sensors.items()]), first_ns
        )
        previous_us = None
        for record in records:
            if record.timestamp_us != previous_us:  # sensors may share an instant, and its pose
                pose = [('base_link', record.T_world_ego)]
                stamp_ns = _stamp_ns(record)
                bag.write('/tf', messages.transforms(stamp_ns, 'map', pose), stamp_ns)
            previous_us = record.timestamp_us
            if record.modality == 'lidar':
                _add_sweep(bag, record)
                continue
            _add_picture(bag, record)
            if selection.exact_depth_stride is not None:
                _add_exact_depth(bag, record, data.root, selection.exact_depth_stride)
    return len(records)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `depth_convert_nuscenes`.

    Args:
        argv: Without the program's name; None takes the process's.

    Returns:
        0; an error ends the process with 1 and one line that says what to do.

    Raises:
        SystemExit: On an error.
    """
    args = _parser().parse_args(argv)
    try:
        selection = Selection(
            cameras=tuple(args.cameras) if args.cameras else None,
            lidar=args.lidar,
            exact_depth_stride=args.exact_depth_stride,
            start_s=args.start,
            duration_s=args.duration,
        )
        data = NuScenes(args.dataset, args.dataset_version)
        scenes = [data.scene(name) for name in args.scene] if args.scene else data.scenes
        for scene in scenes:
            # A bag has one time line, so several scenes become several bags.
            out = args.out if len(scenes) == 1 else args.out / f'{scene.name}.mcap'
            num_records = convert_scene(
                data,
                scene,
                out,
                selection,
                version=args.bag_version,
                compression=args.compress,
            )
            print(f'{scene.name}: {num_records} pictures and sweeps -> {out}')
    except (OSError, ValueError) as error:
        raise SystemExit(f'depth_convert_nuscenes: {error}') from None
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='depth_convert_nuscenes',
        description='Convert nuScenes, or a rendered data set in its format, to a ROS 2 bag.',
        epilog='example: depth_convert_nuscenes nuscenes/ --scene scene-0061 '
        '--cameras CAM_FRONT --out scene-0061.mcap',
    )
    parser.add_argument('dataset', type=Path, help='folder that holds samples/ and v1.0-*/')
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='bag: NAME.mcap for a single file, else a folder with metadata.yaml; '
        'with several scenes, the folder that gets a bag a scene',
    )
    parser.add_argument('--scene', nargs='+', metavar='NAME', help='default: all scenes')
    parser.add_argument('--cameras', nargs='+', metavar='CHANNEL', help='default: all cameras')
    parser.add_argument('--start', type=float, default=0.0, metavar='S', help='skip S seconds')
    parser.add_argument('--duration', type=float, metavar='S', help='take S seconds')
    parser.add_argument('--lidar', action='store_true', help='add /lidar_top')
    parser.add_argument(
        '--exact-depth-stride',
        type=int,
        metavar='N',
        help='add the exact depth of a rendered data set, every N-th row and column',
    )
    parser.add_argument(
        '--dataset-version', metavar='V1.0-X', help='needed where the folder holds several'
    )
    parser.add_argument(
        '--bag-version',
        type=int,
        choices=(8, 9),
        default=9,
        help='9 for Jazzy and later (default), 8 for Humble and Iron',
    )
    parser.add_argument('--compress', choices=('zstd', 'none'), default='zstd')
    return parser


def _select(
    records: list[SensorRecord], selection: Selection, scene_name: str
) -> list[SensorRecord]:
    """Keep the channels and the time asked for; at least one record."""
    if not records:
        raise ValueError(f'{scene_name} has no records; the tables are of another download')
    modality = {record.channel: record.modality for record in records}
    known = {channel for channel in modality if modality[channel] in ('camera', 'lidar')}
    wanted = set(selection.cameras or (c for c in known if modality[c] == 'camera'))
    if selection.lidar:
        wanted.add(LIDAR_CHANNEL)
    unknown = sorted(wanted - known)
    if unknown:
        raise ValueError(
            f'{scene_name} has no {", ".join(unknown)}; it has {", ".join(sorted(known))}'
        )
    begin_us = records[0].timestamp_us + round(selection.start_s * 1e6)
    end_us = math.inf if selection.duration_s is None else begin_us + selection.duration_s * 1e6
    selected = [
        record
        for record in records
        if record.channel in wanted and begin_us <= record.timestamp_us < end_us
    ]
    if not selected:
        raise ValueError(
            f'{scene_name} has no record in the time asked for; '
            f'it lasts {(records[-1].timestamp_us - records[0].timestamp_us) / 1e6:g} s'
        )
    return selected


def _frame_of(record: SensorRecord) -> str:
    return record.channel.lower()


def _stamp_ns(record: SensorRecord) -> int:
    return record.timestamp_us * 1000


def _header(record: SensorRecord) -> messages.Message:
    return messages.header(_stamp_ns(record), _frame_of(record))


def _add_picture(bag: BagWriter, record: SensorRecord) -> None:
    check_file(record.path, f'picture of {record.channel}', 'download the blobs of this scene')
    jpeg = record.path.read_bytes()
    K, size = _calibration(record)
    _check_picture(jpeg, record.path, size)
    header, stamp_ns = _header(record), _stamp_ns(record)
    camera = f'/{_frame_of(record)}'
    bag.write(f'{camera}/camera_info', messages.camera_info(header, K, size), stamp_ns)
    image = messages.compressed_image(header, 'jpeg', jpeg)
    bag.write(f'{camera}/image_rect_color/compressed', image, stamp_ns)


def _calibration(record: SensorRecord) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Give K and (H, W), which every camera's record has."""
    assert record.K is not None
    assert record.size is not None
    return record.K, record.size


def _check_picture(jpeg: bytes, path: Path, size: tuple[int, int]) -> None:
    """Require a whole JPEG of the size that its camera_info will say."""
    try:
        height, width = decode_image(jpeg, 8).shape[:2]  # an eighth, for speed
    except ValueError as error:
        raise ValueError(f'picture {path}: {error}') from None
    if (height, width) != tuple(math.ceil(side / 8) for side in size):
        raise ValueError(
            f'picture {path} has about {8 * width}x{8 * height} pixels, but sample_data '
            f'says {size[1]}x{size[0]}, which K is for; use the original pictures'
        )


def _add_exact_depth(bag: BagWriter, record: SensorRecord, root: Path, stride: int) -> None:
    """Add `exact_depth/image/compressed`, 16-bit PNG of 1/256 m, and its `camera_info`.

    Rows and columns 0, n, 2n... are taken, never averaged: a mean of two depths is the depth of
    nothing. So pixel u of the picture becomes u / n, and K is divided by n without the half-pixel
    term of a resize.
    """
    path = root / 'exact_depth' / record.channel / f'{record.path.stem}.png'
    check_file(path, f'exact depth of {record.channel}', 'only rendered data sets have it')
    coded = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    K, size = _calibration(record)
    if coded is None or coded.dtype != np.uint16 or coded.shape != size:
        got = 'unreadable' if coded is None else f'{coded.dtype} {coded.shape}'
        raise ValueError(f'exact depth {path} must be uint16 {size}, got {got}')
    strided = np.ascontiguousarray(coded[::stride, ::stride])
    png = cv2.imencode('.png', strided)[1].tobytes()
    header, stamp_ns = _header(record), _stamp_ns(record)
    topics = f'/{_frame_of(record)}/exact_depth'
    info = messages.camera_info(header, K / [[stride], [stride], [1]], strided.shape)
    bag.write(f'{topics}/camera_info', info, stamp_ns)
    image = messages.compressed_image(header, MESSAGE_FORMAT, png)
    bag.write(f'{topics}/image/compressed', image, stamp_ns)


def _add_sweep(bag: BagWriter, record: SensorRecord) -> None:
    cloud = messages.point_cloud(_header(record), read_lidar(record.path))
    bag.write(f'/{_frame_of(record)}', cloud, _stamp_ns(record))


if __name__ == '__main__':
    sys.exit(main())
