"""Train on clear-day video without labels: monodepth2, md4all's baseline, SSD's teacher."""

from collections.abc import Sequence
from pathlib import Path

from training._cli import config_of, parse_training, run, stage_parser


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
    args, options = parse_training(parser, argv, 'training.train_teacher')

    from ssd_depth_core.learning.self_supervised import (
        SelfSupervisedConfig,
        train_self_supervised,
    )

    config = config_of(SelfSupervisedConfig, args)
    folder = train_self_supervised(config, args.index, args.out, **options)
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
