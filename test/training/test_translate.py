from collections import Counter
import json
import os
from pathlib import Path
import random
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('diffusers')
pytest.importorskip('transformers')
cv2 = pytest.importorskip('cv2')
yaml = pytest.importorskip('yaml')

from ssd_depth_core.data.appearances import TranslatedPictures  # noqa: E402
from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index  # noqa: E402
from ssd_depth_core.data.manifest import read_manifest  # noqa: E402

from training import translate  # noqa: E402

ROOT = Path(__file__).parents[2]
SIZES = ((48, 80), (48, 80), (40, 72), (48, 80), (48, 80), (40, 72))  # of the six frames
NUM_KILLS = 5


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """The stage sets this, which ends with the test."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


def street(size, number):
    """A sky, a road and a car, and grain, so that no two pictures are alike."""
    height, width = size
    picture = np.full((*size, 3), (200, 180, 160), np.uint8)
    picture[height // 2 :] = (90, 90, 90)
    left = 8 * number % (width - 20)
    picture[height // 2 - 8 : height // 2 + 8, left : left + 20] = (40, 60, 200)
    return picture + np.random.default_rng(number).integers(0, 30, (*size, 3), np.uint8)


@pytest.fixture(scope='session')
def make_index(tmp_path_factory):
    """Write a data set of six clear frames of two sizes and two night ones, and its index."""

    def make(root):
        root.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, size in enumerate((*SIZES, *SIZES[:2])):
            cv2.imwrite(str(root / f'{number}.png'), street(size, number))
            height, width = size
            K = ((60.0, 0.0, width / 2 - 0.5), (0.0, 60.0, height / 2 - 0.5), (0.0, 0.0, 1.0))
            lines.append(
                IndexLine(
                    id=f'frame-{number}',
                    scene='scene',
                    channel='CAM_FRONT',
                    condition='day-clear' if number < len(SIZES) else 'night',
                    timestamp_us=number,
                    image=f'{number}.png',
                    size=size,
                    K=K,
                    speed_mps=None,
                )
            )
        header = IndexHeader(format='nuscenes', root='..', options={}, kept={}, dropped={})
        write_index(root / 'index', header, {'train': lines[:-1], 'test': lines[-1:]})
        return root / 'index'

    return make


@pytest.fixture(scope='session')
def index(make_index, tmp_path_factory):
    return make_index(tmp_path_factory.mktemp('street') / 'data')


@pytest.fixture(scope='session')
def config(tmp_path_factory, tiny_blip2, tiny_depth_model, tiny_diffusion):
    """Every part of the paper's way, of random weights."""
    folder = tmp_path_factory.mktemp('config')
    rng = np.random.default_rng(0)
    (folder / 'nights').mkdir()
    for name in 'abc':
        photograph = rng.integers(0, 80, (20, 30, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / 'nights' / f'{name}.png'), photograph)
    values = {
        'captioner': {'kind': 'blip2', 'model': str(tiny_blip2), 'max_new_tokens': 4},
        'depth': {'kind': 'transformers', 'model': str(tiny_depth_model), 'tiling': 'p16'},
        'translator': 'diffusion',
        'diffusion': {
            'model': str(tiny_diffusion),
            'controlnet': None,
            'ip_adapter': str(tiny_diffusion),
            'ip_adapter_subfolder': 'ip_adapter',
            'ip_adapter_weights': 'ip_adapter.safetensors',
            'num_inference_steps': 2,
            'size': [32, 48],
            'safety_checker': False,
        },
        'conditions': {
            'night': {
                'image_prompts': str(folder / 'nights'),
                'exposure': {'mean_luminance': 0.165},
            },
            'fog': {'phrases': ['In a foggy day', 'In thick fog']},
        },
        'size': [24, 40],
        'batch_size': 3,
        'seed': 7,
    }
    path = folder / 'tiny.yaml'
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope='session')
def procedural(tmp_path_factory):
    """Formulas over the shipped student's depth."""
    path = tmp_path_factory.mktemp('procedural') / 'procedural.yaml'
    values = {
        'captioner': {'kind': 'text', 'text': 'a street'},
        'depth': {'kind': 'onnx'},
        'translator': 'procedural',
        'conditions': {'fog': {}},
    }
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """Run the stage in a process of its own; gives its exit status, its words and its events."""
    log = tmp_path_factory.mktemp('log') / 'log'
    environment = {
        **os.environ,
        'HF_HUB_OFFLINE': '1',
        'OMP_NUM_THREADS': '1',
        'PYTHONPATH': str(ROOT),
    }
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name('translate_runner.py')],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=ROOT,
    ) as runner:

        def run(*argv, die_at=None):
            request = {'argv': [str(word) for word in argv], 'log': str(log), 'die_at': die_at}
            runner.stdin.write(json.dumps(request) + '\n')
            runner.stdin.flush()
            status = json.loads(runner.stdout.readline())['status']
            return status, log.read_text()

        yield run
        runner.stdin.close()


@pytest.fixture(scope='session')
def unkilled(run, config, index, tmp_path_factory):
    """The whole run, and how many events it has; only to be read."""
    out = tmp_path_factory.mktemp('translated') / 'whole'
    status, words = run('--config', config, '--index', index, '--out', out)
    assert status == 0, words
    return out, int(words.split()[-1])


def contents(folder):
    """All that a run leaves, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob('*')
        if path.is_file() and path.name != '.lock'
    }


def test_captions_depth_patches_diffusion_and_gate_make_pictures_and_a_manifest(unkilled):
    out, _ = unkilled
    lines = read_manifest(out)
    assert [line.path for line in lines] == [
        *(f'{condition}/frame-{n}.png' for condition in ('night', 'fog') for n in (0, 1, 3)),
        *(f'{condition}/frame-4.png' for condition in ('night', 'fog')),
        *(f'{condition}/frame-{n}.png' for condition in ('night', 'fog') for n in (2, 5)),
    ]
    for line in lines:
        picture = cv2.imread(str(out / line.path))
        assert picture.shape == (24, 40, 3)
        assert picture.std() > 1
        assert set(line.models) == {
            *('captioner', 'depth', 'diffusion', 'gate', 'ip_adapter'),
        }
        assert line.caption
        assert line.prompt.endswith(f', {line.caption}')
        assert 0 <= line.scores['trust'] <= 1
        assert line.accepted == (not line.reasons)
        if line.condition == 'night':
            assert line.prompt.startswith('At night, ')
            assert line.image_prompt in ('a.png', 'b.png', 'c.png')
            assert picture.mean() / 255 < 0.3  # two deviations above the mean of real nights
        else:
            assert line.prompt.startswith(('In a foggy day, ', 'In thick fog, '))
            assert line.image_prompt is None
    assert len({line.seed for line in lines}) == len({*contents(out).values()}) - 2 == 12
    captions = Counter((line.source_id, line.caption) for line in lines)
    assert set(captions.values()) == {2}


def test_a_student_reads_what_was_written_and_weighs_it_by_trust(unkilled, index):
    out, _ = unkilled
    lines = read_manifest(out)
    pictures = TranslatedPictures(out, lines, weight_by='trust', only_accepted=False)
    frame = IndexLine(**{**json.loads((index / 'train.jsonl').read_text().splitlines()[2])})
    assert pictures.conditions_of(frame) == {'night', 'fog'}
    seen = pictures.read(frame, 'fog', (24, 40), np.random.default_rng(0))
    (line,) = [line for line in lines if line.path == f'fog/{frame.id}.png']
    assert seen.weight == line.scores['trust']
    np.testing.assert_array_equal(
        seen.picture, cv2.imread(str(out / line.path), cv2.IMREAD_COLOR_RGB)
    )


def test_killed_at_random_points_it_leaves_the_bytes_of_an_unkilled_run(
    run, config, index, unkilled, tmp_path
):
    whole, events = unkilled
    expected = contents(whole)
    options = ('--config', config, '--index', index, '--out', tmp_path)
    rng = random.Random(0)
    made = 0
    for _ in range(NUM_KILLS):
        # Anywhere in what is left to do, which is a little more than its share of the whole run.
        left = events * (12 - made) // 12
        status, words = run(*options, die_at=rng.randrange(1, left))
        assert status == -9, words
        lines = read_manifest(tmp_path) if (tmp_path / 'manifest.jsonl').exists() else []
        assert made <= len(lines) <= 12
        made = len(lines)
        for line in lines:
            assert (tmp_path / line.path).read_bytes() == expected[line.path]
        if made == 12:  # killed behind the last line
            break
    assert made > 0
    status, words = run(*options)
    assert status == 0, words
    assert (f'{12 - made} pictures in' if made < 12 else 'nothing missing') in words
    assert contents(tmp_path) == expected


def test_what_is_made_is_not_made_again_and_a_condition_may_be_added(
    run, config, index, unkilled, tmp_path
):
    whole, _ = unkilled
    out = shutil.copytree(whole, tmp_path / 'out')
    options = ('--config', config, '--index', index, '--out', out)
    status, words = run(*options)
    assert (status, 'nothing missing' in words) == (0, True)
    assert contents(out) == contents(whole)
    status, words = run(*options, '--set', 'conditions.snow={}')
    assert status == 0, words
    lines = read_manifest(out)
    assert Counter(line.condition for line in lines) == {'night': 6, 'fog': 6, 'snow': 6}
    captions = {(line.source_id, line.caption) for line in lines}
    assert len(captions) == 6  # those of the first run
    status, words = run(*options, '--set', 'diffusion.num_inference_steps=3')
    assert status == 2
    assert 'another config or data set: conditions lack snow; diffusion.' in words
    assert 'diffusion.num_inference_steps 2 -> 3' in words


def test_workers_of_ray_make_the_same_bytes(run, config, index, unkilled, tmp_path):
    pytest.importorskip('ray')
    before = ray_processes()
    options = ('--config', config, '--index', index, '--out', tmp_path)
    status, words = run(*options, '--ray', '--num-workers', 2)
    assert status == 0, words
    assert contents(tmp_path) == contents(unkilled[0])
    # Workers take their leave one after the other.
    end = time.monotonic() + 60
    while ray_processes() - before and time.monotonic() < end:
        time.sleep(0.5)
    assert ray_processes() <= before


def ray_processes():
    """Give the ids of Ray's servers and workers that live."""
    import psutil

    return {
        process.pid
        for process in psutil.process_iter(['cmdline', 'status'])
        if process.info['status'] != psutil.STATUS_ZOMBIE
        and re.search('^ray::|ray/core/src/ray/', ' '.join(process.info['cmdline'] or ()))
    }


def test_bad_sources_are_named_and_tried_again(run, procedural, make_index, tmp_path):
    index = make_index(tmp_path / 'data')
    whole = {name: (tmp_path / 'data' / name).read_bytes() for name in ('1.png', '2.png')}
    (tmp_path / 'data' / '1.png').write_bytes(whole['1.png'][:40])
    (tmp_path / 'data' / '2.png').unlink()
    out = tmp_path / 'out'
    options = ('--config', procedural, '--index', index, '--out', out)
    status, words = run(*options)
    assert status == 1, words
    assert '2 of unreadable files' in words
    failures = [json.loads(line) for line in (out / 'failures.jsonl').open()]
    assert [(failure['source_id'], failure['unreadable']) for failure in failures] == [
        ('frame-1', True),
        ('frame-2', True),
    ]
    assert '1.png is no picture or a damaged one' in failures[0]['reason']
    assert '2.png' in failures[1]['reason']
    assert [line.source_id[-1] for line in read_manifest(out)] == ['0', '3', '4', '5']
    for name, data in whole.items():
        (tmp_path / 'data' / name).write_bytes(data)
    status, words = run(*options)
    assert status == 0, words
    assert len(read_manifest(out)) == 6
    assert not (out / 'failures.jsonl').exists()
    (line, *_) = read_manifest(out)
    assert (line.translator, line.caption, line.prompt) == ('procedural', 'a street', None)
    assert line.models['depth'] == line.models['gate']


def test_a_damaged_photograph_is_named_and_its_pictures_are_tried_again(
    run, config, index, tmp_path
):
    nights = yaml.safe_load(config.read_text())['conditions']['night']['image_prompts']
    shutil.copytree(nights, tmp_path / 'nights')
    whole = (tmp_path / 'nights' / 'a.png').read_bytes()
    (tmp_path / 'nights' / 'a.png').write_bytes(whole[:40])
    out = tmp_path / 'out'
    shown = f'conditions.night.image_prompts={tmp_path / "nights"}'
    options = ('--config', config, '--index', index, '--out', out, '--set', shown)
    status, words = run(*options)
    assert status == 1, words
    failures = [json.loads(line) for line in (out / 'failures.jsonl').open()]
    assert failures
    assert all('a.png is no picture or a damaged one' in one['reason'] for one in failures)
    assert f'0 unusable, {len(failures)} of unreadable files' in words
    assert len(read_manifest(out)) == 12 - len(failures)
    (tmp_path / 'nights' / 'a.png').write_bytes(whole)
    status, words = run(*options)
    assert status == 0, words
    assert [line.image_prompt for line in read_manifest(out)[12 - len(failures) :]] == [
        'a.png' for _ in failures
    ]
    assert len(read_manifest(out)) == 12
    assert not (out / 'failures.jsonl').exists()


def arguments(config, index, out, *more):
    return ['--config', str(config), '--index', str(index), '--out', str(out), *more]


def test_a_dry_run_counts_and_foretells_and_writes_nothing(
    config, index, unkilled, tmp_path, capsys
):
    dry = ('--dry-run', '--seconds-per-picture', '600')
    assert translate.main(arguments(config, index, tmp_path / 'new', *dry)) == 0
    words = capsys.readouterr().out
    rows = [line.split() for line in words.splitlines()]
    assert rows[1:4] == [
        ['night', '6', '0', '0', '6'],
        ['fog', '6', '0', '0', '6'],
        ['all', '12', '0', '0', '12'],
    ]
    assert 'time: 2.0 h at 600 s a picture' in words
    assert 'disk: 0.00 GB needed (at most)' in words
    assert 'models: 0 missing\n' in words
    assert not (tmp_path / 'new').exists()
    more = ('--dry-run', '--set', 'variants=1', '--set', 'conditions.snow={}')
    assert translate.main(arguments(config, index, unkilled[0], *more)) == 0
    words = capsys.readouterr().out
    assert ['snow', '6', '0', '0', '6'] in [line.split() for line in words.splitlines()]
    assert ['all', '18', '12', '0', '6'] in [line.split() for line in words.splitlines()]
    assert 'time: unknown; give --seconds-per-picture' in words
    assert 'like those there' in words


def test_pictures_of_another_data_set_are_refused(config, make_index, unkilled, tmp_path):
    other = make_index(tmp_path / 'other')  # of the same ids
    with pytest.raises(ValueError, match=r'another config or data set: data.root .*/other'):
        translate.main(arguments(config, other, unkilled[0], '--dry-run'))


def test_frames_that_are_not_clear_are_no_sources(config, index, tmp_path):
    with pytest.raises(ValueError, match='split test of .* has no day-clear frame to translate'):
        translate.main(arguments(config, index, tmp_path, '--split', 'test'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (('--num-workers', '2'), '--num-workers must be >= 1 and with --ray, got 2'),
        (('--num-workers', '0', '--ray'), '--num-workers must be >= 1 and with --ray, got 0'),
        (('--device', 'cuda:1', '--ray'), "--device must be cpu or cuda with --ray, got 'cuda:1'"),
        (('--set', 'batch_size=0'), 'batch_size must be >= 1, got 0'),
        (('--set', 'conditions.day-clear={}'), 'frames are clear already'),
        (('--index', 'nowhere'), 'index not found at nowhere/train.jsonl'),
    ],
)
def test_what_makes_no_sense_is_refused(config, index, tmp_path, options, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        translate.main(arguments(config, index, tmp_path / 'out', *options))
    assert not (tmp_path / 'out').exists()


def test_a_recording_has_no_exact_depth(procedural, index, tmp_path):
    options = ('--set', 'depth.kind=exact')
    with pytest.raises(ValueError, match=r'6 of 6 have none, .* frame-0; set depth.kind to onnx'):
        translate.main(arguments(procedural, index, tmp_path / 'out', *options))
    assert not (tmp_path / 'out').exists()


def test_without_ray_the_command_to_install_it_is_named(config, index, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'ray', None)
    with pytest.raises(ValueError, match=r"not installed: pip install 'ray\[data\]'"):
        translate.main(arguments(config, index, tmp_path, '--ray'))


MISSING = ('diffusion.model', 'captioner.model', 'depth.model')


def test_missing_models_are_named_at_once_and_leave_no_picture(run, config, index, tmp_path):
    options = ['--config', config, '--index', index, '--out', tmp_path]
    for field in MISSING:
        options += ['--set', f'{field}=/nowhere/{field}']
    status, words = run(*options)
    assert status == 2
    assert 'FileNotFoundError: models: 3 missing\n' in words
    assert all(f'/nowhere/{field} is not on this machine' in words for field in MISSING)
    assert sorted(contents(tmp_path)) == ['config.yaml']
    status, words = run(*options, '--dry-run')
    assert status == 0
    assert 'models: 3 missing\n' in words
    assert all(f'/nowhere/{field} is not on this machine' in words for field in MISSING)
