"""Time how fast SynthDrive renders pictures of random views, by condition.

    python bench/synthdrive_speed.py --json docs/results/synthdrive_speed.json

Everything that a training picture costs but its file: growing the city (one of six views), casting
rays, painting, lighting, exposing.
"""

import argparse
from pathlib import Path
import shlex
import sys
import time

from ssd_depth_core.records import provenance, Result, write_result
from ssd_depth_core.synthdrive.materials import NoiseBank
from ssd_depth_core.synthdrive.random_views import random_pictures, VIEWS_PER_CITY
from ssd_depth_core.synthdrive.sensors import Condition, CONDITIONS
import torch

SIZE = (160, 288)


def seconds_a_view(
    conditions: tuple[Condition, ...], seeds: range, size: tuple[int, int], noise: NoiseBank
) -> float:
    """Time the views of some cities.

    Args:
        conditions: Rendered of every view.
        seeds: Of the cities.
        size: (H, W), pixels.
        noise: Texture source, on the device that renders.

    Returns:
        Wall time [s]: the mean over all views.
    """
    wanted = (conditions,) * VIEWS_PER_CITY
    count, start = 0, time.perf_counter()
    with torch.inference_mode():
        for seed in seeds:
            for _ in random_pictures(seed, wanted, *size, torch.device('cpu'), noise):
                count += 1
    return (time.perf_counter() - start) / count


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
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--json', type=Path, help='write the figures here, for docs/results.md')
    arguments = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(arguments)

    torch.set_num_threads(options.threads)
    noise = NoiseBank()
    seeds = range(options.seed, options.seed + options.cities)
    seconds_a_view(CONDITIONS, seeds[:1], SIZE, noise)  # warm up
    shown = {name: (name,) for name in CONDITIONS} | {'all three of one view': CONDITIONS}
    rows = []
    for name, conditions in shown.items():
        seconds = seconds_a_view(conditions, seeds, SIZE, noise)
        rows.append(
            {
                'condition': name,
                'pictures_per_s': round(len(conditions) / seconds, 2),
                'ms_per_view': round(1e3 * seconds, 1),
                'views': VIEWS_PER_CITY * len(seeds),
            }
        )
        print(f'{name:24}{len(conditions) / seconds:7.2f} pictures/s', flush=True)
    if options.json:
        result = Result(
            title='Rendering pictures of random views',
            command=shlex.join(['python', 'bench/synthdrive_speed.py', *arguments]),
            seed=options.seed,
            data=f'synthetic: {SIZE[1]}x{SIZE[0]} pictures of {options.cities} cities',
            rows=tuple(rows),
            notes=f'One process, {options.threads} threads, no file written.',
            **provenance(),
        )
        write_result(result, options.json)
    return 0


if __name__ == '__main__':
    sys.exit(main())
