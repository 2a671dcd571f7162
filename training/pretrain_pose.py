"""Pre-train a pose network on single pictures, for trainings that start from random weights."""

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
        __doc__ or '',
        'python -m training.pretrain_pose --config config/train/pretrain_pose.yaml '
        '--index index/synthdrive --out runs/pose',
    )
    parser.add_argument('--index', type=Path, required=True, metavar='DIR', help='of the data')
    parser.add_argument('--resume', action='store_true', help='go on with the run in --out')
    args = parser.parse_args(argv)
    device = training_device_of(args)
    logging.basicConfig(level=logging.INFO, format='%(message)s')

    from ssd_depth_core.learning.pose_pretraining import PosePretrainingConfig, pretrain_pose

    arguments = sys.argv[1:] if argv is None else argv
    folder = pretrain_pose(
        config_of(PosePretrainingConfig, args),
        args.index,
        args.out,
        command=shlex.join(['python', '-m', 'training.pretrain_pose', *arguments]),
        resume=args.resume,
        cpu=device == 'cpu',
    )
    print(f'weights: {folder.checkpoint}')
    return 0


if __name__ == '__main__':
    run(main)
