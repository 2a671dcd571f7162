import contextlib
import json
import os
from pathlib import Path
import resource
import subprocess
import sys

import pytest

pytest.importorskip('cv2')
yaml = pytest.importorskip('yaml')

from ssd_depth_core.data.manifest import append_manifest, ManifestLine, read_manifest  # noqa: E402
from ssd_depth_core.gdt.output_folder import made_so_far, open_output, unusable_so_far  # noqa: E402
from ssd_depth_core.gdt.pipeline import Failure, Made  # noqa: E402

CONFIG = {'seed': 1, 'size': [8, 8], 'conditions': {'night': {'strength': 1.0, 'phrases': ['x']}}}


def made(name, png=b'picture', accepted=True):
    line = ManifestLine(
        source_id=name,
        condition='night',
        path=f'night/{name}.png',
        translator='x',
        seed=1,
        accepted=accepted,
    )
    return Made(line=line, png=png)


def failure(name, unreadable=True, reason='cut'):
    return Failure(
        source_id=name,
        condition='night',
        path=f'night/{name}.png',
        unreadable=unreadable,
        reason=reason,
    )


@contextlib.contextmanager
def file_limit(max_bytes):
    """No file may grow beyond; Python gets an error and no signal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*.*'))


def test_pictures_lie_there_with_their_lines_and_the_next_run_sees_them(tmp_path):
    out = tmp_path / 'deep' / 'out'
    with open_output(out, CONFIG) as folder:
        assert folder.lines == []
        folder.add([made('a'), made('b', b'other', accepted=False)])
        folder.add([])
    assert read_manifest(out) == [made('a').line, made('b', accepted=False).line]
    assert (out / 'night' / 'b.png').read_bytes() == b'other'
    assert yaml.safe_load((out / 'config.yaml').read_text()) == CONFIG
    assert files(out) == [
        '.lock',
        'config.yaml',
        'manifest.jsonl',
        'night/a.png',
        'night/b.png',
    ]
    with open_output(out, CONFIG) as folder:
        assert [line.source_id for line in folder.lines] == ['a', 'b']


def test_what_a_kill_left_counts_for_nothing(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('a')])
    (tmp_path / 'night' / '.b.png.partial').write_bytes(b'hal')
    (tmp_path / 'night' / 'c.png').write_bytes(b'no line')
    with (tmp_path / 'manifest.jsonl').open('a') as file:
        file.write('{"schema_version": 1, "source_id": "d"')
    with open_output(tmp_path, CONFIG) as folder:
        assert folder.lines == [made('a').line]
        folder.add([made('c', b'with a line')])
    assert files(tmp_path / 'night') == ['a.png', 'c.png']
    assert (tmp_path / 'night' / 'c.png').read_bytes() == b'with a line'
    assert [line.source_id for line in read_manifest(tmp_path)] == ['a', 'c']


def test_a_manifest_without_a_first_line_is_a_beginning(tmp_path):
    (tmp_path / 'manifest.jsonl').touch()
    with open_output(tmp_path, CONFIG) as folder:
        assert folder.lines == []


def test_failures_are_listed(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.note([])
        assert not (tmp_path / 'failures.jsonl').exists()
        folder.note([failure('a')])
        folder.note([failure('b'), failure('c')])
    lines = [json.loads(line) for line in (tmp_path / 'failures.jsonl').open()]
    assert [line['source_id'] for line in lines] == ['a', 'b', 'c']
    assert lines[0]['reason'] == 'cut'


def test_unusable_pictures_are_remembered_and_unreadable_files_are_not(tmp_path):
    unusable = [failure(name, unreadable=False) for name in 'bc']
    with open_output(tmp_path, CONFIG) as folder:
        assert folder.unusable == frozenset()
        folder.add([made('x')])
        photograph = failure('p', unreadable=False, reason='image prompt: a.png is no picture')
        folder.note([failure('a'), *unusable, photograph])
    with (tmp_path / 'failures.jsonl').open('a') as file:
        file.write('{"source_id": "d", "unreadab')  # killed
    for _ in range(2):
        with open_output(tmp_path, CONFIG) as folder:
            assert folder.unusable == {'night/b.png', 'night/c.png'}
            assert unusable_so_far(tmp_path, folder.lines) == unusable
    with open_output(tmp_path, CONFIG, retry_failures=True) as folder:
        assert folder.unusable == frozenset()
        assert not (tmp_path / 'failures.jsonl').exists()


def test_what_another_config_could_not_make_is_tried(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.note([failure('a', unreadable=False)])
    with open_output(tmp_path, {**CONFIG, 'seed': 2}) as folder:
        assert folder.unusable == frozenset()


def test_pictures_of_another_config_are_refused_by_the_fields_that_differ(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('a')])
    other = {**CONFIG, 'seed': 2, 'size': None}
    message = (
        r'of another config or data set: seed 1 -> 2; size \[8, 8\] -> None; set that back, or '
        'choose another --out'
    )
    with pytest.raises(ValueError, match=message):
        made_so_far(tmp_path, other)
    with pytest.raises(ValueError, match=message), open_output(tmp_path, other):
        pass
    changed = {**CONFIG, 'conditions': {'night': {'strength': 0.5, 'phrases': ['x']}}}
    with pytest.raises(ValueError, match=r'conditions.night.strength 1.0 -> 0.5'):
        made_so_far(tmp_path, changed)
    with pytest.raises(ValueError, match=r': conditions lack night; set that back'):
        made_so_far(tmp_path, {**CONFIG, 'conditions': {'fog': {'strength': 1.0}}})
    assert yaml.safe_load((tmp_path / 'config.yaml').read_text()) == CONFIG


def test_conditions_may_be_added(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('a')])
    more = {**CONFIG, 'conditions': {**CONFIG['conditions'], 'fog': {'strength': 1.0}}}
    with open_output(tmp_path, more) as folder:
        assert len(folder.lines) == 1
    assert yaml.safe_load((tmp_path / 'config.yaml').read_text()) == more


def test_fewer_conditions_are_refused_by_their_names_alone(tmp_path):
    names = ('night', 'fog', 'snow')
    numbers = {'strength': 1.0, 'phrases': ['a', 'b'], 'exposure': {'spread': 0.25}}
    more = {
        **CONFIG,
        'conditions': dict.fromkeys(names, numbers),
        'data': {'image_prompts': {name: {'number': 3} for name in names}},
    }
    with open_output(tmp_path, more) as folder:
        folder.add([made('a')])
    fewer = {**more, 'conditions': {'night': numbers}}
    fewer['data'] = {'image_prompts': {'night': {'number': 3}}}
    message = (
        'holds pictures of another config or data set: conditions lack fog, snow; set that back, '
        'or choose another --out$'
    )
    with pytest.raises(ValueError, match=message):
        made_so_far(tmp_path, fewer)
    with pytest.raises(ValueError, match=r': conditions lack fog, snow; seed 1 -> 2; set that'):
        made_so_far(tmp_path, {**fewer, 'seed': 2})


def test_a_photograph_more_is_refused_and_those_of_an_added_condition_are_not(tmp_path):
    def shown(**numbers):
        records = {name: {'number': number} for name, number in numbers.items()}
        conditions = {name: {'strength': 1.0} for name in numbers}
        return {'conditions': conditions, 'data': {'image_prompts': records}}

    with open_output(tmp_path, shown(night=3)) as folder:
        folder.add([made('a')])
    with pytest.raises(ValueError, match=r': data.image_prompts.night.number 3 -> 4; set that'):
        made_so_far(tmp_path, shown(night=4))
    assert len(made_so_far(tmp_path, shown(night=3, fog=5))) == 1


MEMORY = (
    'diffusion.cpu_offload',
    'diffusion.vae_slicing',
    'diffusion.vae_tiling',
    'diffusion.attention_slicing',
    'captioner.batch_size',
    'depth.batch_size',
)


@pytest.mark.parametrize('field', MEMORY)
def test_what_saves_memory_alone_may_change_and_is_said(tmp_path, caplog, field):
    part, name = field.split('.')
    with open_output(tmp_path, {**CONFIG, part: {name: 8}}) as folder:
        folder.add([made('a')])
    with open_output(tmp_path, {**CONFIG, part: {name: 1}}) as folder:
        assert len(folder.lines) == 1
    assert f'going on with {field} 8 -> 1; last bits may differ' in caplog.text
    assert yaml.safe_load((tmp_path / 'config.yaml').read_text())[part] == {name: 1}


def test_another_make_up_of_batches_is_refused_with_the_reason(tmp_path):
    with open_output(tmp_path, {**CONFIG, 'batch_size': 8}) as folder:
        folder.add([made('a')])
    message = r'batch_size 8 -> 4; set that back, .* which frames share a batch.*cpu_offload'
    with pytest.raises(ValueError, match=message):
        made_so_far(tmp_path, {**CONFIG, 'batch_size': 4})


def test_a_folder_without_pictures_may_change_its_config(tmp_path):
    with open_output(tmp_path, CONFIG):
        pass
    with open_output(tmp_path, {**CONFIG, 'seed': 2}) as folder:
        assert folder.lines == []


def test_pictures_without_a_config_are_refused(tmp_path):
    append_manifest(tmp_path, [made('a').line])
    with pytest.raises(FileNotFoundError, match='config of the pictures not found'):
        made_so_far(tmp_path, CONFIG)


def test_a_picture_that_is_gone_is_named(tmp_path):
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('a'), made('b')])
    (tmp_path / 'night' / 'a.png').unlink()
    with pytest.raises(FileNotFoundError, match=r'night/a.png is gone, and the manifest'):
        made_so_far(tmp_path, CONFIG)


def test_two_runs_at_once_are_refused_and_a_killed_one_is_not_in_the_way(tmp_path):
    code = (
        'import sys, time; from pathlib import Path\n'
        'from ssd_depth_core.gdt.output_folder import open_output\n'
        f'with open_output(Path(sys.argv[1]), {CONFIG!r}):\n'
        '    print("inside", flush=True); time.sleep(60)'
    )
    command = [sys.executable, '-c', code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == 'inside\n'
        with (
            pytest.raises(BlockingIOError, match='another run is writing to'),
            open_output(tmp_path, CONFIG),
        ):
            pass
        made_so_far(tmp_path, CONFIG)  # looking is free
        other.kill()
        other.wait()
        with open_output(tmp_path, CONFIG) as folder:
            folder.add([made('a')])


@pytest.mark.parametrize('full_at', ['picture', 'manifest'])
def test_a_full_disk_is_named_and_what_was_added_before_is_whole(tmp_path, full_at):
    """A limit on a file's size stops a write half-way, as a full disk does."""
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('a')])
    line_bytes = (tmp_path / 'manifest.jsonl').stat().st_size
    limit, png = {'picture': (2000, b'x' * 3000), 'manifest': (line_bytes + 20, b'y')}[full_at]
    message = f'nothing can be written to {tmp_path} .File too large.; make room and run'
    with (
        open_output(tmp_path, CONFIG) as folder,
        pytest.raises(OSError, match=message),
        file_limit(limit),
    ):
        folder.add([made('b', b'z'), made('c', png)])
    assert made_so_far(tmp_path, CONFIG) == [made('a').line]
    assert not [name for name in files(tmp_path) if name.endswith('.partial')]
    with open_output(tmp_path, CONFIG) as folder:
        folder.add([made('b', b'z'), made('c', png)])
    assert [line.source_id for line in read_manifest(tmp_path)] == ['a', 'b', 'c']


def test_a_full_disk_is_named_where_failures_and_the_config_are_written_too(tmp_path):
    message = f'nothing can be written to {tmp_path} .File too large.; make room and run'
    with open_output(tmp_path, CONFIG) as folder:
        with pytest.raises(OSError, match=message), file_limit(50):
            folder.note([failure('a')])
        folder.add([made('b')])
    with pytest.raises(OSError, match=message), file_limit(50), open_output(tmp_path, CONFIG):
        pass
    with open_output(tmp_path, CONFIG) as folder:
        assert folder.lines == [made('b').line]


def test_no_power_cut_leaves_a_line_without_its_picture_or_config(tmp_path, monkeypatch):
    """Each name is on the disk before what counts on it is written."""
    synced = []
    monkeypatch.setattr(
        os,
        'fsync',
        lambda file: synced.append(
            str(Path(os.readlink(f'/proc/self/fd/{file}')).relative_to(tmp_path))
        ),
    )
    with open_output(tmp_path, CONFIG) as folder:
        assert synced == ['.config.yaml.partial', '.']
        synced.clear()
        folder.add([made('a'), made('b')])
    assert synced == [
        *('night/.a.png.partial', 'night/.b.png.partial', 'night', '.'),
        *('manifest.jsonl', '.'),
    ]
