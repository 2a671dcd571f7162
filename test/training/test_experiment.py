from dataclasses import replace
import itertools
import json
import os
from pathlib import Path
import shlex
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('torch')

from ssd_depth_core.config import flattened, load_yaml
from ssd_depth_core.learning.run_folder import RunFolder
from ssd_depth_core.learning.self_supervised import SelfSupervisedConfig
from ssd_depth_core.learning.student import StudentConfig
from ssd_depth_core.records import read_result

from training import experiment as command
from training._experiment import Experiment, GUESSES
from training._experiment_config import (
    EncodersConfig,
    ExperimentConfig,
    RowConfig,
    StageConfig,
)
from training._stage_configs import read_configs
from training._stages import read_record

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'config' / 'experiment'
TINY_VIT = 'vit_small_patch14_dinov2-depth4-embed_dim48-num_heads3'


@pytest.fixture
def read(monkeypatch):
    monkeypatch.chdir(ROOT)  # configs are named from there
    return lambda name: load_yaml(ExperimentConfig, CONFIGS / f'{name}.yaml')


@pytest.fixture
def config(read):
    return read('teachers')


@pytest.fixture
def start(tmp_path):
    """Give an experiment of two seeds whose data and encoders are there."""

    def start(config):
        experiment = Experiment(
            config=config,
            preset=replace(config.presets['tiny'], num_seeds=2),
            out=tmp_path,
            data=tmp_path / 'data',
            device='cpu',
        )
        data = ('data/synthdrive.json', 'index/train.jsonl', 'index/test.jsonl')
        weights = map(experiment.encoder_weights, experiment.encoders())
        for path in (*data, 'views/frames.jsonl', *weights):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(str(path))
        return experiment

    return start


@pytest.fixture
def experiment(config, start):
    return start(config)


def trainings_of(config, size):
    """Read the trainings of a preset as their stages would."""
    configs = read_configs(config, size)
    return {row: configs[f'rows.{row}'] for row in config.presets[size].rows}


@pytest.mark.parametrize('name', ['teachers', 'ssd', 'ssd_ablation'])
def test_every_preset_is_made_of_valid_configs(read, name):
    config = read(name)
    assert list(config.presets) == ['tiny', 'small', 'gpu']
    for size, preset in config.presets.items():
        if preset.pretraining is not None:
            views = read_configs(config, size)['pretraining.views']
            assert views.classes
            assert views.conditions == ('day-clear',)
        trainings = trainings_of(config, size)
        for row, training in trainings.items():
            begun = getattr(training, 'initial', 'config') == 'teacher'
            start = 'timm' if preset.pretraining is None else 'pretrained'
            assert training.model.encoder_weights == (None if begun else start)
            if isinstance(training, SelfSupervisedConfig):
                assert training.pose.encoder_weights == start
            if begun:
                taught_by = trainings[config.rows[row].teacher].model
                alike = {'encoder_weights': None, 'confidence': False}
                assert replace(training.model, **alike) == replace(taught_by, **alike)
        assert (preset.pretraining is None) == (size == 'gpu')  # where weights are downloaded
        used = {config.rows[row].translated for row in preset.rows} - {None}
        assert used == set(preset.translations)


@pytest.mark.parametrize('name', ['ssd', 'ssd_ablation'])
def test_students_look_at_conditions_that_are_made(read, name):
    config = read(name)
    for size, preset in config.presets.items():
        for row, training in trainings_of(config, size).items():
            if isinstance(training, StudentConfig):
                made = preset.translations[config.rows[row].translated].resolved()['conditions']
                assert set(training.data.conditions) <= set(made)


@pytest.mark.parametrize('name', ['ssd', 'ssd_ablation'])
def test_the_reader_is_told_of_what_depth_each_translation_is_made(read, name):
    config = read(name)
    for size in ('small', 'gpu'):
        for translation, how in config.presets[size].translations.items():
            depth = read_configs(config, size)[f'translations.{translation}'].depth
            known = {'exact': 'the exact depth', 'onnx': 'shipped student'}
            assert known.get(depth.kind, 'depth alone') in how.remarks
        said = config.presets[size].remarks
        assert 'the depth is that of' not in said  # it is not one for all rows


def test_the_first_rows_of_all_presets_are_the_main_ones(read):
    main = [
        *('monodepth2', 'md4all_baseline', 'ssd_teacher', 'md4all_dd', 'ssd_student'),
        *('supervised', 'onboard_student'),
    ]
    for name in ('ssd', 'ssd_ablation'):
        for preset in read(name).presets.values():
            assert list(preset.rows)[: len(main)] == main


def test_every_variant_changes_one_thing_of_the_student(read):
    config = read('ssd_ablation')
    variants = [row for row, how in config.rows.items() if not how.pictured]
    for preset in config.presets.values():
        student = flattened(config.training(preset, 'ssd_student'))
        for row in preset.rows.keys() & set(variants) - {'student_resnet18'}:
            how, training = config.rows[row], flattened(config.training(preset, row))
            changed = {
                name
                for name in training.keys() | student.keys()
                if training.get(name) != student.get(name)
            }
            assert changed == flattened(how.set).keys()
            assert bool(changed) != (how.translated != config.rows['ssd_student'].translated)


def test_one_experiment_goes_on_from_another(read, start):
    config, extended = read('teachers'), read('ssd')
    for name, preset in config.presets.items():
        other = extended.presets[name]
        for field in ('data', 'index', 'pretraining', 'evaluate', 'num_seeds'):
            assert getattr(preset, field) == getattr(other, field)
        for row in preset.rows:
            assert config.training(preset, row) == extended.training(other, row)
    for row in config.rows:
        assert training_stage(start(config), row) == training_stage(start(extended), row)


def test_changes_of_a_config_go_as_deep_as_they_are_given(tmp_path):
    path = tmp_path / 'a.yaml'
    path.write_text('seed: 0\nloop: {max_epochs: 20, rate: 1e-4, factors: {a.b: 0.1, c: 2}}\n')
    changes = {'loop': {'max_epochs': None, 'factors': {'a.b': 1.0}}, 'model': {'width': 3}}
    stage = StageConfig(config=path, set=changes)
    assert stage.resolved() == {
        'seed': 0,
        'loop': {'max_epochs': None, 'rate': 1e-4, 'factors': {'a.b': 1.0, 'c': 2}},
        'model': {'width': 3},
    }


def test_a_preset_of_unknown_rows_or_without_any_is_refused(config):
    tiny = config.presets['tiny']
    with pytest.raises(ValueError, match='presets.a.rows must be of monodepth2, .* got other'):
        replace(config, presets={'a': replace(tiny, rows={'other': {}})})
    for changes in ({'rows': {}}, {'num_seeds': 0}, {'num_parallel': 0}):
        with pytest.raises(ValueError, match='num_parallel must be >= 1 and rows one'):
            replace(tiny, **changes)


def test_a_row_takes_what_its_stage_asks_for():
    for stage, given in (
        ('train_student', {'teacher': 'a'}),
        ('train_teacher', {'translated': 'a'}),
        ('train_teacher', {'teacher': 'a'}),
    ):
        with pytest.raises(ValueError, match=f'needs translated, .* got {stage}, translated'):
            RowConfig(stage=stage, config=Path('a'), **given)


def test_rows_that_cannot_be_had_are_named(read):
    config = read('ssd')
    rows, tiny = config.rows, config.presets['tiny']

    def presets(rows, **changes):
        return {'a': replace(tiny, rows=rows, **changes)}

    left_out = 'presets.a.rows must have ssd_teacher before ssd_student, which needs it, got'
    for names in (['ssd_student'], ['ssd_student', 'ssd_teacher']):
        with pytest.raises(ValueError, match=f'{left_out} {", ".join(names)}; put it there, or'):
            replace(config, presets=presets({name: {} for name in names}))
    with pytest.raises(ValueError, match='must have ssd_student before supervised, which needs'):
        replace(config, presets=presets({'supervised': {}}))
    circle = replace(rows['md4all_dd'], teacher='ssd_student')
    with pytest.raises(ValueError, match='must have ssd_student before md4all_dd, which needs it'):
        replace(
            config,
            rows=rows | {'md4all_dd': circle, 'ssd_student': replace(circle, teacher='md4all_dd')},
            presets=presets({'md4all_dd': {}, 'ssd_student': {}}),
        )
    with pytest.raises(ValueError, match='a.translations must have gdt, at which md4all_dd looks'):
        replace(config, presets=presets(tiny.rows, translations={}))
    odd = replace(rows['supervised'], compared_with=('nobody',))
    with pytest.raises(ValueError, match='rows.supervised.compared_with must be of .* got nobody'):
        replace(config, rows=rows | {'supervised': odd})


def test_a_row_is_sized_as_another_and_keeps_what_it_is(read):
    config = read('ssd')
    small = config.presets['small']
    student, supervised = (config.training(small, row) for row in ('ssd_student', 'supervised'))
    assert supervised['model'] == student['model'] | {'encoder_weights': 'pretrained'}
    assert supervised['loss'] == student['loss'] | config.rows['supervised'].set['loss']
    assert supervised['loop']['max_steps'] == 3 * student['loop']['max_steps']


def test_an_unknown_preset_is_named(tmp_path):
    with pytest.raises(ValueError, match='--preset must be one of tiny, small, gpu, got large'):
        command.main(['--preset', 'large', '--out', str(tmp_path)])


def test_a_wrong_row_is_named_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    wrong = 'presets.tiny.rows.ssd_teacher.loop.schedule=x'
    out = tmp_path / 'out'
    arguments = ['--preset', 'tiny', '--out', str(out), '--set', wrong]
    with pytest.raises(ValueError, match=r'^presets\.tiny\.rows\.ssd_teacher.*schedule.*x'):
        command.main(arguments)
    assert not out.exists()


def end_trainings(experiment):
    """Leave what trainings and translations leave, each its own."""
    for job in experiment.jobs():
        run = RunFolder(experiment.out / 'runs' / job.name)
        run.path.mkdir(parents=True, exist_ok=True)
        run.checkpoint.write_text(job.name)
    for name in experiment.translations():
        folder = experiment.pictures_folder(name)
        folder.mkdir(parents=True)
        (folder / 'manifest.jsonl').write_text(name)


def test_each_row_comes_once_before_the_second_seed(experiment):
    end_trainings(experiment)
    jobs = list(experiment.jobs())
    encoders = ['resnet18', 'mobilenetv4_conv_small', TINY_VIT]
    assert {need for job in jobs for need in job.needs} == {f'pretrain-{e}' for e in encoders}
    stages = [*experiment.preparation(), *itertools.chain.from_iterable(j.stages for j in jobs)]
    assert [stage.name for stage in stages] == [
        *('render', 'index', *(f'evaluate-{guess}' for guess in GUESSES), 'render-views'),
        *(f'pretrain-{encoder}' for encoder in encoders),
        *(
            f'{verb}-{row}-seed{seed}'
            for seed in (0, 1)
            for row in experiment.preset.rows
            for verb in ('train', 'evaluate')
        ),
    ]
    # Scores of one checkpoint are not taken for another's.
    methods = [stage.inputs['method'] for stage in stages if 'method' in stage.inputs]
    assert len(set(methods)) == len(methods)


def test_students_wait_for_their_teachers_and_their_pictures(read, start):
    jobs = {job.name: job for job in start(read('ssd')).jobs()}
    assert not jobs['translate-gdt'].needs
    names = list(jobs)
    assert names.index('translate-gdt') < names.index('monodepth2-seed0')
    cnn, vit = 'pretrain-mobilenetv4_conv_small', f'pretrain-{TINY_VIT}'
    assert jobs['ssd_teacher-seed1'].needs == {cnn, vit}
    # What begins as its teacher needs no encoder of its own.
    for student, teacher, encoders in (
        ('md4all_dd', 'md4all_baseline', set()),
        ('ssd_student', 'ssd_teacher', set()),
        ('onboard_student', 'ssd_student', {cnn}),
    ):
        for seed in (0, 1):
            needs = jobs[f'{student}-seed{seed}'].needs
            assert needs == {f'{teacher}-seed{seed}', 'translate-gdt', *encoders}
    assert jobs['supervised-seed0'].needs == {'translate-gdt', vit}


def test_a_student_is_told_its_teacher_and_its_pictures(read, start, tmp_path):
    experiment = start(read('ssd'))
    end_trainings(experiment)
    jobs = {job.name: job for job in experiment.jobs()}
    (translation,) = jobs['translate-gdt'].stages
    assert (translation.module, translation.name) == ('training.translate', 'translate-gdt')
    assert translation.product == tmp_path / 'translated' / 'gdt' / 'manifest.jsonl'
    stage = training_stage(experiment, 'ssd_student')
    assert (stage.module, stage.name) == ('training.train_student', 'train-ssd_student-seed0')
    assert shlex.join(stage.arguments).startswith(
        f'--index {tmp_path}/index --teacher {tmp_path}/runs/ssd_teacher-seed0 '
        f'--translated {tmp_path}/translated/gdt --out {tmp_path}/runs/ssd_student-seed0 --seed 0'
    )
    assert '--teacher' not in training_stage(experiment, 'supervised').arguments
    # Another teacher, or other pictures, make another student.
    for path in (RunFolder(tmp_path / 'runs/ssd_teacher-seed0').checkpoint, translation.product):
        path.write_text('another')
        other = training_stage(experiment, 'ssd_student')
        assert other.inputs != stage.inputs
        stage = other


def training_stage(experiment, row='monodepth2'):
    """Ask for a training, as after the stages before it."""
    return next(experiment.training(row, 0))


def test_stages_belong_to_the_data_that_they_read(experiment):
    _, index, guess, *_ = experiment.preparation()
    training = next(experiment.training('monodepth2', 0))
    (experiment.data / 'synthdrive.json').write_text('another set')
    for name in ('train', 'test'):
        (experiment.index_folder / f'{name}.jsonl').write_text('another index')
    _, other_index, other_guess, *_ = experiment.preparation()
    assert index.inputs != other_index.inputs
    assert guess.inputs != other_guess.inputs
    assert training.inputs != next(experiment.training('monodepth2', 0)).inputs


def test_a_half_trained_row_is_resumed_and_a_begun_one_begun_again(experiment):
    run = experiment.run_folder('monodepth2', 0)
    assert '--resume' not in training_stage(experiment).arguments
    run.path.mkdir(parents=True)
    run.config.write_text('seed: 0')
    assert '--resume' not in training_stage(experiment).arguments
    assert not run.path.exists()
    run.state.parent.mkdir(parents=True)
    run.config.write_text('seed: 0')
    run.state.write_text('moments')
    assert '--resume' in training_stage(experiment).arguments
    assert run.config.exists()


def test_weights_are_never_thrown_away(experiment):
    run = experiment.run_folder('monodepth2', 0)
    run.path.mkdir(parents=True)
    run.config.write_text('seed: 0')
    run.checkpoint.write_text('weights')
    training_stage(experiment)
    assert run.checkpoint.exists()


@pytest.fixture
def pretrained(experiment, tmp_path):
    """Give rows whose encoders have been pre-trained; two of them share one."""
    (tmp_path / 'row.yaml').write_text('{pose: {encoder: resnet18}, loop: {max_steps: 2}}')
    (tmp_path / 'views.yaml').write_text('{num_cities: 1500, classes: true}')
    (tmp_path / 'encoder.yaml').write_text('{encoder: a, encoder_options: {b: 1}, size: 140}')
    asked = {'encoder_weights': 'pretrained'}
    vit = {'encoder': 'vit_tiny_patch16_224', 'encoder_options': {'depth': 2}}
    preset = replace(
        experiment.preset,
        pretraining=EncodersConfig(
            config=tmp_path / 'encoder.yaml',
            set={'size': 84},
            views=StageConfig(config=tmp_path / 'views.yaml', set={'num_cities': 2}),
        ),
        rows={
            'cnn': {'model': {'encoder': 'mobilenetv4_conv_small', **asked}, 'pose': asked},
            'vit': {'model': {**vit, **asked}, 'pose': asked},
            'other': {'model': {'encoder_weights': None}},
        },
    )
    how = RowConfig(config=tmp_path / 'row.yaml')
    config = replace(experiment.config, rows=dict.fromkeys(preset.rows, how), presets={})
    experiment = replace(experiment, config=config, preset=preset)
    for encoder in experiment.encoders():
        path = experiment.encoder_weights(encoder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(encoder.name)
    return experiment


def pretrainings_of(experiment):
    """Ask for the pre-trainings, as after the stages before them."""
    jobs = (job for job in experiment.jobs() if job.name.startswith('pretrain-'))
    return [stage for job in jobs for stage in job.stages]


def test_each_encoder_is_pretrained_once_before_the_rows_that_begin_with_it(pretrained):
    *_, last_guess, views = pretrained.preparation()
    assert (last_guess.name, views.name) == (f'evaluate-{GUESSES[-1]}', 'render-views')
    cnns = {'pretrain-mobilenetv4_conv_small', 'pretrain-resnet18'}
    vits = {'pretrain-resnet18', 'pretrain-vit_tiny_patch16_224-depth2'}
    assert [(job.name, job.needs) for job in pretrained.jobs()] == [
        *((name, frozenset()) for name in (*sorted(cnns), max(vits))),
        *(
            (f'{row}-seed{seed}', needs)
            for seed in (0, 1)
            for row, needs in (('cnn', cnns), ('vit', vits), ('other', frozenset()))
        ),
    ]


def test_an_encoder_learns_from_views_that_are_rendered_for_it(pretrained, tmp_path):
    *_, views = pretrained.preparation()
    assert (views.module, views.config) == (
        'training.render_training_set',
        {'num_cities': 2, 'classes': True},
    )
    assert shlex.join(views.arguments) == f'--out {tmp_path}/views --device cpu'
    assert views.product == tmp_path / 'views' / 'frames.jsonl'
    *_, stage = pretrainings_of(pretrained)
    folder = tmp_path / 'pretrained' / 'vit_tiny_patch16_224-depth2'
    assert (stage.module, stage.product) == (
        'training.pretrain_encoder',
        folder / 'encoder.safetensors',
    )
    # Options are those of the row alone.
    vit = {'encoder': 'vit_tiny_patch16_224', 'encoder_options': {'depth': 2}}
    assert stage.config == {**vit, 'size': 84}
    command = f'--data {tmp_path}/views --out {folder} --device cpu'
    assert shlex.join(stage.arguments) == command
    views.product.write_text('other views')
    *_, other = pretrainings_of(pretrained)
    assert stage.inputs != other.inputs


def test_a_row_is_told_the_file_in_place_of_the_word(pretrained, tmp_path):
    stage = training_stage(pretrained, 'vit')
    resnet, vit = (
        tmp_path / 'pretrained' / name / 'encoder.safetensors'
        for name in ('resnet18', 'vit_tiny_patch16_224-depth2')
    )
    assert stage.config == {
        'model': {
            'encoder': 'vit_tiny_patch16_224',
            'encoder_options': {'depth': 2},
            'encoder_weights': str(vit),
        },
        'pose': {'encoder': 'resnet18', 'encoder_weights': str(resnet)},
        'loop': {'max_steps': 2},
    }
    assert training_stage(pretrained, 'other').config['model'] == {'encoder_weights': None}
    # Another encoder makes another training.
    for path in (resnet, vit):
        path.write_text('another')
        other = training_stage(pretrained, 'vit')
        assert other.inputs != stage.inputs
        stage = other


def test_a_half_pretrained_encoder_is_resumed_and_a_begun_one_begun_again(pretrained, tmp_path):
    folder = tmp_path / 'pretrained' / 'mobilenetv4_conv_small'
    run = RunFolder(folder)
    run.config.write_text('seed: 0')
    assert '--resume' not in pretrainings_of(pretrained)[0].arguments
    assert (folder / 'encoder.safetensors').exists()
    (folder / 'encoder.safetensors').unlink()
    assert '--resume' not in pretrainings_of(pretrained)[0].arguments
    assert not folder.exists()
    run.state.parent.mkdir(parents=True)
    run.config.write_text('seed: 0')
    run.state.write_text('moments')
    assert '--resume' in pretrainings_of(pretrained)[0].arguments
    assert run.config.exists()


def test_rows_are_not_promised_encoders_that_nobody_pretrains(pretrained):
    without = replace(pretrained, preset=replace(pretrained.preset, pretraining=None))
    said = r'how cnn gets its encoder_weights pretrained \(model, pose\), got none; add it'
    with pytest.raises(ValueError, match=said):
        next(without.preparation())  # before anything is rendered
    alone = replace(without.preset, rows={'other': {}})
    assert all(
        stage.name != 'render-views' for stage in replace(without, preset=alone).preparation()
    )


@pytest.fixture
def run_tiny():
    """Start the command; what still runs when the test ends, by a fault, is killed."""
    processes = []

    def start(out, *options):
        arguments = ['--preset', 'tiny', '--out', str(out), '--device', 'cpu', *options]
        process = subprocess.Popen(
            [sys.executable, '-m', 'training.experiment', *arguments],
            cwd=ROOT,
            env=os.environ | {'OMP_NUM_THREADS': '1'},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_the_whole_command_is_killed_fails_and_comes_to_its_end(tmp_path, run_tiny):
    out, docs = tmp_path / 'out', tmp_path / 'docs'
    steps = ('--set', 'presets.tiny.rows.monodepth2.loop.max_steps=8')
    # Killed in the middle of a training.
    process = run_tiny(out, *steps)
    state = RunFolder(out / 'runs' / 'monodepth2-seed0').state
    while process.poll() is None and not state.exists():
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors
    record = out / 'stages' / 'train-monodepth2-seed0.json'
    assert not read_record(record).finished
    rendered = (out / 'data' / 'synthdrive.json').stat().st_mtime_ns
    # A row that cannot be trained ends the command by name, after the one before it.
    absent = f'presets.tiny.rows.md4all_baseline.model.encoder_weights={tmp_path}/no.safetensors'
    process = run_tiny(out, *steps, '--set', absent)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert 'error: stage train-md4all_baseline-seed0 ended with status 1, see above' in errors
    assert read_record(record).finished
    assert '--resume' in read_record(record).command
    # A finished row is of its config alone.
    process = run_tiny(out)
    _, errors = process.communicate()
    assert process.returncode == 1
    assert 'monodepth2-seed0 was finished with another config: loop.max_steps 8 there, 2' in errors
    # Mended, it goes on: what was finished stays.
    encoders = [*out.glob('pretrained/*/encoder.safetensors'), out / 'views' / 'frames.jsonl']
    assert len(encoders) == 3 + 1
    kept = [*out.glob('scores/*/metrics.json'), *out.glob('runs/monodepth2-seed0/*'), *encoders]
    assert len(kept) > 4 + 4
    stamps = [path.stat().st_mtime_ns for path in kept]
    paths = docs / 'results' / 'teachers.json', docs / 'images' / 'teachers.png'
    process = run_tiny(out, *steps, '--json', str(paths[0]), '--plot', str(paths[1]))
    text, errors = process.communicate()
    assert process.returncode == 0, errors
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    assert (out / 'data' / 'synthdrive.json').stat().st_mtime_ns == rendered
    result = read_result(paths[0])
    assert (out / 'results.json').read_text() == paths[0].read_text()
    assert (out / 'results.png').read_bytes() == paths[1].read_bytes()
    assert (out / 'results.md').read_text() in text
    assert result.command.startswith('python -m training.experiment --preset tiny --out')
    found = {(row['method'], row['scaling'], row['condition']) for row in result.rows}
    assert len(found) == len(result.rows) == (6 + 5) * 3
    assert ('ssd_teacher', 'metric', 'night') in found
    assert ('monodepth2', 'metric', 'night') not in found
    assert 'pre-trained here to name surfaces, on 6 rendered views' in result.notes
    assert f'`{TINY_VIT}` in 2 steps of 2 and ' in result.notes
    trained = (
        '| monodepth2 | video | clear days | resnet18, monodepth2 | pre-trained here | 96x160 |'
    )
    assert f'{trained} 1 | 8 | 16 |' in result.table
    # The flat road of a level, rendered street is better than one depth for everything.
    day = {
        row['method'].split()[0]: row['abs_rel']
        for row in result.rows
        if (row['scaling'], row['condition']) == ('metric', 'day-clear')
    }
    assert day['flat'] < day['constant']
    assert json.loads(paths[0].read_text())['seed'] == 0
    # Another experiment goes on from it.
    stamps = [path.stat().st_mtime_ns for path in kept]
    process = run_tiny(out, *steps, '--config', 'config/experiment/ssd.yaml')
    text, errors = process.communicate()
    assert process.returncode == 0, errors
    assert [path.stat().st_mtime_ns for path in kept] == stamps
    rows = {row['method'] for row in read_result(out / 'results.json').rows}
    assert {'ssd_teacher', 'md4all_dd', 'ssd_student', 'supervised', 'onboard_student'} < rows
    network = 'mobilenetv4_conv_small, pyramid | pre-trained here'
    assert f'| onboard_student | ssd_student | clear days and gdt | {network} |' in text
    assert '| gdt, procedural | ' in text
    assert text.index('Published on nuScenes') > text.index('Trainings')
