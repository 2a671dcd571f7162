"""Export a published Depth Anything V2 as ONNX with its ModelSpec: a strong network, untrained."""

from collections.abc import Sequence
import json
import shlex
import sys

from training._cli import config_of, run, stage_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.
    """
    parser = stage_parser(
        __doc__ or '',
        'python -m training.import_depth_anything '
        '--config config/export/depth_anything_v2_metric_small.yaml '
        '--checkpoint hf-hub:depth-anything/Depth-Anything-V2-Metric-Outdoor-Small-hf '
        '--out models/depth_anything_small.onnx',
        with_device=False,  # an export and its proof are the CPU's
    )
    parser.add_argument(
        '--checkpoint',
        required=True,
        metavar='SOURCE',
        help='a file, hf-hub:<owner>/<name>, or hf-hub:<owner>/<name>/<file>',
    )
    args = parser.parse_args(argv)

    from ssd_depth_core.config import to_dict
    from ssd_depth_core.export.depth_anything import import_depth_anything, ImportConfig

    config = config_of(ImportConfig, args)
    words = sys.argv[1:] if argv is None else argv
    command = f'python -m training.import_depth_anything {shlex.join(words)}'
    for parity in import_depth_anything(args.checkpoint, args.out, config, command):
        print(json.dumps(to_dict(parity)))
    print(f'model: {args.out}, licence {config.licence}')
    return 0


if __name__ == '__main__':
    run(main)
