"""Pre-train an encoder to name surfaces of rendered clear days, where no other is at hand."""

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
        'python -m training.pretrain_encoder --config config/train/pretrain_encoder.yaml '
        '--data synthdrive_data/pretraining --out runs/resnet18',
    )
    parser.add_argument(
        '--data',
        type=Path,
        nargs='+',
        required=True,
        metavar='DIR',
        help='rendered sets with class maps',
    )
    args, options = parse_training(parser, argv, 'training.pretrain_encoder')

    from ssd_depth_core.learning.pretraining import pretrain_encoder, PretrainingConfig

    config = config_of(PretrainingConfig, args)
    path = pretrain_encoder(config, args.data, args.out, **options)
    print(f'encoder: {path}')
    return 0


if __name__ == '__main__':
    run(main)
