import json
from pathlib import Path

import numpy as np
import pytest

for name in ('torch', 'timm', 'accelerate', 'diffusers', 'onnxruntime'):
    pytest.importorskip(name)

from ssd_depth_core.data.rendered import Frame, FrameLine, read_frames  # noqa: E402
from ssd_depth_core.gdt.acceptance import Verdict  # noqa: E402
from ssd_depth_core.gdt.realism import picture_statistics  # noqa: E402
from ssd_depth_core.gdt.translator import Translation  # noqa: E402

from bench.gdt_realism import (  # noqa: E402
    city_of,
    describe_training,
    distances_to,
    draw_sheet,
    halve,
    requests_of,
    row_of,
    translate,
)


def frame(name, folder='a'):
    line = FrameLine(
        schema_version=1,
        id=name,
        K=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
        split='validation',
        conditions=('night',),
    )
    return Frame(folder=Path(folder), line=line)


def test_halves_share_no_city():
    frames = [frame('001_0'), frame('001_1'), frame('002_0'), frame('001_0', 'b'), frame('7_0')]
    halves = halve(frames)
    first, second = (set(map(city_of, half)) for half in (halves.translated, halves.compared))
    assert not first & second
    assert len(halves.translated) + len(halves.compared) == 5
    assert len(first) == len(second) == 2


def test_requests_show_exact_depth_and_have_seeds_of_their_own(rendered_set):
    frames = read_frames([rendered_set], 'validation')
    night, rain = requests_of(frames, 'night'), requests_of(frames, 'day-rain')
    assert len({request.seed for request in night + rain}) == 4
    inverse_depth = night[0].depth.inverse_depth
    assert inverse_depth[5, 5] == pytest.approx(1 / 10)  # the third wall stands at 4 + 2 * 3 m
    assert (inverse_depth[:2] == 0).all()  # sky and unknown


class Stubborn:
    name = 'stubborn'
    models = {}  # noqa: RUF012

    def translate(self, requests):
        return [
            'too dark'
            if request == 3
            else Translation(picture=np.full((1, 1, 3), request), prompt=None, image_prompt=None)
            for request in requests
        ]


def test_translations_come_in_order_and_none_is_missed():
    assert [int(picture[0, 0, 0]) for picture in translate(Stubborn(), [5, 1, 2], 2)] == [5, 1, 2]
    with pytest.raises(ValueError, match='stubborn made no picture: too dark'):
        translate(Stubborn(), [1, 2, 3], 2)


def test_every_maker_is_measured_by_every_feature():
    rng = np.random.default_rng(0)
    real, same, usual = (rng.integers(0, 256, (8, 24, 40, 3), dtype=np.uint8) for _ in range(3))
    describers = {'statistics': picture_statistics, 'again': picture_statistics}
    distances = distances_to(real, {'same': same, 'dark': same // 4}, usual, describers)
    assert {name: set(of) for name, of in distances.items()} == {
        'same': {'statistics', 'again'},
        'dark': {'statistics', 'again'},
    }
    assert distances['same']['statistics'] == distances['same']['again']
    (near, _), (far, _) = (distances[name]['again'] for name in ('same', 'dark'))
    assert far > 10 * abs(near)


def test_row_counts_what_was_accepted_and_takes_medians():
    verdicts = [
        Verdict(True, {'trust': 0.9, 'log_error': 0.1}, ()),
        Verdict(False, {'trust': 0.5, 'log_error': 0.4}, ('bad',)),
        Verdict(False, {'trust': 0.0}, ('worse',)),
    ]
    row = row_of('night', 'x', {'encoder': (0.12345, 0.01)}, verdicts)
    assert row == {
        'condition': 'night',
        'method': 'x',
        'pictures': 3,
        'encoder_distance': 0.123,
        'encoder_error': 0.01,
        'accepted': 0.333,
        'trust': 0.5,
        'log_error': 0.25,
        'ordinal_agreement': None,
        'edge_f1': None,
        'sharpness': None,
    }


def test_sheet_has_a_line_a_frame_under_the_titles():
    red, blue = np.zeros((2, 96, 160, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    sheet = draw_sheet([[red, blue], [blue, red]], ['a', 'b'])
    assert sheet.shape == (24 + 2 * 134, 2 * 224, 3)
    assert sheet[100, 100].tolist() == [255, 0, 0]
    assert sheet[-1, 0].tolist() == [0, 0, 255]


def test_notes_say_how_little_was_trained(tmp_path):
    config = {'diffusion': {'loop': {'batch_size': 16}}}
    info = {'step': 7, 'training_commit': 'abc', 'training_config': config}
    (tmp_path / 'training.json').write_text(json.dumps(info))
    assert describe_training(tmp_path).endswith('has taken 7 steps of 16 pictures (commit abc).')
    with pytest.raises(FileNotFoundError, match='train_translator'):
        describe_training(tmp_path / 'other')
