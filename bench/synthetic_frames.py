"""Score a depth model on rendered streets that no training set holds, by condition.

    python bench/synthetic_frames.py --json docs/results/synthetic_frames.json

Every view is rendered in every condition: the same street, the same exact depth. Cities
are numbered from 200000 on; training sets count from 0. Synthetic figures say how much a condition
costs, not how good a model is on real streets: see `real_frames.py` for that.
"""

import argparse
from collections import defaultdict
from pathlib import Path
import shlex
import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from ssd_depth_core.conditions import RENDERED_CONDITIONS, RenderedCondition
from ssd_depth_core.evaluation.trivial import road_depth, WALL_M
from ssd_depth_core.metrics import depth_metrics, DepthMetrics, mean_metrics
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.runtime.predictor import DepthPredictor
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import Picture, random_pictures
import torch

FIRST_CITY = 200_000
VIEWS_PER_CITY = 2
SIZE = (192, 320)
LEAST_CONFIDENT = 0.2
"""Share of pixels that the rows 'surest 80 %' leave out."""


def walled_road(picture: Picture) -> NDArray[np.float64]:
    """Guess a flat road that ends at a wall, from the view's true camera.

    Args:
        picture: Its camera is used, its pixels are not.

    Returns:
        (H, W) [m].
    """
    height, width = picture.depth.shape
    v, u = np.mgrid[:height, :width]
    pose = picture.view.T_world_camera
    uv = np.column_stack([u.ravel(), v.ravel()]).astype(float)
    road = road_depth(uv, picture.view.K, height_m=float(pose[2, 3]), down_camera=-pose[2, :3])
    return road.reshape(height, width)


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--model', type=Path, help='ONNX file; the shipped student if left out')
    parser.add_argument('--cities', type=int, default=60, help='each gives 2 views (default 60)')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    predictor = DepthPredictor.load(options.model)
    student = predictor.spec.name
    surest = f'{student}, surest {1 - LEAST_CONFIDENT:.0%} of pixels'
    scores: dict[tuple[RenderedCondition, str], list[DepthMetrics]] = defaultdict(list)
    with torch.inference_mode():
        noise = NoiseBank()
        for number in range(options.cities):
            print(f'\rcity {number + 1}/{options.cities}', end='', file=sys.stderr, flush=True)
            wanted = (RENDERED_CONDITIONS,) * VIEWS_PER_CITY
            device = torch.device('cpu')
            for picture in random_pictures(FIRST_CITY + number, wanted, *SIZE, device, noise):
                for condition, image in picture.images.items():
                    prediction = predictor.predict(image, picture.view.K)
                    size = prediction.depth.shape[::-1]
                    truth = cv2.resize(picture.depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
                    road = cv2.resize(walled_road(picture), size, interpolation=cv2.INTER_NEAREST)
                    methods = {
                        f'flat road, wall at {WALL_M:g} m': (road, truth),
                        student: (prediction.depth, truth),
                    }
                    if prediction.confidence is not None:
                        limit = np.quantile(prediction.confidence, LEAST_CONFIDENT)
                        kept = np.where(prediction.confidence >= limit, truth, np.nan)
                        methods[surest] = (prediction.depth, kept)
                    for name, (depth, true_depth) in methods.items():
                        metrics = depth_metrics(depth, true_depth)
                        if metrics is not None:
                            scores[condition, name].append(metrics)
    print(file=sys.stderr)

    rows: list[dict[str, Any]] = []
    for (condition, name), per_image in sorted(scores.items()):
        mean = mean_metrics(per_image)
        rows.append(
            {
                'method': name,
                'data': 'SynthDrive, unseen streets',
                'condition': condition,
                'abs_rel': round(mean.abs_rel, 4),
                'rmse': round(mean.rmse, 3),
                'delta1': round(mean.a1, 4),
                'n': len(per_image),
            }
        )
    for row in rows:
        print(
            f'{row["condition"]:10} {row["method"]:44} absRel {row["abs_rel"]:.3f}  '
            f'rmse {row["rmse"]:6.2f}  delta1 {row["delta1"]:.3f}  n {row["n"]}'
        )
    if options.json:
        result = Result(
            title='Synthetic streets with exact depth, by condition',
            command=shlex.join(['python', 'bench/synthetic_frames.py', *arguments]),
            seed=FIRST_CITY,
            data='synthetic: random views of SynthDrive cities outside the training set, metric',
            rows=tuple(rows),
            notes='Metric depth, no median scaling, 0.1 m to 80 m, every pixel that is not sky.',
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
