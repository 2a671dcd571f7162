"""Time how fast SynthDrive renders pictures of random views, by condition.

    python bench/synthdrive_speed.py --json docs/results/synthdrive_cpu.json

Everything that a training picture costs but its file: growing the city (one of six views), casting
rays, painting, lighting, exposing.
"""

import argparse
from multiprocessing import get_context
from pathlib import Path
import shlex
import sys
import time

from ssd_depth_core.conditions import Condition, CONDITIONS
from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import random_pictures, VIEWS_PER_CITY
import torch

SIZE = (160, 288)
NOISE = NoiseBank()
"""One for each process."""


def render_city(job: tuple[int, tuple[Condition, ...], int, tuple[int, int]]) -> int:
    """Render some views of one city, on one thread.

    Args:
        job: Seed, conditions rendered of every view, number of views, (H, W) in pixels.

    Returns:
        Number of views rendered.
    """
    seed, conditions, views, size = job
    torch.set_num_threads(1)
    wanted = (conditions,) * views
    with torch.inference_mode():
        pictures = random_pictures(seed, wanted, *size, torch.device('cpu'), NOISE)
        return sum(1 for _ in pictures)


def main(argv: list[str] | None = None) -> int:
    """Run the bench.

    Args:
        argv: Command line; None takes the process's own.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--cities', type=int, default=8, help='six views each')
    parser.add_argument('--seed', type=int, default=0, help='of the first city')
    parser.add_argument('--processes', type=int, default=2, help='of one thread each')
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    seeds = range(options.seed, options.seed + options.cities)
    shown: dict[str, tuple[Condition, ...]] = {name: (name,) for name in CONDITIONS}
    shown['all of one view'] = CONDITIONS
    rows = []
    # As `render_training_set` does it: a process of one thread for each core.
    with get_context('spawn').Pool(options.processes) as pool:
        warm = [(options.seed, CONDITIONS, 1, SIZE)] * options.processes
        pool.map(render_city, warm, chunksize=1)
        for name, conditions in shown.items():
            jobs = [(seed, conditions, VIEWS_PER_CITY, SIZE) for seed in seeds]
            start = time.perf_counter()
            views = sum(pool.map(render_city, jobs, chunksize=1))
            rate = len(conditions) * views / (time.perf_counter() - start)
            rows.append({'condition': name, 'pictures_per_s': round(rate, 2), 'views': views})
            print(f'{name:24}{rate:7.2f} pictures/s', flush=True)
    if options.json:
        result = Result(
            title='Rendering pictures of random views',
            command=shlex.join(['python', 'bench/synthdrive_speed.py', *arguments]),
            seed=options.seed,
            data=f'synthetic: {SIZE[1]}x{SIZE[0]} pictures of {options.cities} cities',
            rows=tuple(rows),
            notes=f'{options.processes} processes of one thread, cities included, no files.',
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
