from dataclasses import replace
import errno
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest
from ssd_depth_core.runtime import engine_cache
from ssd_depth_core.runtime.engine_cache import default_folder, EngineCache, EngineKey

KEY = EngineKey(
    engine='network',
    onnx_sha256='0' * 64,
    library='tensorrt 10.3.0',
    gpu='Orin',
    compute_capability='8.7',
    cuda='12.6',
    shapes={'image': [[1, 3, 6, 8], [1, 3, 6, 8], [2, 3, 6, 8]]},
    options={'max_batch': 2, 'mean': [0.5, 0.5, 0.5]},
)
PLAN = b'machine code'


def load(plan):
    if not plan.startswith(b'machine'):
        raise ValueError('not a plan')
    return plan.decode()


class Builder:
    """Count the builds, and tell which it was."""

    def __init__(self):
        self.num_builds = 0

    def __call__(self):
        self.num_builds += 1
        return PLAN


@pytest.fixture
def builder():
    return Builder()


@pytest.fixture
def cache(tmp_path):
    return EngineCache(tmp_path / 'cache')


def paths(cache, key=KEY):
    plan = cache.folder / f'{key.digest}.plan'
    return plan, plan.with_suffix('.json')


def test_the_second_time_nothing_is_built(cache, builder):
    assert [cache.obtain(KEY, builder, load) for _ in range(3)] == ['machine code'] * 3
    assert builder.num_builds == 1
    assert {path.name for path in cache.folder.iterdir()} == {
        *(path.name for path in paths(cache)),
        'lock',
    }


@pytest.mark.parametrize(
    'change',
    [
        {'engine': 'pictures'},
        {'onnx_sha256': '1' * 64},
        {'onnx_sha256': None},
        {'library': 'tensorrt 10.3.1'},
        {'gpu': 'Thor'},
        {'compute_capability': '11.0'},
        {'cuda': '13.0'},
        {'shapes': {'image': [[1, 3, 6, 8], [1, 3, 6, 8], [3, 3, 6, 8]]}},
        {'options': {'max_batch': 2, 'mean': [0.5, 0.5, 0.4]}},
    ],
)
def test_whatever_a_plan_depends_on_makes_another_key(cache, builder, change):
    cache.obtain(KEY, builder, load)
    cache.obtain(replace(KEY, **change), builder, load)
    assert builder.num_builds == 2


def test_the_side_car_says_what_was_built(cache, builder):
    cache.obtain(KEY, builder, load)
    (entry,) = cache.entries()
    assert EngineKey(**entry.key) == KEY
    assert entry.num_bytes == len(PLAN)
    assert entry.plan == paths(cache)[0]


def damage_plan(plan, note):
    plan.write_bytes(b'machine cod3')


def cut_plan(plan, note):
    plan.write_bytes(PLAN[:5])


def empty_plan(plan, note):
    plan.write_bytes(b'')


def cut_note(plan, note):
    note.write_text(note.read_text()[:20])


def foreign_note(plan, note):
    values = json.loads(note.read_text())
    note.write_text(json.dumps(values | {'key': values['key'] | {'gpu': 'Thor'}}))


def strange_note(plan, note):
    note.write_text('[]')


def open_to_all(plan, note):
    plan.chmod(0o666)


def folder_instead(plan, note):
    plan.unlink()
    plan.mkdir()
    plan.rmdir()
    plan.symlink_to('/')


@pytest.mark.parametrize(
    'spoil',
    [
        *(damage_plan, cut_plan, empty_plan, cut_note, foreign_note, strange_note),
        *(open_to_all, folder_instead),
    ],
)
def test_what_is_spoilt_is_built_again(cache, builder, caplog, spoil):
    cache.obtain(KEY, builder, load)
    spoil(*paths(cache))
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert builder.num_builds == 2
    assert caplog.text.count('is of no use') == 1
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert builder.num_builds == 2


@pytest.mark.parametrize('which', [0, 1])
def test_half_an_engine_is_built_again(cache, builder, which):
    cache.obtain(KEY, builder, load)
    paths(cache)[which].unlink()
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert builder.num_builds == 2


def test_a_plan_that_the_library_refuses_is_built_again_once(cache, builder):
    cache.obtain(KEY, lambda: b'of another library', bytes)
    assert cache.obtain(KEY, builder, load) == 'machine code'
    with pytest.raises(ValueError, match='not a plan'):
        cache.obtain(replace(KEY, gpu='Thor'), lambda: b'faulty', load)


def test_a_build_that_fails_leaves_nothing_and_blocks_nobody(cache, builder):
    with pytest.raises(ZeroDivisionError):
        cache.obtain(KEY, lambda: 1 // 0, load)
    assert cache.entries() == []
    assert cache.obtain(KEY, builder, load) == 'machine code'


def test_the_least_recently_used_engines_go_first(tmp_path, builder):
    cache = EngineCache(tmp_path, max_bytes=3 * len(PLAN))
    keys = [replace(KEY, gpu=f'GPU {number}') for number in range(4)]
    for age, key in zip((30, 20, 10), keys, strict=False):
        cache.obtain(key, builder, load)
        os.utime(paths(cache, key)[1], (time.time() - age,) * 2)
    cache.obtain(keys[0], builder, load)  # the oldest, used again
    cache.obtain(keys[3], builder, load)
    assert {entry.key['gpu'] for entry in cache.entries()} == {'GPU 0', 'GPU 2', 'GPU 3'}
    assert len(list(cache.folder.glob('*.plan'))) == 3


def test_an_engine_larger_than_the_bound_is_still_kept(tmp_path, builder):
    cache = EngineCache(tmp_path, max_bytes=1)
    for gpu in ('Orin', 'Thor'):
        cache.obtain(replace(KEY, gpu=gpu), builder, load)
    assert [entry.key['gpu'] for entry in cache.entries()] == ['Thor']


def test_leftovers_of_dead_writers_are_swept_up(cache, builder):
    cache.folder.mkdir()
    for name in ('a.plan', 'b.plan.part'):
        (cache.folder / name).write_bytes(PLAN)
    cache.obtain(KEY, builder, load)
    assert [path.name for path in cache.folder.glob('?.*')] == []


def test_the_folder_is_private_from_the_start(cache, builder):
    previous = os.umask(0)
    try:
        cache.obtain(KEY, builder, load)
    finally:
        os.umask(previous)
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o022 for path in cache.folder.iterdir()] == [0, 0, 0]


@pytest.mark.parametrize('mode', [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_refused(cache, builder, mode):
    cache.folder.mkdir()
    cache.folder.chmod(mode)
    message = f'engine cache .*cache belongs to user .* mode {mode:o}; .* `chmod go-w '
    with pytest.raises(PermissionError, match=message):
        cache.obtain(KEY, builder, load)
    assert builder.num_builds == 0
    cache.folder.chmod(mode & ~0o022)
    assert cache.obtain(KEY, builder, load) == 'machine code'


def test_a_folder_of_another_user_is_refused(cache, builder, monkeypatch):
    cache.obtain(KEY, builder, load)
    owner = cache.folder.stat().st_uid
    monkeypatch.setattr(os, 'geteuid', lambda: owner + 1)
    if owner == 0:  # root may do anything anyway, so its folders are trusted
        assert cache.obtain(KEY, builder, load) == 'machine code'
        os.chown(cache.folder, 12345, -1)
    with pytest.raises(PermissionError, match='belongs to user'):
        cache.obtain(KEY, builder, load)


def test_a_folder_that_cannot_be_made_costs_the_cache_alone(tmp_path, builder, caplog):
    (tmp_path / 'file').write_text('')
    cache = EngineCache(tmp_path / 'file' / 'cache')
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert 'cannot be written' in caplog.text
    strict = EngineCache(cache.folder, must_store=True)
    with pytest.raises(OSError, match='engine cache .* cannot be written .*; set XDG_CACHE_HOME'):
        strict.obtain(KEY, builder, load)
    assert builder.num_builds == 1  # and not minutes later


def test_a_disk_that_became_read_only_still_gives_engines(cache, builder, caplog, monkeypatch):
    cache.obtain(KEY, builder, load)

    def refuse(*arguments, **named):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, 'utime', refuse)
    monkeypatch.setattr(os, 'open', refuse)
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert (builder.num_builds, caplog.text) == (1, '')
    assert cache.obtain(replace(KEY, gpu='Thor'), builder, load) == 'machine code'
    assert 'Read-only file system' in caplog.text


def test_a_full_disk_costs_the_cache_alone(cache, builder, caplog, monkeypatch):
    def refuse(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, 'replace', refuse)
    assert cache.obtain(KEY, builder, load) == 'machine code'
    assert 'No space left on device' in caplog.text


def test_the_default_folder_follows_the_standard(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', '/var/cache/robot')
    assert str(default_folder()) == '/var/cache/robot/ssd_depth'
    for ignored in ('', 'relative'):
        monkeypatch.setenv('XDG_CACHE_HOME', ignored)
        assert default_folder() == tmp_path / '.cache' / 'ssd_depth'


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def refuse():
        raise RuntimeError('Could not determine home directory.')

    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.setattr(engine_cache.Path, 'home', refuse)
    with pytest.raises(ValueError, match='set HOME or XDG_CACHE_HOME'):
        EngineCache()


# Real processes from here on.


SLOW_BUILDER = """
import os, pathlib, sys, time
sys.path[:0] = sys.argv[3:]
from test_engine_cache import EngineCache, KEY, load, PLAN

folder, seconds = pathlib.Path(sys.argv[1]), float(sys.argv[2])

def build():
    with (folder / 'builds').open('a') as file:
        file.write('one ')
    time.sleep(seconds)
    return PLAN

assert EngineCache(folder).obtain(KEY, build, load) == 'machine code'
"""


@pytest.fixture
def start(tmp_path):
    """Start a process that wants an engine whose build takes some time."""
    processes = []

    def start(seconds):
        sources = (str(Path(__file__).parent), *sys.path)
        command = [sys.executable, '-c', SLOW_BUILDER, str(tmp_path), str(seconds), *sources]
        processes.append(subprocess.Popen(command))
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def builds(tmp_path):
    """Wait until a process builds."""

    def wait():
        deadline = time.monotonic() + 60
        while not (tmp_path / 'builds').exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    return wait


def test_two_processes_that_start_together_build_once(start, tmp_path):
    assert [process.wait(60) for process in [start(0.5), start(0.5)]] == [0, 0]
    assert (tmp_path / 'builds').read_text() == 'one '


def test_a_lock_of_a_dead_process_blocks_nobody(start, builds, tmp_path, builder):
    process = start(600)
    builds()
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert EngineCache(tmp_path).obtain(KEY, builder, load) == 'machine code'
    assert builder.num_builds == 1


def test_who_waits_for_another_says_so(start, builds, tmp_path, builder, caplog):
    start(1.0)
    builds()
    assert EngineCache(tmp_path).obtain(KEY, builder, load) == 'machine code'
    assert builder.num_builds == 0
    assert 'another process is building engines' in caplog.text


def test_a_full_gpu_is_no_fault_of_the_plan(cache):
    cache.obtain(KEY, lambda: PLAN, load)
    built = []

    def load_on_full_gpu(_):
        raise OSError('free memory of the GPU')

    with pytest.raises(OSError, match='free memory'):
        cache.obtain(KEY, lambda: built.append(1) or PLAN, load_on_full_gpu)
    assert not built
    assert cache.obtain(KEY, None, load) == load(PLAN)


def test_a_file_system_without_locks_is_a_folder_that_cannot_be_written(
    cache, monkeypatch, caplog
):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, 'No locks available')

    monkeypatch.setattr(engine_cache.fcntl, 'flock', no_locks)
    assert cache.obtain(KEY, lambda: PLAN, load) == load(PLAN)
    assert 'cannot be written' in caplog.text
    assert not cache.entries()
