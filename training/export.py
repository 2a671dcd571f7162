"""Export a checkpoint as ONNX with its ModelSpec, and say how far the runtimes are from torch."""

from collections.abc import Sequence
import json
from pathlib import Path
import sys

from training._cli import config_of, stage_parser


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
    )
    parser.add_argument('--checkpoint', type=Path, required=True, metavar='FILE')
    parser.add_argument(
        '--report', type=Path, metavar='JSON', help='where the parity report goes, if anywhere'
    )
    args = parser.parse_args(argv)

    from ssd_depth_core.config import to_dict
    from ssd_depth_core.export.onnx import export_checkpoint, ExportConfig

    parities = export_checkpoint(args.checkpoint, args.out, config_of(ExportConfig, args))
    report = [to_dict(parity) for parity in parities]
    if args.report:
        args.report.write_text(json.dumps(report, indent=2) + '\n')
    for row in report:
        print(json.dumps(row))
    print(f'model: {args.out}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
