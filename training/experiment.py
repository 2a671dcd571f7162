"""Train several methods on one rendered set, score them under all conditions, make their table.

Stages of `training` do the work, one process each, and leave what they always leave:

<out>/data/                 the rendered set (or where `--data` says)
<out>/index/                of it
<out>/views/                other rendered streets, where rows begin with pre-trained encoders
<out>/pretrained/<name>/    the pre-training of such an encoder
<out>/translated/<name>/    its clear days as night and weather, where rows are students
<out>/runs/<row>-seed<k>/   a training
<out>/scores/<name>/        an evaluation on the test split, with its page of pictures
<out>/stages/               each stage's config, and what is known of it
<out>/results.json, results.md, results.png

Killed at any time, the same command goes on where it was, in the middle of a training too. A
finished stage is not done again; asked for with another config, it is an error that says so. More
seeds or rows may be asked for later, so that one experiment goes on from another one's folder.
"""

from collections.abc import Sequence
import os
from pathlib import Path
import shlex
import sys

from training._cli import config_of, run, stage_parser, training_device_of

CONFIG = Path(__file__).parents[1] / 'config' / 'experiment' / 'teachers.yaml'


def main(argv: Sequence[str] | None = None) -> int:
    """Run the experiment.

    Args:
        argv: Arguments without the program's name; None: those of the process.

    Returns:
        Exit status.

    Raises:
        ValueError: If there is no such preset, a config is wrong, or a stage fails or was finished
            with another config.
    """
    parser = stage_parser(
        'Train several methods, score them under all conditions, make their table.',
        'python -m training.experiment --config config/experiment/teachers.yaml --preset small '
        '--out experiments/teachers',
        default_config=CONFIG,
    )
    parser.add_argument('--preset', required=True, metavar='NAME', help="one of the config's")
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help='the rendered set, made where missing'
    )
    parser.add_argument(
        '--json', type=Path, help='write the figures here too, for docs/results.md'
    )
    parser.add_argument('--plot', type=Path, metavar='PNG', help='draw the picture here too')
    args = parser.parse_args(argv)

    from training._experiment import Experiment
    from training._experiment_config import ExperimentConfig
    from training._experiment_report import write_report
    from training._stage_configs import read_configs
    from training._stages import run_jobs, run_stages

    config = config_of(ExperimentConfig, args)
    if args.preset not in config.presets:
        raise ValueError(f'--preset must be one of {", ".join(config.presets)}, got {args.preset}')
    read_configs(config, args.preset)  # so that a wrong one is named now and not in its turn
    experiment = Experiment(
        config=config,
        preset=config.presets[args.preset],
        out=args.out,
        data=args.data or args.out / 'data',
        device=args.device and training_device_of(args),
    )
    run_stages(experiment.preparation(), experiment.records)
    preset = experiment.preset
    if preset.num_parallel > 1:
        threads = max(1, (os.cpu_count() or 1) // preset.num_parallel)
        os.environ.setdefault('OMP_NUM_THREADS', str(threads))  # of the stages' processes
    run_jobs(experiment.jobs(), experiment.records, preset.num_parallel)
    arguments = sys.argv[1:] if argv is None else argv
    text = write_report(
        experiment,
        preset=args.preset,
        command=shlex.join(['python', '-m', 'training.experiment', *arguments]),
        json_paths=[args.out / 'results.json', *filter(None, [args.json])],
        plot_paths=[args.out / 'results.png', *filter(None, [args.plot])],
    )
    (args.out / 'results.md').write_text(text)
    print(text)
    return 0


if __name__ == '__main__':
    run(main)
