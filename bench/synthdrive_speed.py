"""Time how fast SynthDrive renders: drives with all their traffic, and pictures of random views.

    python bench/synthdrive_speed.py --json docs/results/synthdrive_cpu.json

Everything that a picture costs but its file: growing the city, moving the traffic, casting rays,
painting, lighting, exposing. Drives are like those of the preset `small`, timed from
their second picture on: the first waits for the city, which a drive needs once.
"""

import argparse
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.pool import Pool
from pathlib import Path
import shlex
import sys
import time

from ssd_depth_core.conditions import RENDERED_CONDITIONS, RenderedCondition
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.synthdrive.drive import DriveConfig, render_drive
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import random_pictures, VIEWS_PER_CITY
import torch

SIZE = (192, 320)
NOISE = NoiseBank()
"""One for each process."""
CAMERA_HZ = 12.0

City = tuple[int, RenderedCondition, int, tuple[int, int]]
"""Seed, condition, number of pictures, (H, W) in pixels."""


def render_city(job: City) -> tuple[int, float]:
    """Render some random views of one city, on one thread.

    Args:
        job: What to render.

    Returns:
        Number of pictures, and the seconds that they took.
    """
    seed, condition, views, size = job
    torch.set_num_threads(1)
    start = time.perf_counter()
    with torch.inference_mode():
        wanted = ((condition,),) * views
        pictures = random_pictures(seed, wanted, *size, torch.device('cpu'), NOISE)
        count = sum(len(picture.images) for picture in pictures)
    return count, time.perf_counter() - start


def render_street(job: City) -> tuple[int, float]:
    """Render the front camera's pictures of a drive through one street, on one thread.

    Args:
        job: What to render.

    Returns:
        Number of pictures after the first, and the seconds that they took.
    """
    seed, condition, pictures, (height, width) = job
    torch.set_num_threads(1)
    config = DriveConfig(
        seed=seed, start_s=2.0, duration_s=(pictures + 1) / CAMERA_HZ, camera_hz=CAMERA_HZ,
        lidar_hz=0.0, channels=('CAM_FRONT',), image_height=height, image_width=width,
    )  # fmt: skip
    records = render_drive(config, condition, torch.device('cpu'))
    next(records)
    start = time.perf_counter()
    count = sum(1 for _ in records)
    return count, time.perf_counter() - start


def measure(
    pool: Pool, processes: int, render: Callable[[City], tuple[int, float]], jobs: list[City]
) -> float:
    """Render all jobs.

    Args:
        pool: Where.
        processes: Of the pool.
        render: What does one job.
        jobs: What to render.

    Returns:
        Pictures a second of all processes together, while all are at work.
    """
    count, seconds = map(sum, zip(*pool.map(render, jobs, chunksize=1), strict=True))
    return processes * count / seconds


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--cities', type=int, default=4, help='of either kind')
    parser.add_argument('--pictures', type=int, default=24, help='of a drive, after its first')
    parser.add_argument('--seed', type=int, default=210000, help='of the first city')
    parser.add_argument('--processes', type=int, default=2, help='of one thread each')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    seeds = range(options.seed, options.seed + options.cities)
    rows = []
    # As `render_synthdrive` does it: a process of one thread for each core.
    with get_context('spawn').Pool(options.processes) as pool:
        warm: City = (seeds[0], 'night', 1, SIZE)
        pool.map(render_city, [warm] * options.processes, chunksize=1)
        for condition in RENDERED_CONDITIONS:
            row: dict[str, object] = {'condition': condition}
            for name, render, pictures in (
                ('drive_pictures_per_s', render_street, options.pictures),
                ('random_pictures_per_s', render_city, VIEWS_PER_CITY),
            ):
                jobs: list[City] = [(seed, condition, pictures, SIZE) for seed in seeds]
                row[name] = round(measure(pool, options.processes, render, jobs), 2)
            rows.append(row)
            print(*row.values(), sep='\t', flush=True)
    if options.json:
        result = Result(
            title='Rendering pictures of drives and of random views',
            command=shlex.join(['python', 'bench/synthdrive_speed.py', *arguments]),
            seed=options.seed,
            data=f'synthetic: {SIZE[1]}x{SIZE[0]} pictures of {options.cities} cities each',
            rows=tuple(rows),
            notes=(
                f'{options.processes} processes of one thread; no files, no LiDAR. '
                'A drive is counted from its second picture on, a random view with its city.'
            ),
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
