"""Score depth predictions on an index: metrics by condition, a table, a page with pictures."""

from collections.abc import Sequence
from pathlib import Path
import shlex
import sys

from ssd_depth_core.learning.run_folder import checkpoint_of

from training._cli import config_of, device_of, run, stage_parser

CONFIG = Path(__file__).parents[1] / 'config' / 'evaluate' / 'nuscenes.yaml'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.

    Raises:
        ValueError: If options contradict each other or the split holds no frame to score.
    """
    parser = stage_parser(
        __doc__ or '',
        'python -m training.evaluate --index index/nuscenes --split test '
        '--predictions depth/my_method --out eval/my_method',
        default_config=CONFIG,
    )
    parser.add_argument('--index', type=Path, required=True, metavar='DIR', help='of the data')
    parser.add_argument('--split', choices=('train', 'validation', 'test'), required=True)
    method = parser.add_mutually_exclusive_group()
    method.add_argument(
        '--predictions', type=Path, metavar='DIR', help='<id>.npy [m], <id>.confidence.npy'
    )
    method.add_argument('--model', type=Path, metavar='ONNX', help='default: the shipped student')
    method.add_argument(
        '--checkpoint',
        type=checkpoint_of,
        metavar='PATH',
        help='of a training run, or its run folder',
    )
    method.add_argument(
        '--trivial',
        choices=('constant', 'flat-road', 'median-map'),
        help='a guess that looks at no picture: what any method must beat',
    )
    parser.add_argument(
        '--predictions-flipped',
        type=Path,
        metavar='DIR',
        help='what the method of --predictions gives for the mirrored pictures',
    )
    parser.add_argument(
        '--allow-missing', action='store_true', help='leave out frames without a prediction'
    )
    parser.add_argument(
        '--truth', choices=('lidar', 'exact'), help="replace the config's; exact: rendered sets"
    )
    parser.add_argument(
        '--compare', type=Path, metavar='JSON', help='metrics.json of another method'
    )
    args = parser.parse_args(argv)
    if args.predictions is None and (args.predictions_flipped or args.allow_missing):
        raise ValueError('--predictions-flipped and --allow-missing go with --predictions')
    if args.truth:
        args.set.append(f'truth={args.truth}')

    from ssd_depth_core.data.index import read_header, read_lines
    from ssd_depth_core.data.sources import open_source
    from ssd_depth_core.evaluation.comparison import difference_rows
    from ssd_depth_core.evaluation.page import write_page
    from ssd_depth_core.evaluation.pictures import draw_worst
    from ssd_depth_core.evaluation.protocol import EvaluationConfig
    from ssd_depth_core.evaluation.record import (
        Evaluation,
        read_evaluation,
        read_frames,
        write_evaluation,
    )
    from ssd_depth_core.evaluation.run import absences, score_frames, truth_reader
    from ssd_depth_core.evaluation.summary import summarize
    from ssd_depth_core.evaluation.table import markdown
    from ssd_depth_core.records import provenance
    from tqdm import tqdm

    from training._methods import method_of

    config = config_of(EvaluationConfig, args)
    header, lines = read_header(args.index), read_lines(args.index, args.split)
    others = read_frames(args.compare) if args.compare else None
    if args.compare:
        theirs = read_evaluation(args.compare).options.what_counts
        if theirs != config.what_counts:
            raise ValueError(
                f'--compare {args.compare} was measured by {theirs}, this one would be by '
                f'{config.what_counts}; evaluate both by one protocol'
            )
    source = open_source(header)
    read_truth = truth_reader(config, source, Path(header.root))
    device = device_of(args) if args.checkpoint else 'cpu'
    name, predictions = method_of(args, lines, source, device, config)
    scored = score_frames(tqdm(lines, unit='frame', disable=None), read_truth, predictions, config)
    if not scored.frames:
        raise ValueError(
            f'no frame of the {args.split} split was scored: of {len(lines)}, {scored.missing} '
            f'have no prediction and {scored.without_truth} no valid truth'
        )
    rendered = 'rendered, ' if any(line.exact_depth for line in lines) else ''
    origin = provenance()
    arguments = sys.argv[1:] if argv is None else argv
    evaluation = Evaluation(
        method=name,
        split=args.split,
        data=f'{args.index} ({rendered}{header.format} format)',
        command=shlex.join(['python', '-m', 'training.evaluate', *arguments]),
        commit=origin['commit'],
        machine=origin['machine'],
        date=origin['date'],
        options=config,
        frames_indexed=len(lines),
        frames_missing=scored.missing,
        frames_without_truth=scored.without_truth,
        absent=absences(scored.frames, config),
        tables=summarize(scored.frames, config),
        compared_with=None if others is None else str(args.compare),
        comparison=() if others is None else tuple(difference_rows(scored.frames, others, config)),
    )
    write_evaluation(evaluation, scored.frames, args.out)
    text = markdown(evaluation)
    (args.out / 'metrics.md').write_text(text)
    shown = draw_worst(scored.frames, lines, source, read_truth, predictions, config)
    page = write_page(evaluation, shown, args.out)
    print(text)
    print(f'page: {page}')
    return 0


if __name__ == '__main__':
    run(main)
