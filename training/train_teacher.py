"""Train on clear-day video without labels: monodepth2, md4all's baseline, SSD's teacher."""

from collections.abc import Sequence
import logging
from pathlib import Path
import shlex
import sys

from training._cli import config_of, run, stage_parser, training_device_of


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    parser = stage_parser(
        'Train a depth network on clear-day video, without labels.',
        'python -m training.train_teacher --config config/train/ssd_teacher.yaml '
        '--index index/nuscenes --out runs/ssd_teacher',
    )
    parser.add_argument('--index', type=Path, required=True, metavar='DIR', help='of the data')
    parser.add_argument('--resume', action='store_true', help='go on with the run in --out')
    args = parser.parse_args(argv)
    device = training_device_of(args)
    logging.basicConfig(level=logging.INFO, format='%(message)s')

    from ssd_depth_core.learning.self_supervised import (
        SelfSupervisedConfig,
        train_self_supervised,
    )

    arguments = sys.argv[1:] if argv is None else argv
    folder = train_self_supervised(
        config_of(SelfSupervisedConfig, args),
        args.index,
        args.out,
        command=shlex.join(['python', '-m', 'training.train_teacher', *arguments]),
        resume=args.resume,
        cpu=device == 'cpu',
    )
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
