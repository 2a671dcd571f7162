"""Score a depth model on real pictures with LiDAR depth, beside two guesses that see nothing.

    python bench/real_frames.py --json docs/results/real_frames.json

Without the pictures (`--realdata`) it says so and exits 0. A model's depth is sampled at each
LiDAR return bilinearly in inverse depth, 'beyond range' as inverse depth 0; the error follows
`ssd_depth_core.metrics` (0.1 m to 80 m), a plain mean over pictures.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
import shlex
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from real_data import read_ddad, read_nuscenes, RealFrame
from ssd_depth_core.evaluation.trivial import road_depth, WALL_M
from ssd_depth_core.metrics import depth_metrics, mean_metrics
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.colormap import colorize, legend
from ssd_depth_core.runtime.predictor import DepthPrediction, DepthPredictor

Method = Callable[[RealFrame], NDArray[np.floating]]
"""From a picture to the depth at its N true points [m], NaN where beyond range."""

GROUPS: dict[str, Callable[[RealFrame], bool]] = {
    'nuScenes CAM_FRONT': lambda frame: frame.channel == 'CAM_FRONT',
    'nuScenes, 6 cameras': lambda frame: frame.dataset == 'nuScenes',
    'DDAD front (CAMERA_01)': lambda frame: frame.channel == 'CAMERA_01',
    'DDAD, all cameras': lambda frame: frame.dataset == 'DDAD',
}
CONSTANT_M = 20.0
"""Between the usual near and far of a street; once median-scaled, any constant scores alike."""
_NOTES = (
    f'Constant: {CONSTANT_M:g} m everywhere. Walled road: each pixel on a flat road that '
    f'ends at a wall {WALL_M:g} m off, from the real intrinsics; nuScenes cameras as '
    'mounted, DDAD cameras level and 1.5 m high. All pictures were taken by day. Depth is scored '
    'from 0.1 m to 80 m at the LiDAR returns; median-scaled means times median(truth) / '
    'median(depth), per picture.'
)


def sample(depth: NDArray[np.float32], frame: RealFrame) -> NDArray[np.float64]:
    """Read a prediction at a picture's true points.

    Args:
        depth: (h, w) [m] over the whole picture, on any grid; NaN beyond range.
        frame: Where its truth lies.

    Returns:
        (N,) [m], bilinear in inverse depth; NaN where all four neighbours are beyond range.
    """
    scale = np.array(depth.shape[::-1]) / np.array(frame.image.shape[1::-1])
    # Pixel centres are whole numbers on both grids, so halves go in before and out after.
    u, v = ((frame.uv + 0.5) * scale - 0.5).T.astype(np.float32)[:, None]
    inverse = np.nan_to_num(1.0 / depth, nan=0.0)
    sampled = cv2.remap(inverse, u, v, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    sampled = sampled[0].astype(np.float64)
    return np.divide(1.0, sampled, out=np.full(len(sampled), np.nan), where=sampled > 0)


def score(frames: list[RealFrame], methods: dict[str, Method]) -> list[dict[str, Any]]:
    """Score methods on every group of pictures.

    Args:
        frames: All pictures; groups without one are left out.
        methods: By the name that the table shows.

    Returns:
        One row a group, scaling and method.
    """
    depths = {name: [method(frame) for frame in frames] for name, method in methods.items()}
    rows = []
    for group, belongs in GROUPS.items():
        chosen = [index for index, frame in enumerate(frames) if belongs(frame)]
        if not chosen:
            continue
        for scaling in ('metric', 'median'):
            for method, predicted in depths.items():
                per_image = [
                    depth_metrics(
                        predicted[index], frames[index].truth, median_scaled=scaling == 'median'
                    )
                    for index in chosen
                ]
                mean = mean_metrics([metrics for metrics in per_image if metrics is not None])
                rows.append(
                    {
                        'method': method,
                        'data': group,
                        'condition': 'day-clear',
                        'scaling': scaling,
                        'abs_rel': round(mean.abs_rel, 4),
                        'rmse': round(mean.rmse, 3),
                        'delta1': round(mean.a1, 4),
                        'n': len(chosen),
                    }
                )
    return rows


def draw(frame: RealFrame, depth: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Show a picture, its true depth and its predicted depth side by side.

    Args:
        frame: The picture.
        depth: (h, w) predicted over the whole picture [m].

    Returns:
        (360, W, 3) uint8 RGB.
    """
    height = 360
    width = round(height * frame.image.shape[1] / frame.image.shape[0])
    picture = cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA)
    truth = picture // 2
    places = (frame.uv * height / frame.image.shape[0]).round().astype(int)
    for place, colour in zip(places, colorize(frame.truth), strict=True):
        cv2.circle(truth, place, 2, colour.tolist(), cv2.FILLED)
    predicted = cv2.resize(colorize(depth), (width, height), interpolation=cv2.INTER_NEAREST)
    return np.hstack([picture, truth, predicted, legend(height)])


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--realdata', type=Path, default=Path('../shared/realdata'))
    parser.add_argument('--model', type=Path, help='ONNX file; the shipped student if left out')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    parser.add_argument('--pictures', type=Path, help='write input | truth | prediction here')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)
    if not options.realdata.is_dir():
        print(f'skipped: no real pictures at {options.realdata}')
        return 0

    predictor = DepthPredictor.load(options.model)
    frames = [*read_nuscenes(options.realdata), *read_ddad(options.realdata)]
    predictions: dict[str, DepthPrediction] = {}
    for done, frame in enumerate(frames, 1):
        print(f'\rpredicting {done}/{len(frames)}', end='', file=sys.stderr, flush=True)
        predictions[frame.name] = predictor.predict(frame.image, frame.K)
    print(file=sys.stderr)

    rows = score(
        frames,
        {
            f'constant {CONSTANT_M:g} m': lambda frame: np.full(len(frame.truth), CONSTANT_M),
            f'flat road, wall at {WALL_M:g} m': lambda frame: road_depth(
                frame.uv, frame.K, height_m=frame.height_m, down_camera=frame.down_camera
            ),
            predictor.spec.name: lambda frame: sample(predictions[frame.name].depth, frame),
        },
    )
    print(f'{"data":24}{"scaling":9}{"method":28}{"absRel":>8}{"rmse":>8}{"delta1":>8}{"n":>4}')
    for row in rows:
        print(
            f'{row["data"]:24}{row["scaling"]:9}{row["method"]:28}'
            f'{row["abs_rel"]:8.3f}{row["rmse"]:8.2f}{row["delta1"]:8.3f}{row["n"]:4}'
        )
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        for frame in frames:
            path = options.pictures / f'{frame.dataset}_{frame.name}.jpg'
            drawing = draw(frame, predictions[frame.name].depth)
            cv2.imwrite(str(path), cv2.cvtColor(drawing, cv2.COLOR_RGB2BGR))
        print(f'pictures in {options.pictures}')
    if options.json:
        result = Result(
            title='Real pictures with LiDAR depth, by day',
            command=shlex.join(['python', 'bench/real_frames.py', *arguments]),
            seed=None,
            data='one real nuScenes key frame and 27 real DDAD pictures, none used in training',
            rows=tuple(rows),
            notes=_NOTES,
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
