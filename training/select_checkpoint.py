"""Name the best of several evaluations, on the validation split only."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from training._cli import run


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    from ssd_depth_core.evaluation.protocol import Variant
    from ssd_depth_core.evaluation.record import read_evaluation
    from ssd_depth_core.evaluation.selection import choose_best, figure_of

    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example: python -m training.select_checkpoint '
        '--results eval/a/metrics.json eval/b/metrics.json --metric a1 --condition night',
    )
    parser.add_argument(
        '--results', type=Path, nargs='+', required=True, metavar='JSON', help='metrics.json files'
    )
    parser.add_argument('--metric', default='abs_rel', help='default: abs_rel')
    parser.add_argument('--condition', default='all', help='row of the tables; default: all')
    parser.add_argument('--variant', choices=get_args(Variant), default='plain')
    args = parser.parse_args(argv)
    evaluations = {str(path): read_evaluation(path) for path in args.results}
    what = {'metric': args.metric, 'condition': args.condition, 'variant': args.variant}
    best = choose_best(evaluations, **what)
    for name, evaluation in evaluations.items():
        mark = '*' if name == best else ' '
        print(f'{mark} {figure_of(evaluation, **what):.4f}  {name}  ({evaluation.method})')
    print(f'best: {best}')
    return 0


if __name__ == '__main__':
    run(main)
