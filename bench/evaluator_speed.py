"""Time how fast the evaluator scores predictions of 1600x900 pixels.

    python bench/evaluator_speed.py --json docs/results/evaluator.json

Everything that a frame of `training.evaluate --predictions` costs: reading the prediction, its
confidence and its LiDAR sweep, projecting the sweep, and every figure; on one process. The page
and the tables come once and are timed apart.
"""

import argparse
from pathlib import Path
import shlex
import sys
from tempfile import TemporaryDirectory
import time

import numpy as np
from ssd_depth_core.data.index import IndexLine
from ssd_depth_core.data.nuscenes_source import NuScenesSource
from ssd_depth_core.evaluation.predictions import FolderPredictions
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.run import score_frames
from ssd_depth_core.evaluation.summary import summarize
from ssd_depth_core.records import provenance, Result, write_result

SIZE = (900, 1600)
K = ((1266.4, 0.0, 816.3), (0.0, 1266.4, 491.5), (0.0, 0.0, 1.0))
T_CAMERA_LIDAR = (
    (1.0, 0.0, 0.0, 0.0),
    (0.0, 0.0, -1.0, -0.3),
    (0.0, 1.0, 0.0, -0.7),
    (0.0, 0.0, 0.0, 1.0),
)
RINGS, STEPS = 32, 1084  # a nuScenes sweep: 34,688 returns, some 3,800 of them in the picture
FILES = 20  # on disk, read again and again: 230 MB of predictions would only fill the cache


def write_set(root: Path, grid: tuple[int, int], seed: int) -> list[IndexLine]:
    """Write LiDAR sweeps of a made-up street and noisy predictions for them.

    Args:
        root: An empty folder.
        grid: (h, w) of the predictions, pixels.
        seed: Of the noise.

    Returns:
        The frames.
    """
    generator = np.random.default_rng(seed)
    rise = np.deg2rad(np.linspace(-30, 10, RINGS))[:, None]
    turn = np.linspace(-np.pi, np.pi, STEPS, endpoint=False)
    ray = np.stack(
        np.broadcast_arrays(np.cos(rise) * np.sin(turn), np.cos(rise) * np.cos(turn), np.sin(rise))
    )
    distance = np.minimum(1.8 / np.maximum(-ray[2], 1e-3), generator.uniform(10, 90, ray[2].shape))
    points = np.zeros((ray[2].size, 5), np.float32)
    points[:, :3] = (ray * distance).reshape(3, -1).T
    lines = []
    for number in range(FILES):
        points.tofile(root / f'{number}.bin')
        np.save(root / f'{number}.npy', generator.uniform(1, 80, grid).astype(np.float32))
        confidence = generator.uniform(0, 1, grid).astype(np.float32)
        np.save(root / f'{number}.confidence.npy', confidence)
        lines.append(
            IndexLine(
                id=str(number),
                scene=f'scene-{number // 4}',
                channel='CAM_FRONT',
                condition='night' if number % 2 else 'day-clear',
                timestamp_us=500_000 * number,
                image=f'{number}.jpg',
                size=SIZE,
                K=K,
                speed_mps=None,
                lidar=f'{number}.bin',
                T_camera_lidar=T_CAMERA_LIDAR,
            )
        )
    return lines


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--rounds', type=int, default=10, help=f'of {FILES} frames each')
    parser.add_argument('--seed', type=int, default=0, help='of the made-up predictions')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    config = EvaluationConfig()
    rows = []
    for grid in (SIZE, (192, 320)):
        with TemporaryDirectory() as folder:
            root = Path(folder)
            lines = write_set(root, grid, options.seed)
            source, predictions = NuScenesSource(root), FolderPredictions(root, lines)
            score_frames(lines[:2], source.read_depth, predictions, config)
            start = time.perf_counter()
            for _ in range(options.rounds):
                scored = score_frames(lines, source.read_depth, predictions, config)
            rate = options.rounds * len(lines) / (time.perf_counter() - start)
            start = time.perf_counter()
            summarize(scored.frames, config)
            summary_s = time.perf_counter() - start
        pixels = round(np.mean([frame.pixels for frame in scored.frames]))
        rows.append(
            {
                'prediction': f'{grid[1]}x{grid[0]}',
                'truth': f'{SIZE[1]}x{SIZE[0]}, {pixels} LiDAR pixels',
                'frames_per_s': round(rate, 1),
                'tables_s': round(summary_s, 3),
                'frames': options.rounds * len(lines),
            }
        )
        print(f'{rows[-1]["prediction"]:12}{rate:8.1f} frames/s', flush=True)
    if options.json:
        result = Result(
            title='Scoring predictions',
            command=shlex.join(['python', 'bench/evaluator_speed.py', *arguments]),
            seed=options.seed,
            data='made-up predictions with confidence and made-up LiDAR sweeps, from files',
            rows=tuple(rows),
            notes=f'One process; {FILES} frames read again and again, so files come from the '
            f"system's cache. `tables_s`: all tables with {config.replicates} draws of scenes.",
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
