"""Train a student on clear frames and their translations: SSD's, md4all-DD's, the robot's."""

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
        'Train a depth network on translated pictures, with the depth of a teacher by day.',
        'python -m training.train_student --config config/train/ssd_student.yaml '
        '--index index/nuscenes --translated translated/nuscenes --teacher runs/ssd_teacher '
        '--out runs/ssd_student',
    )
    parser.add_argument('--index', type=Path, required=True, metavar='DIR', help='of the data')
    parser.add_argument(
        '--translated', type=Path, required=True, metavar='DIR', help='of training.translate'
    )
    parser.add_argument(
        '--teacher', type=Path, metavar='RUN', help="its run folder, or a network's checkpoint"
    )
    args, options = parse_training(parser, argv, 'training.train_student')

    from ssd_depth_core.learning.student import StudentConfig, train_student

    folder = train_student(
        config_of(StudentConfig, args),
        args.index,
        args.translated,
        args.out,
        teacher=args.teacher,
        **options,
    )
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
