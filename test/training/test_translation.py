from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip('cv2')

from ssd_depth_core.conditions import Condition
from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index
from ssd_depth_core.data.manifest import ManifestLine
from ssd_depth_core.gdt.captioner import CaptionConfig
from ssd_depth_core.gdt.condition_recipe import ConditionRecipe
from ssd_depth_core.gdt.depth_prior import DepthPriorConfig
from ssd_depth_core.gdt.diffusion_config import DiffusionConfig
from ssd_depth_core.gdt.image_prompts import ImagePrompts
from ssd_depth_core.gdt.jobs import plan_batches
from ssd_depth_core.gdt.output_folder import open_output
from ssd_depth_core.gdt.pipeline import Failure, Made
from ssd_depth_core.gdt.recipe import TranslateConfig

from training import _translation
from training._translation import check_exact_depth, describe, record_of, write_all

CONDITIONS: tuple[Condition, ...] = ('night', 'fog')


def batches_of(names):
    frames = [
        IndexLine(
            id=name,
            scene='scene',
            channel='CAM_FRONT',
            condition='day-clear',
            timestamp_us=0,
            image=f'{name}.png',
            size=(8, 8),
            K=((10.0, 0.0, 3.5), (0.0, 10.0, 3.5), (0.0, 0.0, 1.0)),
            speed_mps=None,
        )
        for name in names
    ]
    return plan_batches(frames, CONDITIONS, 1, 1, 0)


def test_frames_without_exact_depth_are_refused_before_the_run():
    frames = [batch.frames[0] for batch in batches_of('abc')]
    rendered = [replace(frame, exact_depth='depth.png') for frame in frames]
    check_exact_depth(rendered)
    message = '2 of 3 have none, the first being b; set depth.kind to onnx'
    with pytest.raises(ValueError, match=message):
        check_exact_depth([rendered[0], *frames[1:]])


def made_of(job, *reasons):
    line = ManifestLine(
        source_id=job.frame.id,
        condition=job.condition,
        path=job.path,
        translator='x',
        seed=job.seed,
        accepted=not reasons,
        reasons=reasons,
    )
    return Made(line=line, png=b'picture')


def failure_of(job):
    return Failure(
        source_id=job.frame.id,
        condition=job.condition,
        path=job.path,
        unreadable=False,
        reason='NaN',
    )


@pytest.fixture
def clock(monkeypatch):
    """Time that goes on when it is told to."""
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(_translation, 'time', clock)
    return clock


def results_of(batches, clock, loading_s, batch_s):
    clock.now += loading_s
    for batch in batches:
        clock.now += batch_s
        yield [made_of(job) for job in batch.jobs]


def test_a_picture_takes_no_part_of_the_loading(tmp_path, clock, capsys):
    batches = batches_of('abc')
    with open_output(tmp_path, {'conditions': {}}) as out:
        assert write_all(results_of(batches, clock, 100, 5), batches, out)
    words = capsys.readouterr().out
    assert '6 pictures in 115 s\n' in words
    assert '2.50 s a picture after the first batch' in words


def test_one_batch_tells_no_pace(tmp_path, clock, capsys):
    batches = batches_of('a')
    with open_output(tmp_path, {'conditions': {}}) as out:
        assert write_all(results_of(batches, clock, 100, 5), batches, out)
    words = capsys.readouterr().out
    assert '2 pictures in 105 s\n' in words
    assert 'a picture' not in words


def test_unusable_pictures_are_told_apart_from_missing_ones(tmp_path, capsys):
    batches = batches_of('ab')
    with open_output(tmp_path, {'conditions': {}}) as out:
        night, fog = batches[0].jobs
        write_all([[failure_of(night), made_of(fog)]], batches, out)
    assert '1 unusable' in capsys.readouterr().out
    with open_output(tmp_path, {'conditions': {}}) as out:
        table = describe(batches, out.lines, out.unusable, tmp_path, None, None)
        write_all([], [], out)
    rows = [line.split() for line in table.splitlines()]
    assert rows[1:4] == [
        ['night', '2', '0', '1', '1'],
        ['fog', '2', '1', '0', '1'],
        ['all', '4', '1', '1', '2'],
    ]
    assert '1 unusable before, and not tried again' in capsys.readouterr().out


def test_verdicts_on_the_whole_folder_are_counted_by_reason(tmp_path, capsys):
    first, second = batches_of('ab')
    with open_output(tmp_path, {'conditions': {}}) as out:
        write_all([[made_of(job, 'trust 0.1 is below 0.3') for job in first.jobs]], [first], out)
    assert 'fog                  0 accepted, 1 rejected\n' in capsys.readouterr().out
    with open_output(tmp_path, {'conditions': {}}) as out:
        night, fog = second.jobs
        write_all([[made_of(night, 'trust 0.2 is below 0.3'), made_of(fog)]], [second], out)
    words = capsys.readouterr().out
    assert 'night                0 accepted, 2 rejected\n' in words
    assert '                     2 trust is below 0.3\n' in words
    assert 'fog                  1 accepted, 1 rejected\n' in words
    with open_output(tmp_path, {'conditions': {}}) as out:
        write_all([], [], out)
    assert 'night                0 accepted, 2 rejected\n' in capsys.readouterr().out


def test_the_record_holds_the_data_set_and_the_photographs_that_are_drawn_from(tmp_path):
    header = IndexHeader(format='nuscenes', root='/set', options={'a': 1}, kept={}, dropped={})
    write_index(tmp_path / 'index', header, {})
    (tmp_path / 'nights').mkdir()
    (tmp_path / 'nights' / 'a.png').touch()

    def record(translator):
        config = TranslateConfig(
            conditions={
                'night': ConditionRecipe(image_prompts=tmp_path / 'nights'),
                'fog': ConditionRecipe(),
            },
            captioner=CaptionConfig(kind='none'),
            depth=DepthPriorConfig(kind='onnx'),
            diffusion=DiffusionConfig(ip_adapter='x', ip_adapter_weights='x.safetensors'),
            translator=translator,
        )
        return record_of(config, tmp_path / 'index')

    data = {'format': 'nuscenes', 'root': '/set', 'options': {'a': 1}}
    night = ImagePrompts(tmp_path / 'nights').record
    assert record('diffusion')['data'] == {**data, 'image_prompts': {'night': night}}
    assert record('diffusion')['seed'] == 0
    (tmp_path / 'nights' / 'a.png').unlink()  # no formula looks for photographs
    assert record('procedural')['data'] == {**data, 'image_prompts': {}}
    with pytest.raises(ValueError, match='nights must hold a photograph'):
        record('diffusion')
