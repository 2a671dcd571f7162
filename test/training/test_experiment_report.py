from dataclasses import replace
from functools import partial
import json

import pytest
import yaml

pytest.importorskip('torch')

from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index
from ssd_depth_core.data.manifest import append_manifest, ManifestLine
from ssd_depth_core.evaluation.confidence import ConfidenceScore, NUM_BINS
from ssd_depth_core.evaluation.frame_score import FrameScore, VariantScore
from ssd_depth_core.evaluation.protocol import EvaluationConfig
from ssd_depth_core.evaluation.record import Evaluation, Tables, write_evaluation
from ssd_depth_core.metrics import DepthMetrics
from ssd_depth_core.records import read_result

from training import _experiment_report
from training._experiment import Experiment, GUESSES
from training._experiment_config import (
    EncodersConfig,
    ExperimentConfig,
    PresetConfig,
    RowConfig,
    StageConfig,
    TranslationConfig,
)
from training._experiment_report import write_report

PROTOCOL = EvaluationConfig(truth='exact', caps_m=(80.0,), replicates=100)
EVALUATION = Evaluation(
    method='',
    split='test',
    data='',
    command='',
    commit='',
    machine='',
    date='',
    options=PROTOCOL,
    frames_indexed=4,
    frames_missing=0,
    frames_without_truth=0,
    absent=(),
    tables=Tables(metrics=(), distance=(), confidence=(), further=()),
)
SCENES = [
    (f'street-{street}-{condition}', condition)
    for street in (1, 2)
    for condition in ('day-clear', 'night')
]


# Of the four fifths of which a network is most confident, 0.15, and the oracle finds 0.1.
BINS = (0.0,) * NUM_BINS
CONFIDENCE = ConfidenceScore(
    aurc=0.2,
    aurc_oracle=0.1,
    aurc_random=0.25,
    risk=(0.15,) * 16 + (0.25,) * 4,
    risk_oracle=(0.1,) * 16 + (0.25,) * 4,
    bin_pixels=BINS,
    bin_confidence=BINS,
    bin_correct=BINS,
)


def frame(scene, condition, abs_rel, confidence):
    metrics = DepthMetrics(abs_rel=abs_rel, sq_rel=0, rmse=5.0, rmse_log=0, a1=0.5, a2=1, a3=1)
    return FrameScore(
        id=scene,
        scene=scene,
        channel='CAM_FRONT',
        condition=condition,
        timestamp_us=0,
        pixels=9,
        scores=tuple(
            VariantScore(variant=variant, cap_m=80.0, metrics=metrics)
            for variant in ('plain', 'scaled')
        ),
        distance=(),
        scale=1.0,
        flicker=None,
        confidence=confidence,
        edges=None,
    )


@pytest.fixture
def experiment(tmp_path):
    """Rows of two seeds as their stages leave them: absRel 0.2 and 0.3, guesses 0.5."""
    path = tmp_path / 'row.yaml'
    path.write_text('model: {encoder: resnet18}')
    how = StageConfig(config=tmp_path / 'unused.yaml')
    student = partial(RowConfig, stage='train_student', config=path, translated='gdt')
    rows = {
        'mono': RowConfig(config=path, metric=False),
        'teacher': RowConfig(config=path),
        'student': student(teacher='teacher', compared_with=('teacher', 'mono', 'left_out')),
        'labelled': student(compared_with=('student',), pictured=False),
        'left_out': RowConfig(config=path),
    }
    preset = PresetConfig(
        data=how,
        index=how,
        evaluate=how,
        num_seeds=2,
        translations={
            'gdt': TranslationConfig(
                config=tmp_path / 'unused.yaml', remarks='of estimated depth.'
            )
        },
        rows={name: {} for name in rows if name != 'left_out'},
        remarks='Depth begins at 0.5 m.',
    )
    config = ExperimentConfig(
        title='Teachers',
        seed=3,
        rows=rows,
        presets={'small': preset},
        published='**Published**: 0.122\n',
    )
    experiment = Experiment(
        config=config, preset=preset, out=tmp_path, data=tmp_path / 'data', device='cpu'
    )

    def score(name, abs_rel):
        confidence = CONFIDENCE if name.startswith('student') else None
        frames = [frame(scene, condition, abs_rel, confidence) for scene, condition in SCENES]
        write_evaluation(replace(EVALUATION, method=name), frames, experiment.scores_folder(name))

    for guess in GUESSES:
        score(guess, 0.5)
    experiment.records.mkdir()
    for row, how in rows.items():
        for seed in (3, 4):
            run = experiment.run_folder(row, seed)
            run.path.mkdir(parents=True)
            score(run.path.name, 0.2 if seed == 3 else 0.3)
            model = {'encoder': 'resnet18', 'encoder_weights': None, 'decoder': 'dpt'}
            settings = {
                'model': model | {'input_height': 96, 'input_width': 160},
                'loop': {'batch_size': 8, 'gradient_accumulation': 2},
            }
            if how.stage == 'train_teacher':
                settings['pose'] = {'encoder_weights': None}
            else:
                settings['initial'] = 'config' if how.teacher is None else 'teacher'
            run.config.write_text(yaml.safe_dump(settings))
            for line in (
                {'step': 600, 'minutes': 3.0, 'validation': {}},
                {'step': 1200, 'minutes': 7.0 if seed == 3 else 8.0, 'validation': {}},
                {'step': 1200, 'minutes': 9.0, 'loss': 1.0},
            ):
                run.append_metrics(line)
            record = {'command': '', 'config': {}, 'inputs': {}, 'finished': True}
            record['commits'] = [f'commit{seed}']
            path = experiment.records / f'train-{run.path.name}.json'
            path.write_text(json.dumps(record))
    append_manifest(
        experiment.pictures_folder('gdt'),
        [
            ManifestLine(
                source_id='train',
                condition=condition,
                path=f'{number}.png',
                translator='procedural',
                seed=0,
                accepted=number != 1,
            )
            for number, condition in enumerate(['day-rain', 'night', 'night'])
        ],
    )
    still = tuple(tuple(float(i == j) for j in range(3)) for i in range(3))
    lines = [
        IndexLine(
            id=scene,
            scene=scene,
            channel='CAM_FRONT',
            condition=condition,
            timestamp_us=0,
            image='a.jpg',
            size=(9, 16),
            K=still,
            speed_mps=None,
        )
        for scene, condition in SCENES
    ]
    header = IndexHeader(format='nuscenes', root='.', options={}, kept={}, dropped={})
    train = [replace(lines[0], id='train')]
    write_index(experiment.index_folder, header, {'train': train, 'test': lines})
    return experiment


def report(experiment, out):
    text = write_report(
        experiment,
        preset='small',
        command='python -m training.experiment --preset small',
        json_paths=[out / 'a.json', out / 'docs' / 'b.json'],
        plot_paths=[out / 'a.png'],
    )
    return text, read_result(out / 'a.json')


def test_the_record_holds_every_row_and_what_made_it(experiment, tmp_path):
    text, result = report(experiment, tmp_path)
    assert (tmp_path / 'docs' / 'b.json').read_text() == (tmp_path / 'a.json').read_text()
    assert (tmp_path / 'a.png').stat().st_size > 10_000
    assert (result.title, result.seed) == ('Teachers', 3)
    assert result.command == 'python -m training.experiment --preset small'
    assert result.data == (
        'synthetic: SynthDrive, 1 frames of 1 streets to train on (day-clear); '
        '4 frames of 2 streets to test on (day-clear, night)'
    )
    assert len(result.rows) == (len(GUESSES) * 2 + 1 + 3 * 2) * 3  # mono has no metric rows
    row = next(row for row in result.rows if row['method'] == 'teacher')
    assert (row['scaling'], row['condition'], row['seeds']) == ('metric', 'day-clear', 2)
    assert row['abs_rel'] == pytest.approx(0.25)
    assert row['abs_rel_sd'] == pytest.approx(0.1 / 2**0.5)
    assert text.startswith(f'# Teachers\n\n{result.table}\n\n{result.notes}\n\nData: synthetic')


def test_the_table_says_how_rows_were_trained_and_what_they_beat(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    assert 'mono learns depth without a unit.' in result.table
    assert '| teacher minus constant, metric | -0.250 (-0.250 to -0.250) | ' in result.table
    assert 'mono minus' not in result.table
    # 1,200 steps of 8 frames, twice accumulated.
    numbers = '96x160 | 2 | 1,200 | 19,200 | 7.5 |'
    for words in (
        'teacher | video | clear days | resnet18, dpt | from scratch',
        'student | teacher | clear days and gdt | resnet18, dpt | as teacher',
        'labelled | labels | clear days and gdt | resnet18, dpt | from scratch',
    ):
        assert f'| {words} | {numbers}' in result.table
    said = 'use labels of the training streets, which no trained row but labelled does.'
    assert said in result.table


def test_a_row_is_compared_with_those_that_it_names_and_that_are_there(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    lines = [line.split(' | ')[0] for line in result.table.splitlines() if ' minus ' in line]
    absolute, relative = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert absolute == relative
    assert absolute[len(GUESSES) :] == [
        '| student minus teacher, metric',
        '| student minus mono, median-scaled',
        '| labelled minus student, metric',
    ]


def test_differences_are_rows_of_the_record_too(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    rows = result.further['differences']
    # The teacher with the guesses, the student with two rows, the labelled one with one.
    assert len(rows) == (len(GUESSES) + 2 + 1) * 3
    (row,) = (
        row for row in rows if (row['compared_with'], row['condition']) == ('flat-road', 'all')
    )
    assert (row['method'], row['scaling'], row['metric']) == ('teacher', 'metric', 'abs_rel')
    # 0.25 against 0.5 in every street.
    for name, value in (('difference', -0.25), ('difference_percent', -50)):
        for end in ('', '_low', '_high'):
            assert row[f'{name}{end}'] == pytest.approx(value)
    assert '| teacher minus constant, metric | -50.0 (-50.0 to -50.0) | ' in result.table


def test_what_confidence_gains_is_told_of_rows_that_have_it(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    rows = result.further['rejections']
    assert {row['method'] for row in rows} == {'student'}
    assert [row['condition'] for row in rows] == ['day-clear', 'night', 'all']
    for row in rows:
        assert row['gain_percent'] == pytest.approx(40)
        assert row['oracle_gain_percent'] == pytest.approx(60)
    assert '| student, lower by [%] | 40.0 (40.0 to 40.0) | ' in result.table
    for run in (3, 4):
        folder = experiment.scores_folder(f'student-seed{run}')
        frames = [frame(scene, condition, 0.2, None) for scene, condition in SCENES]
        write_evaluation(replace(EVALUATION, method='student'), frames, folder)
    text, result = report(experiment, tmp_path)
    assert list(result.further) == ['differences']
    assert 'least confident' not in text


def test_the_pictures_to_learn_from_are_counted(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    counts = (
        '|  | night | day-rain |\n| --- | ---: | ---: |\n| gdt, procedural | 1 of 2 | 1 of 1 |'
    )
    assert counts in result.table


def test_what_others_published_stands_under_our_figures_and_not_in_them(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    assert result.table.endswith('|\n\n**Published**: 0.122')
    assert 'Published' not in str([result.rows, result.further])


def test_the_picture_leaves_out_what_it_is_told_to(experiment, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        _experiment_report, 'draw_experiment', lambda rows, guesses, path: drawn.append(rows)
    )
    write_report(
        experiment, preset='small', command='', json_paths=[], plot_paths=[tmp_path / 'a.png']
    )
    shown = {row['method'] for row in drawn[0]}
    assert {'mono', 'teacher', 'student'} < shown
    assert 'labelled' not in shown


def test_the_notes_say_what_the_reader_must_know(experiment, tmp_path):
    _, result = report(experiment, tmp_path)
    assert result.notes.startswith(
        'Preset `small`, seeds 3, 4, trained by commit commit3, commit4 in 60 minutes. '
        'Every network is trained '
        'from scratch, without downloaded weights; '
    )
    assert 'Depth begins at 0.5 m. Pictures `gdt`: of estimated depth. The' in result.notes
    run = experiment.run_folder('teacher', 4)
    run.config.write_text(
        run.config.read_text().replace('encoder_weights: null', 'encoder_weights: timm')
    )
    _, result = report(experiment, tmp_path)
    assert 'Encoders begin with the weights that the table names.' in result.notes
    assert 'from scratch, without' not in result.notes


def test_pre_training_is_told_with_what_it_brought(experiment, tmp_path):
    unused = tmp_path / 'unused.yaml'
    asked = {'model': {'encoder_weights': 'pretrained'}}
    preset = replace(
        experiment.preset,
        pretraining=EncodersConfig(config=unused, views=StageConfig(config=unused)),
        rows={**experiment.preset.rows, 'teacher': asked, 'labelled': asked},
    )
    experiment = replace(experiment, preset=preset)
    experiment.views_folder.mkdir()
    K = [[9.0, 0.0, 4.0], [0.0, 9.0, 4.0], [0.0, 0.0, 1.0]]
    view = {'schema_version': 1, 'K': K, 'conditions': ['day-clear']}
    with (experiment.views_folder / 'frames.jsonl').open('w') as file:
        for number, split in enumerate(['validation', 'train', 'train']):
            file.write(json.dumps({**view, 'id': f'{number}', 'split': split}) + '\n')
    (encoder,) = experiment.encoders()
    run = experiment.pretraining_folder(encoder)
    run.path.mkdir(parents=True)
    run.config.write_text('loop: {batch_size: 16, gradient_accumulation: 2}')
    scores = {'accuracy': 0.9124, 'mean_iou': 0.5, 'classes': {'road': 0.99}}
    run.append_metrics({'step': 1000, 'minutes': 15.0, 'validation': {'accuracy': 0.1}})
    run.append_metrics({'step': 2000, 'minutes': 30.4, 'validation': scores})
    record = {'command': '', 'config': {}, 'inputs': {}, 'finished': True, 'commits': ['another']}
    (experiment.records / 'pretrain-resnet18.json').write_text(json.dumps(record))
    _, result = report(experiment, tmp_path)
    assert 'trained by commit another, commit3, commit4 in 60 minutes. ' in result.notes
    assert (
        'Encoders were pre-trained here to name surfaces, on 2 rendered views of other streets: '
        '`resnet18` in 2,000 steps of 32 and 30 minutes '
        '(validation: accuracy 0.912, mean iou 0.500). '
    ) in result.notes
    assert 'from scratch' not in result.notes
    for row, lessons, begins in (
        ('mono', 'video | clear days', 'from scratch'),
        ('teacher', 'video | clear days', 'pre-trained here'),
        ('student', 'teacher | clear days and gdt', 'as teacher'),
        ('labelled', 'labels | clear days and gdt', 'pre-trained here'),
    ):
        assert f'| {row} | {lessons} | resnet18, dpt | {begins} |' in result.table


def test_a_row_that_is_not_scored_is_named(experiment, tmp_path):
    (experiment.scores_folder('teacher-seed4') / 'frames.jsonl').unlink()
    with pytest.raises(FileNotFoundError, match='teacher-seed4/frames.jsonl'):
        report(experiment, tmp_path)
