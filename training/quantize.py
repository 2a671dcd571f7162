"""Make an exported network int8, and refuse where that costs too much in any condition."""

from collections.abc import Sequence
from pathlib import Path
import shlex
import sys

from training._cli import config_of, run, stage_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the stage.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.

    Raises:
        ValueError: If a file, the config or NNCF is missing or wrong, or int8 costs too much.
    """
    parser = stage_parser(
        __doc__ or '',
        'python -m training.quantize --config config/export/int8.yaml '
        '--model ssd_depth_core/weights/student.onnx --data synthdrive_data/train --out models',
        with_device=False,  # integers are measured where they run: on the CPU
    )
    parser.add_argument('--model', type=Path, required=True, metavar='ONNX', help='in float')
    frames = parser.add_mutually_exclusive_group(required=True)
    frames.add_argument('--data', type=Path, nargs='+', metavar='DIR', help='rendered sets')
    frames.add_argument('--index', type=Path, metavar='DIR', help='of any other data')
    parser.add_argument(
        '--translated',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='of training.translate, made of --data, to calibrate on as well',
    )
    parser.add_argument(
        '--validation',
        type=Path,
        nargs='+',
        default=[],
        metavar='DIR',
        help='rendered sets to measure on (default: those of --data)',
    )
    args = parser.parse_args(argv)
    if args.index and (args.translated or args.validation):
        parser.error('--translated and --validation go with --data')

    from ssd_depth_core.export.quantize import quantize_file, QuantizeConfig
    from ssd_depth_core.model_spec import load_spec

    from training._int8_frames import images_of, indexed_frames, rendered_frames

    config, spec = config_of(QuantizeConfig, args), load_spec(args.model)
    calibration, gate = (
        rendered_frames(
            args.data, spec, config, translated=args.translated, validation=args.validation
        )
        if args.data
        else indexed_frames(args.index, spec, config)
    )
    images = images_of(calibration)
    print(f'calibration: {len(images)} frames of {", ".join(calibration)}')
    arguments = sys.argv[1:] if argv is None else argv
    command = shlex.join(['python', '-m', 'training.quantize', *arguments])
    try:
        costs = quantize_file(args.model, args.out, images, gate, config, command)
    except ImportError as error:  # a user's mistake, not ours
        raise ValueError(str(error)) from None
    for cost in costs:
        print(
            f'{cost.condition:12s} absRel {cost.abs_rel_float:.4f} in float, '
            f'{cost.abs_rel_int8:.4f} in int8 ({cost.loss:+.1%})'
            + (
                ''
                if cost.confidence_shift is None
                else f', confidence moved by {cost.confidence_shift:.3f}'
            )
            + f', {cost.runtime}'
        )
    print(f'model: {args.out / args.model.stem}.int8.onnx')
    return 0


if __name__ == '__main__':
    run(main)
