"""The results of an experiment: a record for docs/results, a table, a picture."""

from collections import Counter
from collections.abc import Iterator, Sequence
import json
from pathlib import Path
from typing import Any

from ssd_depth_core.conditions import CONDITIONS
from ssd_depth_core.config import read_yaml
from ssd_depth_core.data.index import read_lines, Split
from ssd_depth_core.data.manifest import read_manifest
from ssd_depth_core.data.nuscenes_splits import street_of
from ssd_depth_core.data.rendered import read_frames as read_views
from ssd_depth_core.evaluation.experiment import grid, ScoredMethod, table_rows, tables
from ssd_depth_core.evaluation.experiment_plot import draw_experiment
from ssd_depth_core.evaluation.margins import margin_rows, margin_tables
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.record import read_evaluation, read_frames
from ssd_depth_core.evaluation.rejection import rejection_rows, rejection_table
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.records import provenance, Result, write_result

from training._experiment import Experiment, GUESSES
from training._experiment_config import RowConfig
from training._stages import read_record


def write_report(
    experiment: Experiment,
    *,
    preset: str,
    command: str,
    json_paths: Sequence[Path],
    plot_paths: Sequence[Path],
) -> str:
    """Put the scores of all stages together.

    Args:
        experiment: All of whose stages have ended.
        preset: Its name.
        command: What made it.
        json_paths: Where the record goes.
        plot_paths: Where the picture goes, PNG.

    Returns:
        The tables and their text, Markdown, ending in a line break.

    Raises:
        FileNotFoundError: If a stage's files are missing.
        ValueError: If they are damaged, or not of the same frames.
    """
    protocol = read_evaluation(experiment.scores_folder(GUESSES[0])).options
    guesses = [
        ScoredMethod(name=read_evaluation(folder).method, runs=(read_frames(folder),))
        for folder in map(experiment.scores_folder, GUESSES)
    ]
    trained = [
        ScoredMethod(
            name=row,
            runs=tuple(
                read_frames(experiment.scores_folder(experiment.run_folder(row, seed).path.name))
                for seed in experiment.seeds()
            ),
            metric=experiment.config.rows[row].metric,
        )
        for row in experiment.preset.rows
    ]
    rows = table_rows([*guesses, *trained], protocol)
    parts = [_reading(experiment, trained, protocol), tables(rows)]
    further = {}
    if differences := margin_rows(_pairs(experiment, trained, guesses), protocol):
        further['differences'] = tuple(differences)
        parts.append(margin_tables(differences))
    if rejections := rejection_rows(trained, protocol):
        further['rejections'] = tuple(rejections)
        parts.append(rejection_table(rejections))
    parts.append(f'**Trainings** (means over seeds)\n\n{grid(_trainings(experiment))}')
    if translations := _translations(experiment):
        parts.append(
            '**Translated pictures that the gate accepted, of those made**\n\n'
            f'{grid(translations)}'
        )
    table = '\n\n'.join(filter(None, [*parts, experiment.config.published.strip()]))
    result = Result(
        title=experiment.config.title,
        command=command,
        seed=experiment.config.seed,
        data=_data(experiment),
        rows=tuple(rows),
        further=further,
        table=table,
        notes=_notes(experiment, preset),
        **provenance(_accelerator(experiment)),
    )
    for path in json_paths:
        write_result(result, path)
    hidden = [row for row, how in experiment.config.rows.items() if not how.pictured]
    pictured = [row for row in rows if row['method'] not in hidden]
    for path in plot_paths:
        draw_experiment(pictured, [guess.name for guess in guesses], path)
    return f'# {result.title}\n\n{table}\n\n{result.notes}\n\nData: {result.data}.\n'


def _runs(experiment: Experiment) -> list[RunFolder]:
    return [
        experiment.run_folder(row, seed)
        for row in experiment.preset.rows
        for seed in experiment.seeds()
    ]


def _pairs(
    experiment: Experiment, trained: Sequence[ScoredMethod], guesses: Sequence[ScoredMethod]
) -> Iterator[tuple[ScoredMethod, ScoredMethod]]:
    """Say what each row is compared with; without a unit it is not compared with guesses."""
    by_name = {method.name: method for method in trained}
    for method in trained:
        if others := experiment.config.rows[method.name].compared_with:
            yield from ((method, by_name[other]) for other in others if other in by_name)
        elif method.metric:
            yield from ((method, guess) for guess in guesses)


def _translations(experiment: Experiment) -> dict[tuple[str, str], str]:
    """Say how many pictures of each condition there are to learn from."""
    cells: dict[tuple[str, str], str] = {}
    for name in experiment.translations():
        lines = read_manifest(experiment.pictures_folder(name))
        made_by = ', '.join([name, *sorted({line.translator for line in lines})])
        made = Counter(line.condition for line in lines)
        accepted = Counter(line.condition for line in lines if line.accepted)
        for condition in CONDITIONS:
            if made[condition]:
                cells[made_by, condition] = f'{accepted[condition]:,} of {made[condition]:,}'
    return cells


def _trainings(experiment: Experiment) -> dict[tuple[str, str], str]:
    """Say what each row is and how long it was trained."""
    cells: dict[tuple[str, str], str] = {}
    for row in experiment.preset.rows:
        how = experiment.config.rows[row]
        folders = [experiment.run_folder(row, seed) for seed in experiment.seeds()]
        config = read_yaml(folders[0].config)
        model, loop = config['model'], config['loop']
        weights = model['encoder_weights'] or 'from scratch'
        if 'model' in experiment.encoders_of(row):
            weights = 'pre-trained here'
        if config.get('initial') == 'teacher':
            weights = f'as {how.teacher}'
        ends = [_last_validation(folder) for folder in folders]
        steps = sum(end['step'] for end in ends) / len(ends)
        minutes = sum(end['minutes'] for end in ends) / len(ends)
        frames = steps * loop['batch_size'] * loop['gradient_accumulation']
        cells |= {
            (row, 'learns from'): _lessons(how),
            (row, 'looks at'): ' and '.join(filter(None, ['clear days', how.translated])),
            (row, 'network'): f'{model["encoder"]}, {model["decoder"]}',
            (row, 'encoder begins'): weights,
            (row, 'input'): f'{model["input_height"]}x{model["input_width"]}',
            (row, 'seeds'): str(len(folders)),
            (row, 'steps'): f'{steps:,.0f}',
            (row, 'frames seen'): f'{frames:,.0f}',
            (row, 'minutes'): f'{minutes:.1f}',
        }
    return cells


def _lessons(how: RowConfig) -> str:
    """Say what a training takes depth from."""
    if how.stage == 'train_teacher':
        return 'video'
    return how.teacher or 'labels'


def _reading(
    experiment: Experiment, trained: Sequence[ScoredMethod], protocol: EvaluationConfig
) -> str:
    """Say what a cell is."""
    rows = experiment.config.rows
    labelled = [row for row in experiment.preset.rows if _lessons(rows[row]) == 'labels']
    no_other = f'no trained row but {", ".join(labelled)}' if labelled else 'no trained row'
    sentences = [
        f'Depth is scored on exact truth from {protocol.min_depth_m:g} m to '
        f'{protocol.main_cap_m:g} m, image by image.',
        'A cell is the mean over images and seeds, ± standard deviation over seeds (95 % interval '
        'by bootstrap over test streets, the twins of a street drawn together); all: over the '
        'frames of all conditions.',
        'metric: as predicted; median-scaled: times median(truth) / median(depth) of each image.',
        *(
            f'{method.name} learns depth without a unit.'
            for method in trained
            if not method.metric
        ),
        'The first three rows look at no picture; of these the constant and the median use labels '
        f'of the training streets, which {no_other} does.',
    ]
    return ' '.join(sentences)


def _notes(experiment: Experiment, preset: str) -> str:
    """Say what the reader must know besides."""
    minutes = sum(_last_validation(run)['minutes'] for run in _runs(experiment))
    stages = [
        *(f'pretrain-{encoder.name}' for encoder in experiment.encoders()),
        *(f'train-{run.path.name}' for run in _runs(experiment)),
    ]
    commits = sorted(
        {
            commit
            for stage in stages
            for commit in read_record(experiment.records / f'{stage}.json').commits
        }
    )
    sentences = [
        f'Preset `{preset}`, seeds {", ".join(map(str, experiment.seeds()))}, trained by commit '
        f'{", ".join(commits)} in {minutes:,.0f} minutes.',
        _beginning(experiment),
        experiment.preset.remarks,
        *(
            f'Pictures `{name}`: {remarks}'
            for name in experiment.translations()
            if (remarks := experiment.preset.translations[name].remarks)
        ),
        'The streets are synthetic: the figures compare methods and conditions with each other '
        'and tell nothing of real streets.',
    ]
    return ' '.join(filter(None, sentences))


def _beginning(experiment: Experiment) -> str:
    """Say what the encoders begin with."""
    if experiment.encoders():
        return _pretraining(experiment)
    configs = [read_yaml(run.config) for run in _runs(experiment)]
    downloaded = any(
        config[network]['encoder_weights']
        for config in configs
        for network in config.keys() & {'model', 'pose'}
    )
    return (
        'Encoders begin with the weights that the table names.'
        if downloaded
        else 'Every network is trained from scratch, without downloaded weights; the published '
        'figures of these methods begin with pre-trained encoders.'
    )


def _pretraining(experiment: Experiment) -> str:
    """Say how encoders were pre-trained here, and how well they came to know what they saw."""
    views = len(read_views([experiment.views_folder], 'train'))
    parts = []
    for encoder in experiment.encoders():
        run = experiment.pretraining_folder(encoder)
        loop, end = read_yaml(run.config)['loop'], _last_validation(run)
        scores = ', '.join(
            f'{name.replace("_", " ")} {value:.3f}'
            for name, value in end['validation'].items()
            if isinstance(value, float)  # of all classes
        )
        batch = loop['batch_size'] * loop['gradient_accumulation']
        parts.append(
            f'`{encoder.name}` in {end["step"]:,} steps of {batch} and {end["minutes"]:,.0f} '
            f'minutes (validation: {scores})'
        )
    return (
        f'Encoders were pre-trained here to name surfaces, on {views:,} rendered views of other '
        f'streets: {"; ".join(parts)}.'
    )


def _data(experiment: Experiment) -> str:
    """Say what was trained and tested on."""
    purposes: tuple[tuple[Split, str], ...] = (('train', 'to train on'), ('test', 'to test on'))
    parts = []
    for split, purpose in purposes:
        lines = read_lines(experiment.index_folder, split)
        held = {line.condition for line in lines}
        conditions = ', '.join(condition for condition in CONDITIONS if condition in held)
        streets = len({street_of(line.scene) for line in lines})
        parts.append(f'{len(lines):,} frames of {streets} streets {purpose} ({conditions})')
    return f'synthetic: SynthDrive, {"; ".join(parts)}'


def _last_validation(run: RunFolder) -> dict[str, Any]:
    """Read the line of metrics that came with the checkpoint."""
    lines = map(json.loads, run.metrics.read_text().splitlines())
    return [line for line in lines if 'validation' in line][-1]


def _accelerator(experiment: Experiment) -> str | None:
    """Name what was trained on besides the processor."""
    import torch

    if experiment.device == 'cpu' or not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(experiment.device or 'cuda')
