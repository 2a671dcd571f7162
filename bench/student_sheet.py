"""Show a teacher and its student at one instant by day, at night, in rain and in fog.

    python -m bench.student_sheet --index index/synthdrive --out docs/images/students.png
        --teacher runs/ssd_teacher --student runs/ssd_student

Nobody picks the frames: of all instants of the split that were rendered in every condition asked
for, sorted by street, camera and time, a seed draws one.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ssd_depth_core.conditions import Condition, RENDERED_CONDITIONS
from ssd_depth_core.data.appearances import instant_of
from ssd_depth_core.data.index import IndexLine, read_header, read_lines, SPLITS
from ssd_depth_core.data.sources import open_source
from ssd_depth_core.evaluation.condition_sheet import draw_condition_sheet, SheetRow
from ssd_depth_core.evaluation.pictures import error_map
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.run import read_exact_depth
from ssd_depth_core.learning.run_folder import checkpoint_of

from training._cli import run
from training._methods import checkpoint

CONDITIONS: tuple[Condition, ...] = ('day-clear', 'night', 'day-rain', 'fog')


def draw_instant(
    lines: Sequence[IndexLine], conditions: Sequence[Condition], seed: int
) -> tuple[list[IndexLine], int]:
    """Draw an instant that was rendered in all conditions.

    Args:
        lines: Of the index, in any order.
        conditions: Asked for.
        seed: Of the draw.

    Returns:
        The instant's frames in the order of the conditions, and among how many it was drawn.

    Raises:
        ValueError: If no instant has all conditions with exact depth.
    """
    instants: dict[tuple[str, str, int], dict[Condition, IndexLine]] = defaultdict(dict)
    for line in lines:
        if line.exact_depth is not None:
            instants[instant_of(line)][line.condition] = line
    complete = sorted(name for name, twins in instants.items() if twins.keys() >= set(conditions))
    if not complete:
        known = {condition for twins in instants.values() for condition in twins}
        raise ValueError(
            f'--conditions must all be rendered, with exact depth, at one instant of the split; '
            f'got {", ".join(conditions)}, and the split has {", ".join(sorted(known)) or "none"}'
        )
    drawn = complete[np.random.default_rng(seed).integers(len(complete))]
    return [instants[drawn][condition] for condition in conditions], len(complete)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--index', type=Path, required=True, help='of a rendered set')
    parser.add_argument('--split', default='test', choices=SPLITS, help='(default: %(default)s)')
    parser.add_argument('--teacher', type=checkpoint_of, required=True, help='run, or checkpoint')
    parser.add_argument('--student', type=checkpoint_of, required=True, help='run, or checkpoint')
    parser.add_argument(
        '--conditions',
        nargs='+',
        default=list(CONDITIONS),
        choices=RENDERED_CONDITIONS,
        help='rows from the top (default: day-clear night day-rain fog)',
    )
    parser.add_argument('--seed', type=int, default=0, help='draws the instant (default: 0)')
    parser.add_argument('--device', default='cpu', help='of the networks (default: cpu)')
    parser.add_argument('--out', type=Path, required=True, metavar='PNG', help='where to write')
    args = parser.parse_args(argv)
    header = read_header(args.index)
    source, root = open_source(header), Path(header.root)
    frames, num_instants = draw_instant(
        read_lines(args.index, args.split), args.conditions, args.seed
    )
    config = EvaluationConfig(truth='exact')
    methods = {
        name: checkpoint(getattr(args, name), args.device) for name in ('teacher', 'student')
    }
    rows = []
    for line in frames:
        image, truth, K = source.read_image(line), read_exact_depth(line, root), np.array(line.K)
        said = {name: predict(image, K) for name, (_, predict) in methods.items()}
        rows.append(SheetRow(condition=line.condition, image=image, truth=truth, **said))
        errors = {name: error_map(said[name].depth, truth, config) for name in said}
        figures = ', '.join(f'{name} {np.nanmean(error):.3f}' for name, error in errors.items())
        print(f'{line.id}: absRel {figures}')
    street, channel, _ = instant_of(frames[0])
    caption = (
        f'One instant of a synthetic street ({street}, {channel}), drawn by seed {args.seed} from '
        f'{num_instants} of the {args.split} split. Metric depth, not rescaled.'
    )
    draw_condition_sheet(rows, caption, args.out, config)
    print('\n'.join(f'{name}: {words}' for name, (words, _) in methods.items()))
    print(f'{caption} -> {args.out}')
    return 0


if __name__ == '__main__':
    run(main)
