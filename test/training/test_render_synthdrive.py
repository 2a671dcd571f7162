from dataclasses import replace
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import psutil
import pytest
from ssd_depth_core.conditions import condition_of, RENDERED_CONDITIONS
from ssd_depth_core.config import from_dict, load_yaml
from ssd_depth_core.data.nuscenes import NuScenes, read_lidar
from ssd_depth_core.exact_depth import decode_exact_depth

from training.render_synthdrive import DESCRIPTIONS, main, PRESETS, RenderConfig

ROOT = Path(__file__).parents[2]
CONFIG = """
seed: 4
duration_s: 0.1
channels: [CAM_FRONT]
conditions: [day-clear, night]
image_height: 24
image_width: 40
lidar_hz: 10
"""
SETS = ('num_streets=3', 'num_validation_streets=1', 'num_test_streets=1')


@pytest.fixture
def config_path(tmp_path):
    path = tmp_path / 'config.yaml'
    path.write_text(CONFIG)
    return path


def command(config_path, out, *sets, options=()):
    changes = [word for item in sets for word in ('--set', item)]
    return [
        *('--config', str(config_path), '--out', str(out), '--device', 'cpu'), *changes, *options
    ]  # fmt: skip


def files_of(root):
    """Every file's bytes but the commits, which may go on while the tests run."""
    files = {p.relative_to(root): p.read_bytes() for p in root.rglob('*') if p.is_file()}
    record = json.loads(files.pop(Path('synthdrive.json')))
    assert len(record.pop('commits')) >= 1
    return files, record


def test_streets_are_rendered_in_every_condition(tmp_path, config_path, capsys):
    out = tmp_path / 'set'
    assert main(command(config_path, out, options=('--seed', '7'))) == 0
    assert f'2 scenes -> {out}' in capsys.readouterr().out
    data = NuScenes(out)
    day, night = data.scenes
    assert (day.name, night.name) == ('street-0007-day-clear', 'street-0007-night')
    assert 'night' in night.description
    records = data.records(day), data.records(night)
    kinds = [[(r.channel, r.timestamp_us) for r in scene] for scene in records]
    assert kinds[0] == kinds[1]
    assert sorted(channel for channel, _ in kinds[0]) == ['CAM_FRONT', 'LIDAR_TOP']
    for a, b in zip(*records, strict=True):
        np.testing.assert_array_equal(a.T_world_ego, b.T_world_ego)
        if a.modality == 'lidar':
            assert len(read_lidar(a.path)) > 1000
            continue
        depth_a, depth_b = (
            cv2.imread(
                str(out / 'exact_depth' / r.channel / f'{r.path.stem}.png'), cv2.IMREAD_UNCHANGED
            )
            for r in (a, b)
        )
        np.testing.assert_array_equal(depth_a, depth_b)
        assert 1 < np.median(decode_exact_depth(depth_a)) < 60
        # The same street, darker.
        assert cv2.imread(str(b.path)).mean() < 0.7 * cv2.imread(str(a.path)).mean()
    assert (out / 'can_bus' / 'street-0007-night_pose.json').is_file()


def test_killed_rendering_goes_on_to_the_same_bytes(tmp_path, config_path):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    sets = (*SETS, 'conditions=[night]')
    assert main(command(config_path, whole, *sets)) == 0
    arguments = command(config_path, killed, *sets, 'num_workers=2')
    process = subprocess.Popen(
        [sys.executable, '-m', 'training.render_synthdrive', *arguments],
        cwd=ROOT, env={**os.environ, 'PYTHONPATH': str(ROOT)}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list((killed / '.scenes').glob('*.json')):
        assert process.poll() is None
        time.sleep(0.01)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(workers) >= 2
    assert psutil.wait_procs(workers, timeout=20)[1] == []  # none outlives its parent
    done = {path.stem: path.stat().st_mtime_ns for path in (killed / '.scenes').glob('*.json')}
    assert 1 <= len(done) < 3
    assert not (killed / 'v1.0-synth').exists()

    before = {path: path.stat().st_mtime_ns for path in killed.rglob('*.bin')}
    assert main(arguments) == 0
    assert files_of(killed) == files_of(whole)
    kept = [path for path in before if path.name.split('__')[0] in done]
    assert len(kept) == len(done)  # a sweep each, not rendered again
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)

    # Complete now: nothing is left to do.
    table = killed / 'v1.0-synth' / 'scene.json'
    written = table.stat().st_mtime_ns
    assert main(arguments) == 0
    assert table.stat().st_mtime_ns == written


def test_streets_are_parted_and_seeds_recorded(tmp_path, config_path):
    out = tmp_path / 'set'
    assert main(command(config_path, out, *SETS, 'conditions=[fog, snow]', 'lidar_hz=0')) == 0
    splits = json.loads((out / 'splits.json').read_text())
    expected = {4: 'train', 5: 'validation', 6: 'test'}
    assert splits == {
        'schema_version': 1,
        'splits': {
            f'street-{seed:04d}-{condition}': split
            for seed, split in expected.items()
            for condition in ('fog', 'snow')
        },
    }
    record = json.loads((out / 'synthdrive.json').read_text())
    assert (record['format'], record['device']) == ('nuscenes', 'cpu')
    assert record['seeds']['street-0006-snow'] == 6
    assert record['config']['image_width'] == 40
    assert record['config']['jpeg_quality'] == 90  # resolved: not in the file


def test_streets_to_train_on_may_have_clear_days_alone(tmp_path, config_path):
    out = tmp_path / 'set'
    limits = ('train_conditions=[day-clear]', 'lidar_hz=0')
    assert main(command(config_path, out, *SETS, *limits)) == 0
    splits = json.loads((out / 'splits.json').read_text())['splits']
    assert set(splits) == {
        'street-0004-day-clear',
        *(f'street-{seed:04d}-{name}' for seed in (5, 6) for name in ('day-clear', 'night')),
    }


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (('--set', 'duration_s=0.2'), 'duration_s 0.1 there, 0.2 here'),
        (('--seed', '5'), 'seed 4 there, 5 here'),
        (('--format', 'robotcar'), "format 'nuscenes' there, 'robotcar' here"),
    ],
)
def test_another_config_may_not_go_on(tmp_path, config_path, change, message):
    sets = ('conditions=[night]',)
    assert main(command(config_path, tmp_path / 'set', *sets)) == 0
    before = files_of(tmp_path / 'set')
    with pytest.raises(ValueError, match=message):
        main(command(config_path, tmp_path / 'set', *sets, options=change))
    assert files_of(tmp_path / 'set') == before


def test_drives_are_not_mixed_with_other_data(tmp_path, config_path):
    views = tmp_path / 'views'
    views.mkdir()
    (views / 'frames.jsonl').write_text('{}\n')
    with pytest.raises(ValueError, match='views must be new, empty or a set of drives'):
        main(command(config_path, views, 'conditions=[night]'))
    assert [path.name for path in views.iterdir()] == ['frames.jsonl']


def test_what_robotcars_rig_gives_cannot_be_set(tmp_path, config_path):
    arguments = command(config_path, tmp_path, 'lidar_hz=0', options=('--format', 'robotcar'))
    with pytest.raises(ValueError, match='--set lidar_hz=0 has no effect with --format robotcar'):
        main(arguments)


def test_robotcar_format_drives_with_robotcars_rig(tmp_path, config_path):
    out = tmp_path / 'set'
    arguments = command(config_path, out, 'duration_s=0.2', options=('--format', 'robotcar'))
    assert main(arguments) == 0
    record = json.loads((out / 'synthdrive.json').read_text())
    assert (record['config']['rig'], record['config']['image_height']) == ('robotcar', 30)
    for condition in ('day-clear', 'night'):
        folder = out / f'street-0004-{condition}'
        assert len(list((folder / 'stereo' / 'left').glob('*.png'))) == 3
        assert len(list((folder / 'lms_front').glob('*.bin'))) == 10
    assert set(json.loads((out / 'splits.json').read_text())['splits'].values()) == {'train'}
    before = files_of(out)
    assert main(arguments) == 0
    assert files_of(out) == before


def test_descriptions_tell_the_condition():
    assert {c: condition_of(description) for c, description in DESCRIPTIONS.items()} == {
        condition: condition for condition in RENDERED_CONDITIONS
    }


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'num_streets': 0}, 'num_streets and num_workers must be >= 1, got 0 and 1'),
        ({'num_workers': 0}, 'num_streets and num_workers must be >= 1, got 1 and 0'),
        ({'num_test_streets': -1}, 'must be >= 0'),
        ({'num_streets': 3, 'num_validation_streets': 2, 'num_test_streets': 2}, '2 and 2 of 3'),
        ({'jpeg_quality': 101}, 'jpeg_quality must be in'),
        ({'conditions': ()}, 'one or more, each once'),
        ({'conditions': ('night', 'night')}, 'one or more, each once'),
        ({'train_conditions': ()}, 'one or more of conditions'),
        ({'conditions': ('fog',), 'train_conditions': ('night',)}, "must be .* \\('fog',\\), got"),
        ({'duration_s': 0.0}, 'times must be positive'),
        ({'camera_hz': 1.0}, 'camera_hz and lidar_hz must be >= 2: .* got 1.0 and None'),
        ({'lidar_hz': 1.9}, 'got None and 1.9'),
    ],
)
def test_config_out_of_range_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        RenderConfig(**{'seed': 0, 'duration_s': 1.0, **fields})


def test_low_sun_is_no_condition_to_render():
    with pytest.raises(ValueError, match="conditions must be one of day-clear, .*, got 'low-sun'"):
        from_dict(RenderConfig, {'seed': 0, 'duration_s': 1.0, 'conditions': ['low-sun']}, 'test')


def test_presets_hold_out_streets_that_nobody_else_has():
    presets = {path.stem: load_yaml(RenderConfig, path) for path in PRESETS.glob('*.yaml')}
    assert set(presets) == {'tiny', 'small', 'large', 'teachers'}
    seeds = [seed for c in presets.values() for seed in range(c.seed, c.seed + c.num_streets)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) > 100_001  # beyond the cities of the training sets and of the demo
    for config in presets.values():
        held_out = config.num_validation_streets, config.num_test_streets
        assert min(held_out) >= 1
        assert sum(held_out) < config.num_streets
    assert presets['small'].conditions == presets['large'].conditions == RENDERED_CONDITIONS
    assert len(presets['large'].mounts().cameras) == 6


def test_unknown_preset_is_named(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(['--preset', 'huge', '--out', str(tmp_path)])
    assert 'must be one of large, small, teachers, tiny, got huge' in capsys.readouterr().err


def test_demos_config_is_valid():
    config = load_yaml(RenderConfig, ROOT / 'config/data/demo_drive.yaml')
    assert replace(config, seed=1).num_streets == 1
