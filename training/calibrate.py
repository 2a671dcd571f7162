"""Make the confidence of a checkpoint fit its errors on held-out frames."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from ssd_depth_core.learning.run_folder import checkpoint_of

from training._cli import device_of, run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python -m training.calibrate '
        '--checkpoint runs/ssd_student/checkpoint.safetensors --index index/nuscenes '
        '--out runs/ssd_student/calibrated.safetensors',
    )
    parser.add_argument(
        '--checkpoint',
        type=checkpoint_of,
        required=True,
        metavar='PATH',
        help='of a training run, or its run folder',
    )
    parser.add_argument(
        '--index', type=Path, required=True, metavar='DIR', help='its validation split is used'
    )
    parser.add_argument(
        '--frames', type=int, default=100, metavar='N', help='of each condition (default: 100)'
    )
    parser.add_argument('--out', type=Path, required=True, metavar='FILE')
    parser.add_argument('--device', metavar='NAME', help='default: a GPU where there is one')
    args = parser.parse_args(argv)

    from ssd_depth_core.learning.calibration import calibrate_checkpoint

    factor = calibrate_checkpoint(
        args.checkpoint, args.index, args.out, num_frames=args.frames, device=device_of(args)
    )
    print(f'predicted scales times {factor:.4f}: {args.out}')
    return 0


if __name__ == '__main__':
    run(main)
