import cv2
import numpy as np
import pytest
from ssd_depth_core.data.index import IndexHeader, IndexLine, write_index
from ssd_depth_core.exact_depth import encode_exact_depth

for name in ('torch', 'timm'):
    pytest.importorskip(name)

from ssd_depth_core.learning.checkpoint import CheckpointInfo, save_checkpoint  # noqa: E402
from ssd_depth_core.models.depth_net import DepthNetConfig  # noqa: E402
from ssd_depth_core.models.factory import build_depth_net  # noqa: E402
import torch  # noqa: E402

from bench.student_sheet import draw_instant, main  # noqa: E402

SIZE = (24, 40)
K = ((30.0, 0.0, 19.5), (0.0, 30.0, 11.5), (0.0, 0.0, 1.0))
CONDITIONS = ('day-clear', 'night', 'day-rain', 'fog')


def line(street, condition, number, exact=True):
    name = f'{street}-{condition}-{number}'
    return IndexLine(
        id=name,
        scene=f'{street}-{condition}',
        channel='CAM_FRONT',
        condition=condition,
        timestamp_us=500_000 * number,
        image=f'{name}.jpg',
        size=SIZE,
        K=K,
        speed_mps=None,
        exact_depth=f'{name}.png' if exact else None,
    )


LINES = [
    line(street, condition, number)
    for street in ('street-0', 'street-1')
    for condition in reversed(CONDITIONS)
    for number in range(4)
]


def test_twins_of_one_instant_come_in_the_order_asked_for():
    frames, count = draw_instant(LINES, CONDITIONS, 0)
    assert count == 8
    assert tuple(frame.condition for frame in frames) == CONDITIONS
    assert len({frame.scene.removesuffix(f'-{frame.condition}') for frame in frames}) == 1
    assert len({frame.timestamp_us for frame in frames}) == 1


def test_the_seed_alone_draws():
    drawn = [draw_instant(LINES, CONDITIONS, seed)[0] for seed in range(40)]
    assert drawn == [draw_instant(LINES[::-1], CONDITIONS, seed)[0] for seed in range(40)]
    assert len({frames[0].id for frames in drawn}) == 8  # any instant may come


def test_an_instant_that_lacks_a_condition_is_never_drawn():
    lines = [each for each in LINES if each.id != 'street-0-fog-2']
    drawn = [draw_instant(lines, CONDITIONS, seed) for seed in range(40)]
    assert {count for _, count in drawn} == {7}
    assert 'street-0-day-clear-2' not in {frames[0].id for frames, _ in drawn}
    # A condition that nobody asked for is not missed.
    assert draw_instant(lines, CONDITIONS[:2], 0)[1] == 8


def test_a_missing_condition_is_named():
    lines = [each for each in LINES if each.condition != 'fog']
    with pytest.raises(ValueError, match='got day-clear, night, day-rain, fog, .* has day-clear,'):
        draw_instant(lines, CONDITIONS, 0)


def test_a_recording_without_exact_depth_is_refused():
    lines = [line('street-0', condition, 0, exact=False) for condition in CONDITIONS]
    with pytest.raises(ValueError, match='with exact depth, .* and the split has none'):
        draw_instant(lines, CONDITIONS, 0)


def network(path, confidence):
    config = DepthNetConfig(input_height=32, input_width=64, confidence=confidence)
    torch.manual_seed(0)
    info = CheckpointInfo(model=config, step=1, training_command='', training_data='none')
    save_checkpoint(path, build_depth_net(config), info)
    return path


def test_the_command_draws_checkpoints_with_and_without_confidence(tmp_path, capsys):
    truth = np.full(SIZE, 20.0, np.float32)
    truth[:8] = np.inf
    for each in LINES:
        cv2.imwrite(str(tmp_path / each.image), np.full((*SIZE, 3), 90, np.uint8))
        cv2.imwrite(str(tmp_path / each.exact_depth), encode_exact_depth(truth))
    header = IndexHeader(format='nuscenes', root=str(tmp_path), options={}, kept={}, dropped={})
    write_index(tmp_path / 'index', header, {'test': LINES, 'train': [], 'validation': []})
    sure = network(tmp_path / 'sure.safetensors', True)
    silent = network(tmp_path / 'silent.safetensors', False)
    sheets = []
    for teacher, student in ((silent, sure), (sure, silent)):
        path = tmp_path / 'docs' / f'{student.stem}.png'
        arguments = ['--teacher', teacher, '--student', student, '--out', path, '--seed', '1']
        assert main(['--index', str(tmp_path / 'index'), *map(str, arguments)]) == 0
        sheets.append(cv2.imread(str(path)))
        said = capsys.readouterr().out
        for each in draw_instant(LINES, CONDITIONS, 1)[0]:
            assert f'{each.id}: absRel teacher ' in said
        assert f'teacher: checkpoint {teacher}' in said
        assert 'drawn by seed 1 from 8 of the test split' in said
        assert 'a synthetic street (street-' in said
    assert sheets[0].shape == sheets[1].shape
    assert (sheets[0] != sheets[1]).any()
