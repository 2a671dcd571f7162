"""`depth_demo`: replay a drive to the real node, and tell how good and how fast it was.

The drive is synthetic, for only a rendered street has exact depth; whatever shows its figures or
its pictures says so.
"""

import argparse
from pathlib import Path
import signal
import sys

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.model_spec import load_spec
from ssd_depth_core.records import provenance
from ssd_depth_core.runtime.images import decode_image
from ssd_depth_core.runtime.predictor import SHIPPED_MODEL, shipped_model
from ssd_depth_ros.bag_depth import DepthGrid, read_depth, read_messages
from ssd_depth_ros.demo_session import DEPTH, DEPTH_INFO, DIAGNOSTICS, IMAGE, POINTS, run_session
from ssd_depth_ros.evaluation import FrameScore, sample_at, score_frames
from ssd_depth_ros.picture_sheet import draw_sheet, Instant
from ssd_depth_ros.points_picture import draw_points
from ssd_depth_ros.progress import Progress
from ssd_depth_ros.report import make_report, Report, write_report

TRUTH = '/cam_front/exact_depth/image/compressed'
TRUTH_INFO = '/cam_front/exact_depth/camera_info'
DEFAULT_BAG = Path('demo/night_drive.mcap')
NUM_INSTANTS = 6
DRIVE = 'synthetic: a rendered street'


def run_demo(bag: Path, out: Path, model: Path | None = None, rate: float = 1.0) -> Report:
    """Play a bag to the node and leave a report, pictures and a depth bag.

    Args:
        bag: A front camera's images, camera_info and exact depth (`TRUTH`).
        out: Folder for `report.json`, `report.md`, `depth.mcap`, `sheet.png`, `points.png` and
            `depth_node.log`; made where it does not exist.
        model: The `.onnx` file; None for the shipped student.
        rate: Bag seconds per second.

    Returns:
        The report.

    Raises:
        FileNotFoundError: If the bag or the model is missing.
        ValueError: If the bag or the model cannot be used, or no published frame has exact depth.
        LookupError: If a message package is not installed.
        ChildProcessError: If the node ends or cannot be configured.
        TimeoutError: If the node does not come up or publishes no depth.
    """
    truth = read_depth(bag, TRUTH, TRUTH_INFO)
    load_spec(SHIPPED_MODEL if model is None else model)  # a wrong one is named before the drive
    out.mkdir(parents=True, exist_ok=True)
    recording = out / 'depth.mcap'
    progress = Progress(sys.stdout)
    log = out / 'depth_node.log'
    session = run_session(bag, recording, log, progress, model=model, rate=rate)
    progress.say('comparing with the exact depth')
    depth = read_depth(recording, DEPTH, DEPTH_INFO)
    scores = score_frames(depth, truth)
    backend = _backend(recording)
    name = load_spec(shipped_model(backend.split()[0]) if model is None else model).name
    context = {
        'bag': str(bag),
        'drive': DRIVE,
        'rate': rate,
        'seconds': session.seconds,
        'model': name,
        'backend': backend,
        'node_rss_mb': session.node_rss_mb,
        **provenance(),
    }
    report = make_report(session.sent_ns, session.arrived_ns, scores, context)
    write_report(report, out)
    shown = [scores[i] for i in np.linspace(0, len(scores) - 1, NUM_INSTANTS).astype(int)]
    title = f'{bag.stem} ({DRIVE}): {name} against exact depth'
    _write_png(out / 'sheet.png', draw_sheet(_instants(bag, shown, depth, truth), title))
    _write_png(
        out / 'points.png', draw_points(_points(recording, shown[len(shown) // 2].stamp_ns))
    )
    return report


def _backend(recording: Path) -> str:
    """Read from the node's diagnostics what it ran the network on."""
    _, message = next(read_messages(recording, DIAGNOSTICS))  # the session began with one
    return str(message.status[0].hardware_id)


def _instants(
    bag: Path,
    scores: list[FrameScore],
    depth: dict[int, DepthGrid],
    truth: dict[int, DepthGrid],
) -> list[Instant]:
    images = {stamp: message.data for stamp, message in read_messages(bag, IMAGE)}
    first = min(images)
    return [
        Instant(
            image=decode_image(images[score.stamp_ns].tobytes()),
            depth=depth[score.stamp_ns].depth,
            truth=truth[score.stamp_ns].depth,
            sampled=sample_at(depth[score.stamp_ns], truth[score.stamp_ns]),
            caption=f'{(score.stamp_ns - first) / 1e9:.1f} s of a rendered street    '
            f'abs_rel {score.metric.abs_rel:.3f}    rmse {score.metric.rmse:.2f} m    '
            f'delta1 {score.metric.a1:.3f}',
        )
        for score in scores
    ]


def _points(recording: Path, stamp_ns: int) -> NDArray[np.float32]:
    """Read the cloud nearest in time as (N, 3) [m]; that of the very stamp may have been lost."""
    _, cloud = min(read_messages(recording, POINTS), key=lambda item: abs(item[0] - stamp_ns))
    table = cloud.data.reshape(-1, cloud.point_step)
    # x, y and z come first in every kind of cloud that the node publishes.
    return np.ascontiguousarray(table[:, :12]).view(np.float32)


def _write_png(path: Path, picture: NDArray[np.uint8]) -> None:
    if not cv2.imwrite(str(path), picture[..., ::-1]):
        raise OSError(f'cannot write {path}; is the folder writable?')


def main(argv: list[str] | None = None) -> int:
    """Run `depth_demo`.

    Args:
        argv: Command line without the program's name; the process's own where None.

    Returns:
        0 when the report is written; 1 when the bag, the model or the node is at fault; 130 when
        interrupted.
    """
    parser = argparse.ArgumentParser(
        prog='depth_demo',
        description='Replay a drive to depth_node; compare its depth with the exact one.',
        epilog='Example: depth_demo --bag demo/night_drive.mcap --out demo_out',
    )
    parser.add_argument('--bag', type=Path, default=DEFAULT_BAG, help='bag folder or .mcap file')
    parser.add_argument('--out', type=Path, default=Path('demo_out'), help='folder for results')
    parser.add_argument('--model', type=Path, help='.onnx file; the shipped student if left out')
    parser.add_argument('--rate', type=float, default=1.0, help='bag seconds per second')
    parsed = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        report = run_demo(parsed.bag, parsed.out, parsed.model, parsed.rate)
    except (LookupError, OSError, ValueError) as error:
        print(f'depth_demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('depth_demo: interrupted, nothing was compared', file=sys.stderr)
        return 130
    print(
        f'{report.frames_out} of {report.frames_in} frames at {report.rate_hz:.1f} Hz, '
        f'age {report.age_ms_p50:.0f} ms (p99 {report.age_ms_p99:.0f}); '
        f'abs_rel {report.abs_rel:.3f}, rmse {report.rmse:.2f} m, delta1 {report.delta1:.3f} '
        'on a synthetic drive'
    )
    print(f'see {parsed.out}/report.md, sheet.png, points.png, depth.mcap')
    return 0


if __name__ == '__main__':
    sys.exit(main())
