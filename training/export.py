"""Export a checkpoint as ONNX with its ModelSpec, and say how far the runtimes are from torch."""

from collections.abc import Sequence
import json

from ssd_depth_core.learning.run_folder import checkpoint_of

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
        'python -m training.export --config config/export/student.yaml '
        '--checkpoint runs/student/checkpoint.safetensors '
        '--out ssd_depth_core/weights/student.onnx',
        with_device=False,  # an export and its proof are the CPU's
    )
    parser.add_argument(
        '--checkpoint',
        type=checkpoint_of,
        required=True,
        metavar='PATH',
        help='of a training run, or its run folder',
    )
    args = parser.parse_args(argv)

    from ssd_depth_core.config import to_dict
    from ssd_depth_core.export.onnx import export_checkpoint, ExportConfig

    parities = export_checkpoint(args.checkpoint, args.out, config_of(ExportConfig, args))
    for parity in parities:
        print(json.dumps(to_dict(parity)))
    print(f'model: {args.out}')
    return 0


if __name__ == '__main__':
    run(main)
