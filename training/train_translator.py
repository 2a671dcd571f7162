"""Train the small diffusion translator on rendered sets: an autoencoder, then what diffuses."""

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
        'python -m training.train_translator --config config/train/translator_small.yaml '
        '--data synthdrive_data/train synthdrive_data/train_queue --out runs/translator',
    )
    parser.add_argument(
        '--data', type=Path, nargs='+', required=True, metavar='DIR', help='training sets'
    )
    args, options = parse_training(parser, argv, 'training.train_translator')

    from ssd_depth_core.learning.translation import train_translator, TranslatorConfig

    config = config_of(TranslatorConfig, args)
    folder = train_translator(config, args.data, args.out, **options)
    print(f'pipeline: {folder}')
    return 0


if __name__ == '__main__':
    run(main)
