"""Train a depth network on rendered sets with exact depth."""

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
        __doc__ or '',
        'python -m training.train_supervised --config config/train/student_supervised.yaml '
        '--data synthdrive_data/train --out runs/student',
    )
    parser.add_argument(
        '--data', type=Path, nargs='+', required=True, metavar='DIR', help='training sets'
    )
    parser.add_argument(
        '--translated',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='of training.translate, made from indexes of the training sets',
    )
    parser.add_argument(
        '--validation',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='sets to validate on (default: the training sets)',
    )
    args, options = parse_training(parser, argv, 'training.train_supervised')

    from ssd_depth_core.learning.supervised import SupervisedConfig, train_supervised

    config = config_of(SupervisedConfig, args)
    folder = train_supervised(
        config,
        args.data,
        args.out,
        translated=args.translated,
        validation=args.validation,
        **options,
    )
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
