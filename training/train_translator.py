"""Train the small diffusion translator on rendered sets: an autoencoder, then what diffuses."""

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
        'python -m training.train_translator --config config/train/translator_small.yaml '
        '--data synthdrive_data/train synthdrive_data/train_queue --out runs/translator',
    )
    parser.add_argument(
        '--data', type=Path, nargs='+', required=True, metavar='DIR', help='training sets'
    )
    parser.add_argument('--resume', action='store_true', help='go on with the run in --out')
    args = parser.parse_args(argv)
    device = training_device_of(args)
    logging.basicConfig(level=logging.INFO, format='%(message)s')

    from ssd_depth_core.learning.translation import train_translator, TranslatorConfig

    arguments = sys.argv[1:] if argv is None else argv
    folder = train_translator(
        config_of(TranslatorConfig, args),
        args.data,
        args.out,
        command=shlex.join(['python', '-m', 'training.train_translator', *arguments]),
        resume=args.resume,
        cpu=device == 'cpu',
    )
    print(f'pipeline: {folder}')
    return 0


if __name__ == '__main__':
    run(main)
