"""Adapt a student to real frames at night and in rain, of which nobody knows the depth."""

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
        'Adapt a depth network to real frames of bad light and weather, without labels.',
        'python -m training.adapt_student --config config/train/adapt_student.yaml '
        '--index index/nuscenes_all --student runs/ssd_student --teacher runs/ssd_teacher '
        '--out runs/ssd_student_real',
    )
    parser.add_argument('--index', type=Path, required=True, metavar='DIR', help='of the data')
    parser.add_argument(
        '--student', type=Path, required=True, metavar='RUN', help='to adapt, or its checkpoint'
    )
    parser.add_argument(
        '--teacher', type=Path, required=True, metavar='RUN', help='by day, or its checkpoint'
    )
    args, options = parse_training(parser, argv, 'training.adapt_student')

    from ssd_depth_core.learning.adaptation import AdaptationConfig, train_adaptation

    folder = train_adaptation(
        config_of(AdaptationConfig, args),
        args.index,
        args.out,
        student=args.student,
        teacher=args.teacher,
        **options,
    )
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
