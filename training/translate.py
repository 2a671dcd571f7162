"""Translate clear frames to night and weather, and write which pictures are to be trusted.

Writes `<condition>/<frame>.png`, `manifest.jsonl` and `config.yaml` (see `gdt/output_folder.py`).
Killed at any instant, the next run makes exactly what is missing; neither a kill nor the number of
workers changes a byte. What could not be made is listed in `failures.jsonl`. A source or a
photograph that cannot be read ends the run with status 1, after all the others, and is tried again
by the next run. A picture that came out unusable does neither: that is a generator's everyday
business, and it would come out the same.
"""

import argparse
from collections.abc import Sequence
from functools import partial
import os
from pathlib import Path

from training._cli import config_of, device_of, run, stage_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0; 1 where a source or a photograph could not be read.

    Raises:
        FileNotFoundError: If the index or a made picture is missing, or models are, all of which
            are named at once.
        OSError: If the disk is full, or another run writes to the folder.
        ValueError: If an option or the config is wrong, the config asks for depth that the data
            set has not, or the folder's pictures were made with another config or from another
            data set.
    """
    args = _parse(argv)
    # Before NumPy comes: sums over several threads round in another order, which changes bytes.
    os.environ['OMP_NUM_THREADS'] = '1'
    from ssd_depth_core.gdt.jobs import missing_batches, plan_batches
    from ssd_depth_core.gdt.needed_models import missing_models
    from ssd_depth_core.gdt.output_folder import made_so_far, open_output, unusable_so_far
    from ssd_depth_core.gdt.recipe import TranslateConfig

    from training._gdt import build_pipeline
    from training._translation import (
        check_exact_depth,
        clear_frames,
        describe,
        make_here,
        record_of,
        write_all,
    )

    config = config_of(TranslateConfig, args)
    frames = clear_frames(args.index, args.split)
    if config.depth.kind == 'exact':
        check_exact_depth(frames)
    batches = plan_batches(
        frames,
        tuple(config.conditions),
        config.variants,
        config.batch_size,
        config.seed,
    )
    record = record_of(config, args.index)
    if args.dry_run:
        made = made_so_far(args.out, record)
        failures = [] if args.retry_failures else unusable_so_far(args.out, made)
        unusable = frozenset(failure.path for failure in failures)
        print(describe(batches, made, unusable, args.out, config.size, args.seconds_per_picture))
        missing = missing_models(config)
        print(f'models: {len(missing)} missing', *missing, sep='\n')
        return 0
    make_pipeline = partial(build_pipeline, config, args.index.resolve())
    with open_output(args.out, record, retry_failures=args.retry_failures) as out:
        left = missing_batches(batches, out.lines, out.unusable)
        if args.ray and left:
            from training._ray_workers import make_on_ray

            # Whether there are GPUs the cluster knows, not this node.
            results = make_on_ray(left, make_pipeline, args.num_workers, args.device)
        else:
            results = make_here(left, make_pipeline, device_of(args))
        return 0 if write_all(results, left, out) else 1


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Parse the options, and check those that hang together."""
    parser = stage_parser(
        'Translate clear frames to night and weather.',
        'python -m training.translate --config config/gdt/nuscenes.yaml --index index/nuscenes '
        '--out translated/nuscenes',
    )
    parser.add_argument(
        '--index', type=Path, required=True, metavar='DIR', help='as training.index_data wrote it'
    )
    parser.add_argument(
        '--split',
        choices=('train', 'validation', 'test'),
        default='train',
        help='whose day-clear frames are translated (default: train)',
    )
    parser.add_argument(
        '--ray', action='store_true', help='on Ray Data: the cluster of RAY_ADDRESS, or this node'
    )
    parser.add_argument(
        '--num-workers',
        type=int,
        metavar='N',
        help='of --ray, each with a GPU or a CPU core (default: one a GPU, or one)',
    )
    parser.add_argument(
        '--retry-failures', action='store_true', help='make pictures again that came out unusable'
    )
    parser.add_argument(
        '--dry-run',
        action='store_true',
        help='say what is missing, models too, and what it costs, and stop',
    )
    parser.add_argument(
        '--seconds-per-picture',
        type=float,
        metavar='S',
        help="for --dry-run's hours; runs of two batches print their own",
    )
    args = parser.parse_args(argv)
    if args.num_workers is not None and (args.num_workers < 1 or not args.ray):
        raise ValueError(f'--num-workers must be >= 1 and with --ray, got {args.num_workers}')
    if args.ray and args.device not in (None, 'cpu', 'cuda'):
        raise ValueError(f'--device must be cpu or cuda with --ray, got {args.device!r}')
    return args


if __name__ == '__main__':
    run(main)
