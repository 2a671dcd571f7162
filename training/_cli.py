"""The options that every stage shares, so that all of them are called in the same way."""

import argparse
from collections.abc import Callable, Sequence
import logging
from pathlib import Path
import re
import shlex
import sys
from typing import NoReturn, TypedDict, TypeVar

from ssd_depth_core.config import load_yaml

T = TypeVar('T')


def stage_parser(
    description: str,
    example: str,
    *,
    with_device: bool = True,
    default_config: Path | None = None,
    presets: Path | None = None,
) -> argparse.ArgumentParser:
    """Make a parser with the shared options; a stage adds its own paths to it.

    Args:
        description: What the stage does, one sentence.
        example: One real command, shown under the options.
        with_device: Whether the stage can compute elsewhere than on the CPU.
        default_config: What `--config` is where it is left out; None: it must be given.
        presets: Folder of configs that `--preset NAME` may name instead of `--config`; None
            where there are none.

    Returns:
        A parser with `--config`, `--set`, `--out`, `--seed` and, where asked for, `--device` and
        `--preset`.
    """
    parser = argparse.ArgumentParser(description=description, epilog=f'example: {example}')
    source = parser.add_mutually_exclusive_group(required=default_config is None)
    source.add_argument(
        '--config',
        type=Path,
        default=default_config,
        metavar='YAML',
        help='what to do; see config/'
        + ('' if default_config is None else f' (default: {default_config.name})'),
    )
    if presets is not None:
        known = {path.stem: path for path in sorted(presets.glob('*.yaml'))}

        def preset(name: str) -> Path:
            if name not in known:
                raise argparse.ArgumentTypeError(f'must be one of {", ".join(known)}, got {name}')
            return known[name]

        source.add_argument(
            '--preset',
            dest='config',
            type=preset,
            metavar='NAME',
            help='instead: ' + ', '.join(known),
        )
    parser.add_argument(
        '--set',
        action='append',
        default=[],
        metavar='FIELD=VALUE',
        help='replace one field of the config, e.g. loop.learning_rate=1e-4; may be repeated',
    )
    parser.add_argument('--out', type=Path, required=True, metavar='PATH', help='where to write')
    parser.add_argument('--seed', type=int, metavar='N', help="replace the config's seed")
    if with_device:
        parser.add_argument(
            '--device',
            metavar='NAME',
            help='cpu, cuda or cuda:1 (default: a GPU where there is one)',
        )
    return parser


def config_of(cls: type[T], args: argparse.Namespace) -> T:
    """Read the config that the shared options name.

    Args:
        cls: The dataclass that the YAML mirrors; it has a field `seed` if `--seed` is to be used.
        args: Parsed by a `stage_parser`.

    Returns:
        The validated config, `--set` and `--seed` applied, in this order.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file, an override or a value is wrong.
    """
    seed = () if args.seed is None else (f'seed={args.seed}',)
    return load_yaml(cls, args.config, (*args.set, *seed))


def device_of(args: argparse.Namespace) -> str:
    """Choose where torch computes.

    Args:
        args: Parsed by a `stage_parser`.

    Returns:
        What `torch.device` takes; there is such a device.

    Raises:
        ValueError: If `--device` names none, or one that this machine does not have.
    """
    import torch  # here, so that `--help` answers at once

    gpus = torch.cuda.device_count()
    if args.device is None:
        return 'cuda' if gpus else 'cpu'
    match = re.fullmatch(r'cpu|cuda(?::(\d+))?', args.device)
    if match is None:
        raise ValueError(f'--device must be cpu, cuda or cuda:<number>, got {args.device!r}')
    if args.device != 'cpu' and int(match[1] or 0) >= gpus:
        raise ValueError(
            f'--device {args.device} is not there: torch {torch.__version__} sees {gpus} GPUs; '
            'take another, or install the driver and a torch that is built for it'
        )
    return str(args.device)


def training_device_of(args: argparse.Namespace) -> str:
    """Choose where a training computes; which GPU is its launcher's business.

    Args:
        args: Parsed by a `stage_parser`.

    Returns:
        `cpu` or `cuda`.

    Raises:
        ValueError: If `--device` names one GPU among several, or what is not there.
    """
    device = device_of(args)
    if ':' in device:
        number = device.partition(':')[2]
        raise ValueError(
            f'--device must be cpu or cuda here, got {device}; to choose a GPU put '
            f'CUDA_VISIBLE_DEVICES={number} before the command'
        )
    return device


class RunOptions(TypedDict):
    """Hold what every training takes beside its config and its data."""

    command: str
    """That started it, for the run's record."""
    resume: bool
    """Whether to go on with the run in `--out`."""
    cpu: bool
    """Whether to leave GPUs alone."""


def parse_training(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None, module: str
) -> tuple[argparse.Namespace, RunOptions]:
    """Parse the options of a training, and let it say what it does.

    Args:
        parser: A `stage_parser` with the stage's own paths; gets `--resume`.
        argv: Arguments without the program's name; None: those of the process.
        module: Of the stage, e.g. `training.train_teacher`.

    Returns:
        All that was parsed, and what the stage hands on to its training.

    Raises:
        ValueError: If `--device` names one GPU among several, or what is not there.
    """
    parser.add_argument('--resume', action='store_true', help='go on with the run in --out')
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format='%(message)s')
    arguments = sys.argv[1:] if argv is None else argv
    return args, RunOptions(
        command=shlex.join(['python', '-m', module, *arguments]),
        resume=args.resume,
        cpu=training_device_of(args) == 'cpu',
    )


def run(main: Callable[[], int]) -> NoReturn:
    """End the process as a stage's `main` says, a user's mistake in one line.

    Args:
        main: The stage.

    Raises:
        SystemExit: Always; with status 1 where a file, a config or a value was at fault, a
            training diverged, memory did not suffice, or somebody interrupted.
    """
    try:
        status = main()
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        sys.exit(f'error: {error}')
    except KeyboardInterrupt:
        sys.exit('interrupted; stages that can resume go on when started again')
    sys.exit(status)
