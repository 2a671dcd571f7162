"""Average the weights of several trainings of one network, and measure the mean."""

import argparse
from collections.abc import Sequence
from pathlib import Path
import shlex
import sys

from ssd_depth_core.learning.run_folder import checkpoint_of

from training._cli import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python -m training.average_checkpoints '
        '--checkpoints runs/student_second runs/student_translated '
        '--validation synthdrive_data/validation --out runs/student/checkpoint.safetensors',
    )
    parser.add_argument(
        '--checkpoints',
        type=checkpoint_of,
        nargs='+',
        required=True,
        metavar='PATH',
        help='of training runs, or their run folders; the last one is the newest',
    )
    parser.add_argument(
        '--validation', type=Path, nargs='+', required=True, metavar='DIR', help='rendered sets'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='FILE')
    args = parser.parse_args(argv)

    from ssd_depth_core.learning.evaluation import table
    from ssd_depth_core.learning.soup import average_checkpoints

    arguments = sys.argv[1:] if argv is None else argv
    info = average_checkpoints(
        args.checkpoints,
        args.validation,
        args.out,
        command=shlex.join(['python', '-m', 'training.average_checkpoints', *arguments]),
    )
    print(table(info.metrics))
    print(f'weights: {args.out}')
    return 0


if __name__ == '__main__':
    run(main)
